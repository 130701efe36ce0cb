"""Map of an order's way: places with coordinates over outlines of land, drawn on the server.

A place without coordinates is listed, never placed. Land is that of Natural Earth, without borders
(`make_land.py`). Equirectangular around the middle, which is true enough for a country.
"""

import json
from collections.abc import Sequence
from functools import cache
from math import cos, radians
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.board.progress import DELIVERED
from schemas.event import Location
from schemas.order import AcceptedEvent, OrderDocument, ShipmentView

LAND = Path(__file__).with_name("land.json")
WIDTH, HEIGHT = 480, 320
LEAST_DEGREES = 1.6
PADDING = 0.22  # of the span, on each side
COLOURS = 4
NEAR_X, NEAR_Y = 90, 17  # pixels between two names
RIGHT = 0.62  # of the width, from here on a name stands left of its point
Point = tuple[float, float]
Visited = tuple[str, Location | None]  # a parcel, and the place of an event of it


class Placed(msgspec.Struct, frozen=True):
    """The place of an event."""

    location: Location | None = None


class Stop(NamedTuple):
    """A numbered place of a parcel's way; `number` counts over the parcel."""

    x: float
    y: float
    number: int
    name: str
    is_last: bool
    lat: float
    lon: float


class Way(NamedTuple):
    """The way of one parcel; `is_ahead`: it is still to go to the destination."""

    parcel: str
    colour: int
    path: str
    stops: list[Stop]
    is_ahead: bool


class Destination(NamedTuple):
    """Destination on the map, and the lines to it from where the parcels are."""

    x: float
    y: float
    name: str
    path: str
    lat: float
    lon: float


class Label(NamedTuple):
    """A name on the map; `end` is true if it stands left of its point."""

    x: float
    y: float
    name: str
    end: bool
    is_bold: bool


class RouteMap(NamedTuple):
    """A map ready to be drawn; `unplaced` are names without coordinates."""

    width: int
    height: int
    land: str
    ways: list[Way]
    destination: Destination | None
    labels: list[Label]
    unplaced: list[str]


class Frame(NamedTuple):
    """Section of the world: degrees to pixels."""

    west: float
    north: float
    per_degree: float
    narrowing: float

    def point(self, lon: float, lat: float) -> Point:
        """Pixel of a point."""
        x = (lon - self.west) * self.narrowing * self.per_degree
        return round(x, 1), round((self.north - lat) * self.per_degree, 1)


DECODER = msgspec.json.Decoder(Placed)


def route_map(order: OrderDocument, timeline: Sequence[AcceptedEvent]) -> RouteMap | None:
    """The map of an order; None where no place with coordinates is known."""
    visited = [(event.shipment, location_of(event)) for event in timeline]
    ways = ways_of(order, visited)
    end = order.destination
    points = [(p.lon, p.lat) for places in ways.values() for p in places]
    known = [(lon, lat) for lon, lat in points if lon is not None and lat is not None]
    if not known:
        return None
    target: Point | None = None
    if end and end.lon is not None and end.lat is not None:
        target = end.lon, end.lat
    frame = frame_of([*known, target] if target else known)
    arriving = {p.shipment for p in order.shipments if is_arriving(p)} if order.shipments else {""}
    drawn = [
        way(frame, parcel, number % COLOURS, places, is_ahead=parcel in arriving)
        for number, (parcel, places) in enumerate(ways.items())
        if places
    ]
    aim = destination(frame, *target, end.town or "", drawn) if target and end else None
    return RouteMap(
        width=WIDTH,
        height=HEIGHT,
        land=land_path(frame),
        ways=drawn,
        destination=aim,
        labels=labels(drawn, aim),
        unplaced=unplaced(visited),
    )


def is_arriving(parcel: ShipmentView) -> bool:
    """Return True for a parcel that is still to come to the destination."""
    is_over = parcel.ended_at is not None or parcel.status == DELIVERED
    return not is_over and parcel.direction != "return"


def location_of(event: AcceptedEvent) -> Location | None:
    """The place of an event."""
    return DECODER.decode(event.event).location


def ways_of(order: OrderDocument, visited: Sequence[Visited]) -> dict[str, list[Location]]:
    """Places with coordinates by parcel, each once in a row, by time."""
    ways: dict[str, list[Location]] = {p.shipment: [] for p in order.shipments}
    for shipment, place in visited:
        if place is None or place.lat is None or place.lon is None:
            continue
        places = ways.setdefault(shipment, [])
        if not places or (places[-1].lat, places[-1].lon) != (place.lat, place.lon):
            places.append(place)
    for parcel in order.shipments:
        place = parcel.location
        if not ways[parcel.shipment] and place and place.lat is not None:
            ways[parcel.shipment].append(place)
    return ways


def unplaced(visited: Sequence[Visited]) -> list[str]:
    """Names of places without coordinates, each once."""
    return list(dict.fromkeys(p.name for _, p in visited if p and p.name and p.lat is None))


