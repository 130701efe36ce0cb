"""The map over tiles in Chromium, from a tile server of the test; outlines where no tile comes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.application import application
from gateway.board.tiles import tile_source
from schemas.settings.model import MapSettings
from tests.browser.conftest import Site, served
from tests.browser.opened_page import LATE, LONG_MS, WCAG, opened
from tests.support import web_server
from tests.support.sample_orders import accepted, sample
from tests.support.web_server import Listener, WebServer

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs the extra `browser`: make board-check"
)
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TILE = """<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256">
<rect width="256" height="256" fill="#f2efe9"/><path d="M0 90L256 170" stroke="#f9c56d"/></svg>"""
BEHIND = ".has-tiles"


class TileServer(WebServer):
    """Gives the same tile for every address; `asked` are (path, Referer)."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def listener(self) -> Listener:
        return Listener(("127.0.0.1", self.port), partial(Handler, self))


class Handler(web_server.Handler):
    def __init__(self, server_of: TileServer, *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.server_of = server_of
        super().__init__(*connection)

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        self.server_of.asked.append((self.path, self.headers.get("Referer", "")))
        self.send_response(200)
        self.send_header("Content-Type", "image/svg+xml")
        self.send_header("Content-Length", str(len(TILE)))
        self.end_headers()
        self.wfile.write(TILE.encode())


@pytest.fixture(scope="module")
def tiles() -> Iterator[TileServer]:
    with TileServer() as server:
        yield server


@pytest.fixture(scope="module")
def mapped(site: Site, tiles: TileServer) -> Iterator[Site]:
    """The site with tiles behind its routes."""
    address = f"http://127.0.0.1:{tiles.port}/{{z}}/{{x}}/{{y}}.svg"
    source = tile_source(MapSettings(address, attribution="© Test"), lambda: 0.0)
    app = application(site.door.gateway._replace(tiles=source))
    with served(app) as address:
        yield site._replace(address=address)


def on_map(page: Page) -> list[str]:
    """Names that are shown on the map."""
    return [town.inner_text() for town in page.locator("#tiles .town").all() if town.is_visible()]


@pytest.mark.parametrize(("theme", "language"), [("light", "zh"), ("dark", "en")])
@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("path", [f"/orders/{LATE}", "SHARED"])
def test_a_route_over_tiles_is_accessible_and_inside_its_frame(
    mapped: Site, browser: Browser, path: str, width: int, theme: str, language: str
) -> None:
    cookies = {"ordertide_theme": theme, "ordertide_language": language}
    with opened(mapped, browser, width, cookies=cookies) as page:
        page.goto(mapped.address + (mapped.shared if path == "SHARED" else path))
        page.wait_for_selector(BEHIND, timeout=LONG_MS)
        assert not page.locator(".map").is_visible()
        found = axe.Axe().run(page, options=WCAG).response["violations"]
        assert [
            (each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found
        ] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        frame = page.locator("#tiles").bounding_box()
        assert frame
        stops = page.locator("#tiles .stop").all()
        assert len(stops) == page.locator(".places li").count()
        for stop in stops:
            box = stop.bounding_box()
            assert box
            assert frame["x"] <= box["x"] <= frame["x"] + frame["width"] - box["width"]
            assert frame["y"] <= box["y"] <= frame["y"] + frame["height"] - box["height"]
        assert {"Londrina", "São Paulo"} <= {*on_map(page)}, "destination and present place"
        assert page.locator(".credit").inner_text() == "© Test"


def test_tiles_learn_the_origin_of_a_page_and_never_its_path(
    mapped: Site, browser: Browser, tiles: TileServer
) -> None:
    tiles.asked.clear()
    with opened(mapped, browser) as page:
        page.goto(mapped.address + mapped.shared)
        page.wait_for_selector(BEHIND, timeout=LONG_MS)
    assert {referer for _, referer in tiles.asked} == {f"{mapped.address}/"}


def test_the_map_is_zoomed_by_keyboard_and_follows_a_parcel_without_losing_its_view(
    mapped: Site, browser: Browser
) -> None:
    order, timeline = sample().orders[LATE], sample().timelines[LATE]
    place = {"name": "Florianópolis", "lat": -27.6, "lon": -48.55}
    parcel = order.shipments[1].shipment
    moved = msgspec.json.decode(bytes(timeline[-1].event)) | {
        "event_id": "to-the-south",
        "location": place,
        "status_code": "IN_TRANSIT",
        "timestamp": "2018-12-31T02:30:00.000Z",
        "shipment": parcel,
    }
    with opened(mapped, browser, reduced_motion="reduce") as page:
        page.goto(f"{mapped.address}/orders/{LATE}")
        page.wait_for_selector(BEHIND, timeout=LONG_MS)
        stops = page.locator("#tiles .stop").count()
        whole = page.locator("#tiles .stop >> nth=0").bounding_box()
        page.locator("[data-zoom-to=in]").focus()
        page.keyboard.press("Enter")
        near = page.locator("#tiles .stop >> nth=0").bounding_box()
        assert near != whole
        mapped.door.put_events(accepted(moved, 99))
        mapped.door.put(msgspec.structs.replace(order, version=order.version + 1))
        page.wait_for_selector(f"#tiles .stop >> nth={stops}", state="attached", timeout=LONG_MS)
        assert page.locator("#tiles .stop >> nth=0").bounding_box() == near
        assert "Florianópolis" in page.locator(".places .present").last.inner_text()
        page.locator("[data-zoom-to=all]").click()
        assert "Florianópolis" in on_map(page)


def test_the_outlines_stay_where_no_tile_comes_and_without_a_script(
    mapped: Site, browser: Browser, tiles: TileServer
) -> None:
    tiles.stop()
    with opened(mapped, browser, complaints=["ERR_CONNECTION_REFUSED"]) as page:
        page.goto(f"{mapped.address}/orders/{LATE}")
        page.wait_for_selector("#tiles .stop", state="attached", timeout=LONG_MS)
        page.wait_for_load_state("networkidle")
        assert page.locator(".map").is_visible()
        assert not page.locator("#tiles .stop").first.is_visible()
        assert not page.locator(".credit").is_visible()
        assert page.locator(".source").is_visible()
    tiles.start()
    with opened(mapped, browser, java_script_enabled=False) as page:
        page.goto(f"{mapped.address}/orders/{LATE}")
        assert page.locator(".map").is_visible()
        assert not page.locator(".zoom").is_visible()
