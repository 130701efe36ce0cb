"""Tiles: pictures of the ground behind an order's route, from the provider that `[map]` names.

By default there is none: a map is its outlines alone, and browsers load nothing from elsewhere.
Tiles are loaded by browsers, so their address is sent with the key in it, and their origin is added
to the content policy of pages with a map.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from schemas.alert_text import Language
from schemas.errors import OrdertideError, SettingsError
from schemas.event import Datum
from schemas.settings.kinds import KEY_PLACE
from schemas.settings.model import MapSettings
from telemetry.http_client import HttpClient

LOGGER = logging.getLogger("ordertide.gateway.tiles")
USUAL_ZOOM = 18
SESSION_PLACE = "{session}"
GOOGLE = "https://tile.googleapis.com"
TIMEOUT_S = 3.0
PAUSE_S = 60.0  # after a failure
BEFORE_S = 24 * 3600.0  # a session is renewed a day before it expires; one lives two weeks
LOCALES: dict[Language, tuple[str, str]] = {"en": ("en-US", "US"), "zh": ("zh-CN", "CN")}


class Provider(NamedTuple):
    """A known provider; `href` leads to its terms."""

    address: str
    datum: Datum
    max_zoom: int
    attribution: str
    href: str


# In mainland China, Google's maps are in GCJ-02 like those of AMap.
PROVIDERS = {
    "osm": Provider(
        "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        *("WGS84", 19, "© OpenStreetMap contributors"),
        href="https://www.openstreetmap.org/copyright",
    ),
    "amap": Provider(
        "https://webrd01.is.autonavi.com/appmaptile?lang=zh_cn&size=1&scale=1&style=8"
        "&x={x}&y={y}&z={z}",
        *("GCJ02", 18, "© AutoNavi (AMap)"),
        href="https://www.amap.com/",
    ),
    "google": Provider(
        f"{GOOGLE}/v1/2dtiles/{{z}}/{{x}}/{{y}}?session={{session}}&key={{key}}",
        *("GCJ02", 22, "Map data © Google"),
        href="https://www.google.com/help/terms_maps/",
    ),
}


class Tiles(NamedTuple):
    """Tiles for a page: `address` has {z}, {x} and {y}; `origin` is for its content policy."""

    address: str
    origin: str
    datum: Datum
    max_zoom: int
    attribution: str
    href: str = ""


class GoogleSessions:
    """Session tokens of Google's Map Tiles API, one for each language, renewed in time."""

    def __init__(self, key: str, now_s: Callable[[], float], url: str = GOOGLE) -> None:
        """Create sessions without a token yet."""
        self.key = key
        self.now_s = now_s
        self.url = url
        self.tokens: dict[Language, tuple[str, float]] = {}
        self.not_before_s = 0.0
        self.lock = asyncio.Lock()

    async def token(self, language: Language) -> str | None:
        """The token of a language; None while Google gives none."""
        async with self.lock:
            now_s = self.now_s()
            token, until_s = self.tokens.get(language, ("", 0.0))
            if now_s < until_s - BEFORE_S:
                return token
            if now_s >= self.not_before_s:
                try:
                    self.tokens[language] = await asyncio.to_thread(self.requested, language)
                    return self.tokens[language][0]
                except OrdertideError as error:
                    self.not_before_s = now_s + PAUSE_S
                    LOGGER.warning("map.tiles: google: %s; maps show outlines alone", error)
            return token if now_s < until_s else None

    def requested(self, language: Language) -> tuple[str, float]:
        """A new token, and when it expires (seconds since 1970).

        Raises:
            HttpFailed: Google refuses the key, or isn't reached.
            OrdertideError: the answer is none.
        """
        locale, region = LOCALES[language]
        asked = {"mapType": "roadmap", "language": locale, "region": region}
        client = HttpClient(self.url, timeout_s=TIMEOUT_S)
        path = f"/v1/createSession?key={quote(self.key, safe='')}"
        try:
            answer = client.request(
                "POST", path, json.dumps(asked).encode(), {"Content-Type": "application/json"}
            )
        finally:
            client.close()
        try:
            given: dict[str, Any] = json.loads(answer.body)
            return str(given["session"]), float(given["expiry"])
        except (ValueError, TypeError, KeyError) as error:
            raise OrdertideError(f"{self.url}: the answer has no session") from error