def frame_of(points: Sequence[Point]) -> Frame:
    """The section around points, in the proportion of the picture."""
    lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
    middle = (min(lats) + max(lats)) / 2
    narrowing = max(cos(radians(middle)), 0.2)
    wide = max((max(lons) - min(lons)) * narrowing, LEAST_DEGREES) * (1 + 2 * PADDING)
    high = max(max(lats) - min(lats), LEAST_DEGREES) * (1 + 2 * PADDING)
    per_degree = min(WIDTH / wide, HEIGHT / high)
    west = (min(lons) + max(lons)) / 2 - WIDTH / per_degree / narrowing / 2
    return Frame(west, middle + HEIGHT / per_degree / 2, per_degree, narrowing)


def way(
    frame: Frame, parcel: str, colour: int, places: Sequence[Location], *, is_ahead: bool
) -> Way:
    """The way of a parcel in pixels."""
    points = [frame.point(p.lon or 0.0, p.lat or 0.0) for p in places]
    last = len(points) - 1
    stops = [
        Stop(x, y, n + 1, name_of(place), n == last, place.lat or 0.0, place.lon or 0.0)
        for n, ((x, y), place) in enumerate(zip(points, places, strict=True))
    ]
    return Way(parcel, colour, line(points), stops, is_ahead)


def name_of(place: Location) -> str:
    """The name of a place; without one its degrees."""
    return place.name or f"{place.lat or 0.0:.2f}, {place.lon or 0.0:.2f}"


def destination(frame: Frame, lon: float, lat: float, name: str, ways: list[Way]) -> Destination:
    """The destination, with a line from the last place of each parcel that is still to arrive."""
    end = frame.point(lon, lat)
    last = [way.stops[-1] for way in ways if way.is_ahead]
    here = [(stop.x, stop.y) for stop in last if (stop.x, stop.y) != end]
    return Destination(*end, name, "".join(line([point, end]) for point in here), lat, lon)


def labels(ways: Sequence[Way], aim: Destination | None) -> list[Label]:
    """Names of the places, each point once; one too near to another has none.

    The destination and where the parcels are come first.
    """
    stops = sorted((stop for way in ways for stop in way.stops), key=lambda each: not each.is_last)
    is_reached = aim is not None and any((stop.x, stop.y) == (aim.x, aim.y) for stop in stops)
    named = [(aim.x, aim.y, aim.name, True)] if aim and not is_reached else []
    named += [(stop.x, stop.y, stop.name, stop.is_last) for stop in stops]
    found: list[Label] = []
    for x, y, name, is_bold in named:
        if name and not any(abs(y - o.y) < NEAR_Y and abs(x - o.x) < NEAR_X for o in found):
            found.append(Label(x, y, name, x > WIDTH * RIGHT, is_bold))
    return found


def line(points: Sequence[Point]) -> str:
    """The path through points."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) if points else ""


class Outline(NamedTuple):
    """An outline of land in degrees, and the box around it."""

    west: float
    south: float
    east: float
    north: float
    points: list[Point]


@cache
def land() -> list[Outline]:
    """Outlines of land."""
    found = []
    for ring in json.loads(LAND.read_text(encoding="utf-8")):
        lons, lats = [value / 100 for value in ring[::2]], [value / 100 for value in ring[1::2]]
        points = list(zip(lons, lats, strict=True))
        found.append(Outline(min(lons), min(lats), max(lons), max(lats), points))
    return found


def land_path(frame: Frame) -> str:
    """Outlines of the land inside the section, as one path."""
    parts = []
    east = frame.west + WIDTH / frame.per_degree / frame.narrowing
    south = frame.north - HEIGHT / frame.per_degree
    for ring in land():
        if ring.west > east or ring.east < frame.west:
            continue
        if ring.south > frame.north or ring.north < south:
            continue
        points = clipped([frame.point(lon, lat) for lon, lat in ring.points])
        if points:
            parts.append(line(thinned(points)) + "Z")
    return "".join(parts)


def thinned(points: list[Point]) -> list[Point]:
    """Points without those less than two pixels from the one before."""
    kept = points[:1]
    for point in points[1:]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= 2:  # noqa: PLR2004 - pixels
            kept.append((round(point[0]), round(point[1])))
    return kept


def clipped(ring: list[Point]) -> list[Point]:
    """The part of a ring inside the picture and a little around it (Sutherland and Hodgman)."""
    edge = 10.0
    for axis, limit, sign in (
        (0, -edge, 1),
        (0, -(WIDTH + edge), -1),
        (1, -edge, 1),
        (1, -(HEIGHT + edge), -1),
    ):
        ring = cut(ring, axis, limit, sign)
        if not ring:
            return []
    return ring


def cut(ring: list[Point], axis: int, limit: float, sign: int) -> list[Point]:
    """The part of a ring on one side of a line."""
    kept: list[Point] = []
    for start, end in zip(ring[-1:] + ring[:-1], ring, strict=True):
        is_in, was_in = sign * end[axis] >= limit, sign * start[axis] >= limit
        if is_in != was_in:
            share = (limit * sign - start[axis]) / (end[axis] - start[axis])
            crossing = [start[n] + share * (end[n] - start[n]) for n in (0, 1)]
            kept.append((crossing[0], crossing[1]))
        if is_in:
            kept.append(end)
    return kept
