"""The pages in Chromium: accessible, nothing cut, live, by keyboard alone, and without a script."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.browser.conftest import Site
from tests.browser.opened_page import LATE, LONG_MS, WCAG, opened
from tests.support.sample_orders import sample

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs the extra `browser`: make board-check"
)
if TYPE_CHECKING:
    from playwright.sync_api import Browser

REJECTED = "unknown_status"
ORDER = f"/orders/{LATE}"
WEBHOOK = "/settings/webhooks/wh_shop"
TOLD = {"/operations": REJECTED, "/settings/webhooks": "New webhook"}  # else the late order
PATHS = (
    *("/", "/alerts", "/operations", f"{ORDER}?rules=1", "/orders?lane=overdue"),
    *("/settings/webhooks", WEBHOOK),
    *(f"{ORDER}/share", "SHARED"),
)
WIDTHS = (1440, 768, 360)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_accessible_and_nothing_is_cut(
    site: Site, browser: Browser, path: str, width: int, theme: str, language: str
) -> None:
    cookies = {"ordertide_theme": theme, "ordertide_language": language}
    with opened(site, browser, width, cookies=cookies) as page:
        page.goto(site.address + (site.shared if path == "SHARED" else path))
        found = axe.Axe().run(page, options=WCAG).response["violations"]
        told = [(each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found]
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_change_is_seen_without_a_reload(site: Site, browser: Browser) -> None:
    late = sample().orders["demo-00186"]
    fresh = msgspec.structs.replace(late, order_id="fresh-1", version=late.version)
    with opened(site, browser) as page:
        page.goto(site.address)
        assert page.locator('[data-key="fresh-1"]').count() == 0
        before = page.locator("#about-overdue b").first.text_content()
        site.door.put(fresh)
        page.wait_for_selector('[data-key="fresh-1"]', timeout=LONG_MS)
        assert page.locator("#about-overdue b").first.text_content() != before


SHOWN = """[...document.querySelectorAll("[data-mark]")].map((part) => {
  const copy = part.cloneNode(true);
  copy.classList.remove("changed");
  return copy.outerHTML;
})"""


SHIFTED = """new Promise((resolve) => {
  const sum = (seen) => seen.reduce((all, each) => all + (each.hadRecentInput ? 0 : each.value), 0);
  new PerformanceObserver((list) => resolve(sum(list.getEntries())))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(0), 500);
})"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])  # cards glide, or only move
def test_cards_are_patched_one_by_one_and_the_focus_stays(
    site: Site, browser: Browser, motion: str
) -> None:
    late = [each for each in sample().orders.values() if each.lane == "overdue"]
    chance = random.Random(len(late))
    keep = msgspec.structs.replace(late[0], order_id=f"keep-{motion}")
    far = [f"far-{n}-{motion}" for n in range(9)]
    site.door.put(keep, *(msgspec.structs.replace(late[1], order_id=each) for each in far))
    mine = f'[data-key="{keep.order_id}"]'
    with opened(site, browser, reduced_motion=motion) as page, opened(site, browser) as fresh:
        page.goto(site.address)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        snooze = page.locator(f"{mine} .snooze")
        page.focus(f"{mine} a")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.locator(mine).evaluate("(card) => { card.same = true; scrollBy(0, 200); }")
        scrolled = page.evaluate("scrollY")
        for version in range(1, 9):
            changes = [
                msgspec.structs.replace(
                    late[1],
                    order_id=each,
                    version=late[1].version + version,
                    lane=(lane := chance.choice(("normal", "overdue"))),
                    open_alerts=late[1].open_alerts if lane == "overdue" else [],
                )
                for each in chance.sample(far, 4)
            ]
            site.door.put(msgspec.structs.replace(keep, version=keep.version + version), *changes)
        page.wait_for_selector(f'{mine}[data-version^="{keep.version + 8}-"]', timeout=LONG_MS)
        fresh.goto(site.address)
        page.wait_for_function(
            f"(whole) => JSON.stringify({SHOWN}) === JSON.stringify(whole)",
            arg=fresh.evaluate(SHOWN),
            timeout=LONG_MS,
        )
        assert page.locator(mine).evaluate("(card) => card.same"), "it is the same one"
        assert snooze.evaluate("(button) => button === document.activeElement")
        assert page.evaluate("scrollY") == scrolled
        if motion != "reduce":
            assert page.evaluate(SHIFTED) == 0
        assert "/board/parts" in asked
        assert "/" not in asked, "the whole board"


def test_a_lane_under_the_pointer_stands_still(site: Site, browser: Browser) -> None:
    late = sample().orders["demo-00186"]
    with opened(site, browser) as page:
        page.goto(site.address)
        page.hover("#cards-overdue .card >> nth=0")
        site.door.put(msgspec.structs.replace(late, order_id="fresh-2"))
        notice = page.locator("#lane-overdue .fresh")
        notice.wait_for(state="visible", timeout=LONG_MS)
        assert notice.text_content() == "1 new"
        assert page.locator('[data-key="fresh-2"]').count() == 0
        page.hover(".brand")
        page.wait_for_selector('[data-key="fresh-2"]', timeout=LONG_MS)


def test_the_keyboard_alone_finds_and_opens_an_order(site: Site, browser: Browser) -> None:
    parcel = sample().orders[LATE].shipments[0].shipment
    with opened(site, browser) as page:
        page.goto(site.address)
        page.keyboard.press("/")
        page.keyboard.type(parcel[-5:])
        page.wait_for_selector(".hits a")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/orders/{LATE}")
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_url(f"{site.address}/")
        page.keyboard.press("j")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        assert focused.startswith("/orders/")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{focused}")


