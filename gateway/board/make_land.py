"""Make `land.json`, the outlines of land under the maps, from Natural Earth (public domain).

Source: `land-50m.json` of the npm package world-atlas 2.0.2, which packs Natural Earth 1:50m as
TopoJSON (`npm pack world-atlas@2.0.2`). Land only, no borders: borders are points of view.

    python gateway/board/make_land.py package/land-50m.json

The outlines are thinned to 0.06 degrees, islets are left out; a ring is one list of longitude,
latitude, longitude, ... in hundredths of a degree.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Point = tuple[float, float]
TOLERANCE = 0.06  # degrees
LEAST_AREA = 0.04  # square degrees
HALF = 180
ANTARCTICA_LAT = -62
TARGET = Path(__file__).with_name("land.json")


def main(source: Path) -> None:
    """Read TopoJSON, write the rings."""
    topology = json.loads(source.read_text(encoding="utf-8"))
    whole = [each for ring in rings_of(topology) for each in around(ring)]
    rings = [thinned(ring) for ring in whole if area(ring) >= LEAST_AREA]
    flat = [[round(value * 100) for point in ring for value in point] for ring in rings]
    TARGET.write_text(json.dumps(flat, separators=(",", ":")) + "\n", encoding="utf-8")


def rings_of(topology: dict[str, Any]) -> Iterator[list[Point]]:
    """The outer rings of all polygons, in degrees."""
    arcs = [list(decoded(arc, topology["transform"])) for arc in topology["arcs"]]
    for geometry in topology["objects"]["land"]["geometries"]:
        is_one = geometry["type"] == "Polygon"
        for polygon in [geometry["arcs"]] if is_one else geometry["arcs"]:
            ring: list[Point] = []
            for number in polygon[0]:
                arc = arcs[number] if number >= 0 else arcs[~number][::-1]
                ring += arc[1 if ring else 0 :]
            yield ring


def around(ring: list[Point]) -> Iterator[list[Point]]:
    """A ring without jumps at the 180th meridian: once on each side of it. Not Antarctica."""
    if min(lat for _, lat in ring) < ANTARCTICA_LAT:
        return
    turned: list[Point] = []
    turn = 0
    for lon, lat in ring:
        if turned and abs(lon + turn - turned[-1][0]) > HALF:
            turn += -2 * HALF if lon + turn > turned[-1][0] else 2 * HALF
        turned.append((lon + turn, lat))
    yield turned
    if max(lon for lon, _ in turned) > HALF:
        yield [(lon - 2 * HALF, lat) for lon, lat in turned]
    if min(lon for lon, _ in turned) < -HALF:
        yield [(lon + 2 * HALF, lat) for lon, lat in turned]


def decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> Iterator[Point]:
    """The points of an arc, which holds differences of whole steps."""
    (scale_x, scale_y), (first_x, first_y) = transform["scale"], transform["translate"]
    x = y = 0
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        yield x * scale_x + first_x, y * scale_y + first_y


def area(ring: list[Point]) -> float:
    """Area of a ring in square degrees."""
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2


def thinned(ring: list[Point]) -> list[Point]:
    """The ring without points that lie less than the tolerance off (Douglas and Peucker)."""
    kept = {0, len(ring) - 1}
    spans = [(0, len(ring) // 2), (len(ring) // 2, len(ring) - 1)]
    kept.add(len(ring) // 2)
    while spans:
        first, last = spans.pop()
        between = range(first + 1, last)
        far = max(between, key=lambda at: off(ring[at], ring[first], ring[last]), default=None)
        if far is not None and off(ring[far], ring[first], ring[last]) > TOLERANCE:
            kept.add(far)
            spans += [(first, far), (far, last)]
    return [ring[at] for at in sorted(kept)]


def off(point: Point, start: Point, end: Point) -> float:
    """Distance of a point from the line between two others, in degrees."""
    (x, y), (x1, y1), (x2, y2) = point, start, end
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    if not length:
        return float(((x - x1) ** 2 + (y - y1) ** 2) ** 0.5)
    return float(abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