class TileSource:
    """The tiles of the settings."""

    def __init__(self, tiles: Tiles, sessions: GoogleSessions | None = None) -> None:
        """Create a source; `sessions` where its address needs one."""
        self.tiles = tiles
        self.sessions = sessions

    async def tiles_in(self, language: Language) -> Tiles | None:
        """The tiles of a page in this language; None while there are none."""
        if self.sessions is None:
            return self.tiles
        token = await self.sessions.token(language)
        if token is None:
            return None
        address = self.tiles.address.replace(SESSION_PLACE, quote(token, safe=""))
        return self.tiles._replace(address=address)


def tile_source(settings: MapSettings, now_s: Callable[[], float]) -> TileSource | None:
    """The source of tiles; None where maps are outlines alone.

    Raises:
        SettingsError: settings that don't fit each other.
    """
    if not settings.tiles:
        check_unused(settings)
        return None
    provider = PROVIDERS.get(settings.tiles) or own_provider(settings)
    if settings.tiles in PROVIDERS:
        check_own(settings, provider)
    key = settings.api_key
    if KEY_PLACE in provider.address and not key:
        raise SettingsError(
            f"map.api_key: it is missing, and {settings.tiles} needs one; "
            "set ORDERTIDE_MAP_API_KEY, or ORDERTIDE_MAP_API_KEY_FILE to a file that holds it"
        )
    if key and KEY_PLACE not in provider.address:
        raise SettingsError(
            f"map.api_key: {settings.tiles} has no place for it; "
            "write {key} into the address of map.tiles, or take the key away"
        )
    parts = urlsplit(provider.address)
    tiles = Tiles(
        address=provider.address.replace(KEY_PLACE, quote(key or "", safe="")),
        origin=f"{parts.scheme}://{parts.netloc}",
        datum=provider.datum,
        max_zoom=settings.max_zoom or provider.max_zoom,
        attribution=provider.attribution,
        href=provider.href,
    )
    needs_session = SESSION_PLACE in provider.address
    return TileSource(tiles, GoogleSessions(key or "", now_s) if needs_session else None)


def own_provider(settings: MapSettings) -> Provider:
    """The provider that an address is.

    Raises:
        SettingsError: it has no attribution.
    """
    if not settings.attribution.strip():
        raise SettingsError(
            "map.attribution: it is missing; write whose tiles they are, "
            "such as © OpenStreetMap contributors"
        )
    zoom = settings.max_zoom or USUAL_ZOOM
    return Provider(settings.tiles, settings.datum or "WGS84", zoom, settings.attribution, "")


def check_own(settings: MapSettings, provider: Provider) -> None:
    """Refuse what a known provider decides itself.

    Raises:
        SettingsError: it is set.
    """
    for name, value in (("attribution", settings.attribution), ("datum", settings.datum)):
        if value:
            raise SettingsError(f"map.{name}: {settings.tiles} brings its own; take it out")
    if (settings.max_zoom or 0) > provider.max_zoom:
        raise SettingsError(
            f"map.max_zoom: {settings.tiles} has tiles up to {provider.max_zoom}; "
            f"write at most {provider.max_zoom}"
        )


def check_unused(settings: MapSettings) -> None:
    """Refuse settings of tiles where no tiles are set.

    Raises:
        SettingsError: one is set.
    """
    for name in ("api_key", "attribution", "datum", "max_zoom"):
        if getattr(settings, name):
            raise SettingsError(
                f"map.{name}: it is set, and map.tiles is not; set map.tiles, or take it out"
            )