def test_the_keyboard_alone_acknowledges_and_goes_on_with_the_next(
    site: Site, browser: Browser
) -> None:
    with opened(site, browser) as page:
        page.goto(f"{site.address}/alerts?severity=warning")
        alerts = page.locator(".alert")
        key, following = (alerts.nth(n).get_attribute("data-key") for n in (0, 1))
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.wait_for_selector(f'[data-key="{key}"]', state="detached", timeout=LONG_MS)
        page.wait_for_selector(".toast", timeout=LONG_MS)
        focused = "document.activeElement.closest('.alert').dataset.key"
        assert page.evaluate(focused) == following
        page.keyboard.press("s")
        page.wait_for_selector(f'[data-key="{following}"]', state="detached", timeout=LONG_MS)
        assert page.url.endswith("/alerts?severity=warning")


def test_the_keyboard_acknowledges_a_storm_and_reads_the_answer_of_each(
    site: Site, browser: Browser
) -> None:
    storm = ".card.storm:has(form.ack)"
    with opened(site, browser) as page:
        page.goto(site.address)
        number = page.locator(f"{storm} input[name=open]").first.get_attribute("value")
        while not page.evaluate(f"!!document.activeElement.closest('{storm}')"):
            page.keyboard.press("j")
        page.keyboard.press("a")
        page.wait_for_selector("dialog[open] #answers", timeout=LONG_MS)
        assert page.locator("dialog tbody tr").count() >= int(number or 0)
        assert f"Acknowledged: {number}" in (page.text_content("dialog h1") or "")
        found = axe.Axe().run(page, options=WCAG).response["violations"]
        assert [each["id"] for each in found] == []
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        assert page.evaluate("!!document.activeElement.closest('.card.storm')")
        page.wait_for_selector(".card.storm .handled", timeout=LONG_MS)


def test_a_form_acknowledges_without_a_script(site: Site, browser: Browser) -> None:
    with opened(site, browser, java_script_enabled=False) as page:
        page.goto(f"{site.address}/alerts?severity=warning&sort=newest")
        key = page.locator(".alert").first.get_attribute("data-key")
        page.locator(".alert .ack button").first.click()
        page.wait_for_url("**/alerts?severity=warning&sort=newest")
        assert page.locator(f'[data-key="{key}"]').count() == 0
        page.goto(f"{site.address}/alerts?tab=acked")
        assert page.locator(f'[data-key="{key}"]').count() == 1


@pytest.mark.parametrize("path", PATHS)
def test_a_page_reads_without_a_script(site: Site, browser: Browser, path: str) -> None:
    with opened(site, browser, java_script_enabled=False) as page:
        page.goto(site.address + (site.shared if path == "SHARED" else path))
        assert page.locator("h1").first.text_content()
        assert page.locator(".script:visible").count() == 0, "it would do nothing"
        assert TOLD.get(path, LATE) in page.content()


def test_a_webhook_is_made_by_the_keyboard_and_without_a_script(
    site: Site, browser: Browser
) -> None:
    with opened(site, browser, java_script_enabled=False) as page:
        page.goto(f"{site.address}/settings/webhooks")
        page.focus("input[name=url]")
        page.keyboard.type("https://shop.example/new")
        page.keyboard.press("Tab")
        page.keyboard.type("By keyboard")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")  # order.created
        page.keyboard.press("Enter")
        page.wait_for_selector("pre")
        assert (page.locator("pre").first.text_content() or "").startswith("whsec_")
        page.click("text=To the webhook")
        assert "order.created" in page.content()
        page.click("text=Pause")
        assert page.locator(".title .chip").text_content() == "Paused"


def test_theme_and_language_are_kept(site: Site, browser: Browser) -> None:
    with opened(site, browser, color_scheme="light") as page:
        page.goto(site.address)
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.click("a[hreflang=zh]")
        assert "看板" in page.title()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("path", PATHS)
def test_the_systems_dark_theme_has_the_colours_of_the_chosen_one(
    site: Site, browser: Browser, path: str
) -> None:
    colours = """[...document.querySelectorAll("body, body *")].map((element) => {
      const { color, backgroundColor, borderColor, fill, stroke } = getComputedStyle(element);
      return [color, backgroundColor, borderColor, fill, stroke].join();
    })"""
    seen = []
    for options in ({"color_scheme": "dark"}, {"cookies": {"ordertide_theme": "dark"}}):
        with opened(site, browser, **options) as page:
            page.goto(site.address + (site.shared if path == "SHARED" else path))
            seen.append(page.evaluate(colours))
    assert seen[0] == seen[1]


def test_the_board_says_that_the_stream_is_away_and_goes_on(site: Site, browser: Browser) -> None:
    stream = "**/v1/stream*"
    with opened(site, browser, complaints=["ERR_FAILED"]) as page:
        page.route(stream, lambda route: route.abort())
        page.goto(site.address)
        page.wait_for_selector("#pill.lost", timeout=LONG_MS)
        assert page.locator(".card").count(), "the figures stay"
        page.unroute(stream)
        page.wait_for_selector("#pill:not(.lost)", timeout=LONG_MS)


def test_a_replay_of_dead_letters_is_confirmed_with_their_number(
    site: Site, browser: Browser
) -> None:
    with opened(site, browser) as page:
        page.goto(f"{site.address}/operations")
        letter = page.locator(".letter", has_text=REJECTED)
        letter.locator("summary").click()
        button = letter.locator("form button")
        assert (button.text_content() or "").startswith("Replay 2")
        button.click()
        letter.locator("text=0 to replay").wait_for(timeout=LONG_MS)
        assert "Last replay: 2 by" in (letter.text_content() or "")
