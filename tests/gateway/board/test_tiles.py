"""Tiles behind a route: their settings, what a page gets of them, and Google's sessions."""

import asyncio
import json
import re
from collections import deque
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from commands.config import command
from gateway.access.shares import Share
from gateway.application import application
from gateway.board.on_tiles import TOWN_ZOOM
from gateway.board.tiles import BEFORE_S, PAUSE_S, PROVIDERS, GoogleSessions, tile_source
from schemas.errors import SettingsError
from schemas.settings.kinds import TILE_PROVIDERS, fault_of_tiles
from schemas.settings.model import MapSettings
from tests.support import web_server
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door
from tests.support.sample_orders import accepted, sample
from tests.support.web_server import Listener, WebServer

ORDER = "demo-00138"
KEY = "a-tile-key-nobody-has"
OWN = "https://tiles.example.com:8443/{z}/{x}/{y}.png"
OUTLINES_ONLY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
BEIJING = {"name": "Beijing", "lat": 39.915, "lon": 116.404}
FAR = 1 << 40


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("osn", "'osn' is neither one of amap, google, osm nor an address; write it like https://"),
        ("//tiles.example.com/{z}/{x}/{y}", "is neither one of"),
        ("ftp://tiles.example.com/{z}/{x}/{y}", "is neither one of"),
        ("https://*.example.com/{z}/{x}/{y}", "is neither one of"),
        ("https://tiles.example.com:99999/{z}/{x}/{y}", "is neither one of"),
        ("https://t.example.com; script-src *//{z}/{x}/{y}", "is neither one of"),
        ('https://t.example.com/{z}/{x}/{y}"', "is neither one of"),
        ("https://{s}.example.com/{z}/{x}/{y}", "{s} is no place; an address may name {z}, {x}"),
        ("https://t.example.com/{z}/{x}/{y", "{ is no place"),
        ("https://t.example.com/{z}/{x}.png", "the address lacks {y}; it needs {z}, {x}, {y}"),
        ("https://t.example.com/{z}/{x}/{y}?key=abc123", "the address holds a key; write {key}"),
        ("https://t.example.com/{z}/{x}/{y}?a=1&apiKey=abc", "the address holds a key"),
        ("https://t.example.com/{z}/{x}/{y}?a=1&apiKey={key}", None),
        ("http://[::1]:8080/{z}/{x}/{y}", None),
        (OWN, None),
        ("osm", None),
        ("", None),
    ],
)
def test_an_address_of_tiles_is_checked(address: str, fault: str | None) -> None:
    found = fault_of_tiles(address)
    assert found is None if fault is None else fault in (found or ""), found
    assert "abc" not in (found or "")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (MapSettings(api_key=KEY), "map.api_key: it is set, and map.tiles is not"),
        (MapSettings(max_zoom=9), "map.max_zoom: it is set, and map.tiles is not"),
        (MapSettings("google"), "map.api_key: it is missing, and google needs one"),
        (MapSettings("osm", api_key=KEY), "map.api_key: osm has no place for it"),
        (MapSettings("osm", datum="WGS84"), "map.datum: osm brings its own; take it out"),
        (MapSettings("amap", attribution="us"), "map.attribution: amap brings its own"),
        (MapSettings("osm", max_zoom=20), "map.max_zoom: osm has tiles up to 19; write at most 19"),
        (MapSettings(OWN), "map.attribution: it is missing; write whose tiles they are"),
    ],
)
def test_settings_of_tiles_that_do_not_fit_are_refused(settings: MapSettings, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        tile_source(settings, lambda: 0.0)
    assert fault in str(refused.value)
    assert KEY not in str(refused.value)


def test_every_provider_can_be_named_and_is_a_valid_address() -> None:
    assert tuple(sorted(PROVIDERS)) == TILE_PROVIDERS
    for name, provider in PROVIDERS.items():
        key = KEY if "{key}" in provider.address else None
        source = tile_source(MapSettings(name, api_key=key), lambda: 0.0)
        assert source is not None
        assert fault_of_tiles(provider.address.replace("{session}", "1")) is None
        assert source.tiles.datum == ("WGS84" if name == "osm" else "GCJ02")


def test_the_key_is_checked_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "ordertide.toml"
    path.write_text(f'[map]\ntiles = "{OWN}?token={{key}}"\nattribution = "us"\n', "utf-8")
    run = partial(CliRunner().invoke, command, env={"ORDERTIDE_MAP_API_KEY": KEY})
    assert run(["check", str(path)]).output == f"{path}: ok\n"
    shown = run(["show", "--settings", str(path)]).output
    assert "# api_key is set and secret" in shown
    assert "?token={key}" in shown
    assert KEY not in shown
    path.write_text(f'[map]\ntiles = "google"\napi_key = "{KEY}"\nmax_zoom = 99\n', "utf-8")
    found = CliRunner().invoke(command, ["check", str(path)], env={}).output
    assert f"{path}:3: map.api_key: a secret may not stand in the file" in found
    assert f"{path}:4: map.max_zoom: " in found
    assert KEY not in found


# ---------------------------------------------------------------- pages
def with_tiles(site: Door, settings: MapSettings) -> Client:
    gateway = site.gateway._replace(tiles=tile_source(settings, lambda: 0.0))
    return Client(application(gateway), authorization=f"Bearer {site.key('admin')}")


def route_in(reply: Reply) -> dict[str, Any]:
    found = re.search(r'data-route="([^"]*)"', reply.body.decode())
    assert found, reply.body
    route: dict[str, Any] = json.loads(unescape(found[1]))
    return route


def shared(site: Door, order_id: str = ORDER) -> str:
    share = msgspec.convert(["default", order_id, "town", FAR], Share)
    return f"/t/{site.gateway.shares.sealed(share)}"


def test_by_default_no_page_loads_anything_from_elsewhere(site: Door) -> None:
    for path in (f"/orders/{ORDER}", shared(site)):
        reply = site.client("admin").get(path)
        assert reply.headers["content-security-policy"] == OUTLINES_ONLY
        html = reply.body.decode()
        assert '<svg class="map"' in html
        assert "leaflet" not in html
        assert "data-route" not in html
        assert not re.search(r'(src|href)="https?:', html)


def test_only_a_page_with_a_map_may_load_tiles_and_from_their_host_alone(site: Door) -> None:
    settings = MapSettings(f"{OWN}?k={{key}}", api_key="k & k", attribution="Ours <b>")
    client = with_tiles(site, settings)
    without_map = next(o for o in sample().orders.values() if not o.order_id.startswith("demo"))
    for path in ("/", "/orders", f"/orders/{without_map.order_id}"):
        reply = client.get(path)
        assert reply.headers["content-security-policy"] == OUTLINES_ONLY
        assert "leaflet" not in reply.body.decode()
    for path in (f"/orders/{ORDER}", shared(site)):
        reply = client.get(path)
        policy = reply.headers["content-security-policy"]
        assert policy == OUTLINES_ONLY.replace("data:", "data: https://tiles.example.com:8443")
        html = reply.body.decode()
        assert '<svg class="map"' in html, "the outlines stay below"
        assert "Ours &lt;b&gt;" in html
        assert "/{z}/{x}/{y}.png?k=k%20%26%20k" in html
        files = re.findall(r'(?:src|href)="(/static/(?:leaflet|map)[^"]*)"', html)
        assert [client.get(path).status for path in files] == [200, 200, 200]


def test_the_list_beside_the_map_has_the_same_places(site: Door) -> None:
    html = site.client("admin").get(f"/orders/{ORDER}").body.decode()
    route = route_in(with_tiles(site, MapSettings("osm")).get(f"/orders/{ORDER}"))
    listed = html[html.index('class="places"') :]
    for way in route["ways"]:
        for stop in way["stops"]:
            present = ' class="present" aria-current="location"' if stop["present"] else ""
            assert f"<li{present}><i>{stop['number']}</i><span>{stop['name']}" in listed
    assert f'<li class="target"><i></i><span>{route["destination"]["name"]} <small>' in listed


def test_tiles_in_gcj_02_get_the_route_in_gcj_02_and_only_in_china(site: Door) -> None:
    order = msgspec.structs.replace(sample().orders[ORDER], order_id="to-beijing", shipments=[])
    sent = {"order_id": "to-beijing", "source": "wms", "status_code": "IN_TRANSIT"}
    sent |= {"timestamp": "2018-12-30T10:00:00.000Z"}
    for number, place in enumerate((BEIJING, {"name": "Seoul", "lat": 37.57, "lon": 126.98})):
        site.put_events(accepted(sent | {"event_id": str(number), "location": place}, number))
    site.put(order)
    points = {}
    for provider in ("osm", "amap"):
        route = route_in(with_tiles(site, MapSettings(provider)).get("/orders/to-beijing"))
        points[provider] = [stop["at"] for way in route["ways"] for stop in way["stops"]]
    assert points["osm"] == [[39.915, 116.404], [37.57, 126.98]]
    # The worked example of the coordtransform libraries.
    assert points["amap"] == [[39.9164, 116.41024], [37.57, 126.98]]


def test_a_customer_sees_towns_and_no_streets(site: Door) -> None:
    client = with_tiles(site, MapSettings("osm"))
    exact, coarse = client.get(f"/orders/{ORDER}"), client.get(shared(site))
    zooms = [re.findall(r'data-zoom="(\d+)"', reply.body.decode()) for reply in (exact, coarse)]
    assert zooms == [["19"], [str(TOWN_ZOOM)]]
    for way in route_in(coarse)["ways"]:
        for stop in way["stops"]:
            assert [round(degrees, 2) for degrees in stop["at"]] == stop["at"]


# ---------------------------------------------------------------- Google
class Google(WebServer):
    """Gives sessions as the Map Tiles API does, or the `answers` that come first."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []
        self.answers: deque[tuple[int, bytes]] = deque()

    def listener(self) -> Listener:
        return Listener(("127.0.0.1", self.port), partial(Handler, self))


class Handler(web_server.Handler):
    def __init__(self, google: Google, *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.google = google
        super().__init__(*connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        google = self.google
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        google.asked.append((self.path, body))
        given = {"session": f"session {len(google.asked)}", "expiry": "2000000"}
        status, answer = (
            google.answers.popleft() if google.answers else (200, json.dumps(given).encode())
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def test_a_session_of_google_is_kept_for_each_language_and_renewed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = [1_000_000.0]
    with Google() as google:
        sessions = GoogleSessions(KEY, lambda: clock[0], f"http://127.0.0.1:{google.port}")

        def token(language: Any = "en") -> str | None:  # noqa: ANN401 - a language
            return asyncio.run(sessions.token(language))

        google.answers.append((403, b"API key not valid"))
        google.answers.append((200, b"{}"))
        assert token() is None
        assert token() is None
        assert len(google.asked) == 1, "after a failure there is a pause"
        clock[0] += PAUSE_S
        assert token() is None, "the answer has no session"
        clock[0] += PAUSE_S
        assert [token(), token(), token("zh")] == ["session 3", "session 3", "session 4"]
        locales = [(asked["language"], asked["region"]) for _, asked in google.asked]
        assert locales == [("en-US", "US")] * 3 + [("zh-CN", "CN")]
        assert {path for path, _ in google.asked} == {f"/v1/createSession?key={KEY}"}
        clock[0] = 2_000_000.0 - BEFORE_S
        google.answers.append((500, b""))
        assert token() == "session 3", "still valid while it can't be renewed"
        clock[0] += PAUSE_S
        assert token() == "session 6"
        clock[0] = 2_000_001.0
        google.answers.append((500, b""))
        assert token() is None, "expired"
    told = [record.getMessage() for record in caplog.records]
    assert "map.tiles: google: " in told[0]
    assert "API key not valid; maps show outlines alone" in told[0]
    assert KEY not in "".join(told)


def test_without_a_session_of_google_a_page_shows_outlines_alone(site: Door) -> None:
    with Google() as google:
        source = tile_source(MapSettings("google", api_key=KEY), lambda: 0.0)
        assert source is not None
        source.sessions = GoogleSessions(KEY, lambda: 0.0, f"http://127.0.0.1:{google.port}")
        app = application(site.gateway._replace(tiles=source))
        client = Client(app, authorization=f"Bearer {site.key('admin')}")
        google.answers.append((429, b"quota"))
        reply = client.get(f"/orders/{ORDER}")
        assert reply.headers["content-security-policy"] == OUTLINES_ONLY
        assert "leaflet" not in reply.body.decode()
        source.sessions.not_before_s = 0.0
        html = client.get(f"/orders/{ORDER}").body.decode()
        assert f"/v1/2dtiles/{{z}}/{{x}}/{{y}}?session=session%202&amp;key={KEY}" in html
