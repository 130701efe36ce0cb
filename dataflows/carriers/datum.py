"""GCJ-02, in which Chinese maps must be drawn, and WGS 84, in which the rest of the world is.

GCJ-02 shifts points in China by 100 to 700 m. The shift is published only as reverse-engineered
code (https://en.wikipedia.org/wiki/Restrictions_on_geographic_data_in_China); it has no closed
inverse, so the inverse is found by iteration.
"""

from math import cos, isfinite, pi, sin, sqrt
from typing import NamedTuple

# The ellipsoid of Krassowski 1940, which the shift is defined on.
SEMI_MAJOR_AXIS_M = 6378245.0
ECCENTRICITY_SQUARED = 0.00669342162296594323


class Box(NamedTuple):
    """A box of degrees."""

    south: float
    west: float
    north: float
    east: float

    def holds(self, lat: float, lon: float) -> bool:
        """Return True for a point in the box."""
        return self.south <= lat <= self.north and self.west <= lon <= self.east


# China in boxes, less those of its neighbours: Taiwan, Vietnam and Laos, Russia and Mongolia. One
# box around all of it would shift Seoul, Hanoi, Delhi and Singapore as well. The boxes are those of
# https://www.cnblogs.com/Aimeast/archive/2012/08/09/2629614.html, which are widely used; along the
# borders they are wrong by some tens of kilometres.
CHINA = (
    Box(42.8899, 79.4462, 49.2204, 96.33),
    Box(39.3742, 109.6872, 54.1415, 135.0002),
    Box(29.5297, 73.1246, 42.8899, 124.143255),
    Box(26.7186, 82.9684, 29.5297, 97.0352),
    Box(20.414096, 97.0253, 29.5297, 124.367395),
    Box(17.871542, 107.975793, 20.414096, 111.744104),
)
NEIGHBOURS = (
    Box(21.785006, 119.921265, 25.398623, 122.497559),
    Box(20.0988, 101.8652, 22.284, 106.665),
    Box(20.4878, 106.4525, 21.5422, 108.051),
    Box(50.3257, 109.0323, 55.8175, 119.127),
    Box(49.5574, 127.4568, 55.8175, 137.0227),
    Box(42.5692, 131.2662, 44.8922, 137.0227),
)

# The shift changes by less than 1 % over its own length: each round leaves less than a hundredth
# of the error, so four bring 700 m below 0.1 mm.
ROUNDS = 4


def to_wgs84(lat: float, lon: float) -> tuple[float, float]:
    """(lat, lon) of a GCJ-02 point in WGS 84, degrees; outside China the two are the same.

    Raises:
        ValueError: no numbers of degrees.
    """
    if not (isfinite(lat) and isfinite(lon)):
        message = f"({lat}, {lon}) is no point"
        raise ValueError(message)
    if not in_china(lat, lon):
        return lat, lon
    true_lat, true_lon = lat, lon
    for _ in range(ROUNDS):
        shift_lat, shift_lon = shift(true_lat, true_lon)
        true_lat, true_lon = lat - shift_lat, lon - shift_lon
    return true_lat, true_lon


def to_gcj02(lat: float, lon: float) -> tuple[float, float]:
    """(lat, lon) of a WGS 84 point in GCJ-02, degrees; outside China the two are the same."""
    if not in_china(lat, lon):
        return lat, lon
    north, east = shift(lat, lon)
    return lat + north, lon + east


def in_china(lat: float, lon: float) -> bool:
    """Return True if the shift applies."""
    inside = any(box.holds(lat, lon) for box in CHINA)
    return inside and not any(box.holds(lat, lon) for box in NEIGHBOURS)


def shift(lat: float, lon: float) -> tuple[float, float]:
    """(degrees north, degrees east) by which GCJ-02 moves a WGS 84 point in China."""
    x, y = lon - 105.0, lat - 35.0
    root = sqrt(abs(x))
    waves = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north_m = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + waves
    north_m += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north_m += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east_m = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + waves
    east_m += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east_m += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    return to_degrees(lat, north_m, east_m)


def to_degrees(lat: float, north_m: float, east_m: float) -> tuple[float, float]:
    """Metres north and east at a latitude as degrees."""
    flattened = 1 - ECCENTRICITY_SQUARED * sin(lat * pi / 180.0) ** 2
    meridian_m = SEMI_MAJOR_AXIS_M * (1 - ECCENTRICITY_SQUARED) / (flattened * sqrt(flattened))
    parallel_m = SEMI_MAJOR_AXIS_M / sqrt(flattened) * cos(lat * pi / 180.0)
    return north_m / meridian_m * 180.0 / pi, east_m / parallel_m * 180.0 / pi
