"""A route over tiles: what the script of a page draws, in the datum of the tiles."""

from typing import NamedTuple

import msgspec
from starlette.responses import Response

from dataflows.carriers.datum import to_gcj02
from gateway.board.route_map import RouteMap
from gateway.board.tiles import Tiles
from gateway.board.viewer import content_policy
from gateway.board.wording import Words
from gateway.route import Call

STREET, TOWN = 5, 2  # decimals of degrees: a metre, and a kilometre
TOWN_ZOOM = 12


class OnTiles(NamedTuple):
    """A route over tiles, as JSON; places and `max_zoom` as exact as its viewer may see them."""

    tiles: Tiles
    max_zoom: int
    route: str


def on_tiles(route: RouteMap, tiles: Tiles, *, towns_only: bool = False) -> OnTiles:
    """The route of an order over tiles; `towns_only` leaves a kilometre around each place."""
    decimals = TOWN if towns_only else STREET

    def at(lat: float, lon: float) -> tuple[float, float]:
        lat, lon = round(lat, decimals), round(lon, decimals)
        if tiles.datum == "GCJ02":
            lat, lon = to_gcj02(lat, lon)
        return round(lat, STREET), round(lon, STREET)

    end = route.destination
    drawn = {
        "ways": [
            {
                "colour": way.colour,
                "ahead": way.is_ahead,
                "stops": [
                    {
                        "at": at(stop.lat, stop.lon),
                        "number": stop.number,
                        "name": stop.name,
                        "present": stop.is_last,
                    }
                    for stop in way.stops
                ],
            }
            for way in route.ways
        ],
        "destination": {"at": at(end.lat, end.lon), "name": end.name} if end else None,
    }
    max_zoom = min(tiles.max_zoom, TOWN_ZOOM) if towns_only else tiles.max_zoom
    return OnTiles(tiles, max_zoom, msgspec.json.encode(drawn).decode())


async def tiles_behind(
    call: Call, route: RouteMap | None, words: Words, *, towns_only: bool = False
) -> OnTiles | None:
    """A route over tiles; None where there are none, or no route."""
    source = call.gateway.tiles
    tiles = await source.tiles_in(words.language) if source and route else None
    return on_tiles(route, tiles, towns_only=towns_only) if route and tiles else None


def allow_tiles(response: Response, tiles: OnTiles | None) -> None:
    """Let a page load pictures from the host of its tiles, and from no other."""
    if tiles:
        response.headers["content-security-policy"] = content_policy(tiles.tiles.origin)
