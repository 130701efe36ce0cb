"""Pages in Chromium: when cards are painted, and what a page takes to load.

Needs the extra `browser` and Debian's chromium. All times are of this host's clock.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.errors import OrdertideError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = {"width": 1440, "height": 900}
LOADED_WITHIN_MS = 300_000  # where other work is beside it, its figures alone are bad
SETTLE_MS = 1_500  # the largest paint is known once nothing larger follows
# A card that comes into a lane, or into another place of it, is a mutation, and so is one that gets
# another version. It is painted with the next frame: what a frame's callback posts runs after it.
OBSERVING = """(() => {
  const seen = { painted: [], longest_ms: 0, shift: 0, shifted: [], largest_ms: 0 };
  window.ordertide_seen = seen;
  const watch = (type, take) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take))
      .observe({ type, buffered: true });
  watch("longtask", (each) => { seen.longest_ms = Math.max(seen.longest_ms, each.duration); });
  watch("layout-shift", (each) => {
    if (each.hadRecentInput) return;
    seen.shift += each.value;
    seen.shifted.push(...each.sources.map(({ node }) => node?.id || node?.className || ""));
  });
  watch("largest-contentful-paint", (each) => { seen.largest_ms = each.startTime; });
  const latest = new Map();
  const cards = (node) => node.matches?.(".cards > [data-version]") ? [node]
    : [...node.querySelectorAll?.(".cards > [data-version]") ?? []];
  new MutationObserver((changes) => {
    const found = changes
      .flatMap((each) => each.type === "attributes" ? [each.target] : [...each.addedNodes])
      .flatMap(cards)
      .map((card) => [card.dataset.key, parseInt(card.dataset.version, 10)])
      .filter(([key, version]) => latest.get(key) !== version);
    found.forEach(([key, version]) => latest.set(key, version));
    if (!found.length) return;
    requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = () => {
        const at = performance.timeOrigin + performance.now();
        found.forEach(([key, version]) => seen.painted.push([key, version, at]));
        after.port1.close();
      };
      after.port2.postMessage(0);
    });
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["data-version"] });
})()"""
SIZES = """(() => {
  const page = performance.getEntriesByType("navigation")[0];
  const files = performance.getEntriesByType("resource")
    .filter((each) => /\\.(js|css)([?]|$)/.test(new URL(each.name).pathname));
  return { html_bytes: page.decodedBodySize, html_sent_bytes: page.encodedBodySize,
    files_sent_bytes: files.reduce((sum, each) => sum + each.encodedBodySize, 0),
    files: files.map((each) => new URL(each.name).pathname) };
})()"""


class Painted(NamedTuple):
    """A card as it was painted: its key, its order's version, and when, in ms since 1970."""

    key: str
    version: int
    at_ms: float


class Loaded(NamedTuple):
    """A page as it loaded; sizes are those sent, compressed, but for `html_bytes`.

    `shifted` are the ids or classes of the elements that a layout shift moved.
    """

    largest_ms: float
    shift: float
    shifted: list[str]
    longest_ms: float
    html_bytes: int
    html_sent_bytes: int
    files_sent_bytes: int
    files: list[str]


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Debian's chromium without a window.

    Raises:
        OrdertideError: it isn't installed, or what drives it.
    """
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the extra `browser`
    except ImportError as error:
        raise OrdertideError("playwright isn't installed: pip install -e .[browser]") from error
    if program is None:
        raise OrdertideError("chromium isn't installed: apt-get install chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: "Browser", address: str, path: str, cookie: str) -> Iterator["Page"]:
    """A page in a browser that has nothing cached, with the session `cookie`."""
    context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type, unused-ignore]  # a dict is taken
    context.add_cookies([{"name": "ordertide_session", "value": cookie, "url": address}])
    context.add_init_script(OBSERVING)
    page = context.new_page()
    page.set_default_timeout(LOADED_WITHIN_MS)
    try:
        page.goto(address + path)
        yield page
    finally:
        context.close()  # else the server waits for its stream


def observed(page: "Page") -> dict[str, Any]:
    """Observations of the page itself so far."""
    found: dict[str, Any] = page.evaluate("window.ordertide_seen")
    return found


def observe_anew(page: "Page") -> None:
    """Forget what the page has seen of itself."""
    page.evaluate("Object.assign(window.ordertide_seen, {painted: [], longest_ms: 0, shift: 0})")


def shown_orders(page: "Page") -> list[str]:
    """The keys of the orders with a card of their own."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.cards > .card:not(.storm)')].map((e) => e.dataset.key)"
    )
    return found


def load(browser: "Browser", address: str, path: str, cookie: str) -> Loaded:
    """Load a page."""
    with opened(browser, address, path, cookie) as page:
        page.wait_for_timeout(SETTLE_MS)
        seen = observed(page)
        return Loaded(
            largest_ms=seen["largest_ms"],
            shift=seen["shift"],
            shifted=seen["shifted"],
            longest_ms=seen["longest_ms"],
            **page.evaluate(SIZES),
        )
