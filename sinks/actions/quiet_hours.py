"""Quiet hours of a kind of action, in the zone of its recipient.

The zone is that of the order's destination: of its country, where all zones of the country have
one time, else of the nearest place that the time zone database names. Where the destination gives
none, it is the zone of the table.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from functools import cache
from math import cos, radians
from pathlib import Path
from typing import NamedTuple
from zoneinfo import TZPATH, ZoneInfo

from schemas.errors import SettingsError
from schemas.event import Destination
from schemas.instants import EPOCH, ONE_MS, to_instant

RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
COORDINATE = re.compile(r"([+-])(\d{2,3})(\d{2})(\d{2})?(?=[+-]|$)")
PLACES_FILE = "zone.tab"
COLUMNS = 3  # country, coordinates, zone
# The whole country has the time of its capital, by law; the database also has Urumqi's own.
BY_LAW = {"CN": "Asia/Shanghai"}


class QuietHours(NamedTuple):
    """Hours of a day in which nothing is sent; they pass midnight where `end` is before `begin`."""

    begin: dt.time
    end: dt.time

    def ends_at(self, at: int, zone: ZoneInfo) -> int | None:
        """The instant (ms) at which the quiet hours around `at` end; None outside of them."""
        local = local_time(at, zone)
        now = local.time()
        passes_midnight = self.end <= self.begin
        is_quiet = (
            now >= self.begin or now < self.end if passes_midnight else self.begin <= now < self.end
        )
        if not is_quiet:
            return None
        is_tomorrow = passes_midnight and now >= self.begin
        day = local.date() + dt.timedelta(days=int(is_tomorrow))
        return to_instant(dt.datetime.combine(day, self.end, zone))


class ZonePlace(NamedTuple):
    """A zone with the place that it is named after."""

    zone: str
    lat: float
    lon: float


def parse_quiet(text: str) -> QuietHours:
    """The quiet hours of `21:00-08:00`.

    Raises:
        SettingsError: it isn't written so, or it is the whole day.
    """
    found = RANGE.fullmatch(text)
    if not found:
        raise SettingsError(f"{text!r} are no hours; write them like 21:00-08:00")
    begin = dt.time(int(found[1]), int(found[2]))
    end = dt.time(int(found[3]), int(found[4]))
    if begin == end:
        raise SettingsError(f"{text!r} is the whole day; leave some, like 21:00-08:00")
    return QuietHours(begin, end)


def zone_of(destination: Destination | None, usual: str, at: int) -> str:
    """Name of the zone at a destination, at the instant `at`; `usual` where it gives none."""
    country = (destination.country or "").strip().upper() if destination else ""
    if country in BY_LAW:
        return BY_LAW[country]
    places = zone_places().get(country, ())
    offsets = {local_time(at, ZoneInfo(place.zone)).utcoffset() for place in places}
    if len(offsets) == 1:
        return places[0].zone
    if destination is None or destination.lat is None or destination.lon is None:
        return usual
    lat, lon = destination.lat, destination.lon

    def distance(place: ZonePlace) -> float:
        across = (abs(place.lon - lon) + 180) % 360 - 180
        return (place.lat - lat) ** 2 + (across * cos(radians(lat))) ** 2

    return min(places, key=distance).zone if places else usual


def local_time(at: int, zone: ZoneInfo) -> dt.datetime:
    """An instant (ms) in a zone."""
    return (EPOCH + at * ONE_MS).astimezone(zone)


def next_day_at(at: int, zone: ZoneInfo) -> int:
    """The instant (ms) at which the day after that of `at` begins in a zone."""
    tomorrow = local_time(at, zone).date() + dt.timedelta(days=1)
    return to_instant(dt.datetime.combine(tomorrow, dt.time(), zone))


@cache
def zone_places() -> Mapping[str, tuple[ZonePlace, ...]]:
    """Zones by country, as the system's time zone database lists them; empty without the list."""
    for folder in TZPATH:
        try:
            text = (Path(folder) / PLACES_FILE).read_text("utf-8")
        except OSError:
            continue
        found: dict[str, tuple[ZonePlace, ...]] = {}
        for country, place in parse_places(text):
            found[country] = (*found.get(country, ()), place)
        return found
    return {}


def parse_places(text: str) -> Iterator[tuple[str, ZonePlace]]:
    """(country, zone with its place) of each line of zone.tab."""
    for line in text.splitlines():
        parts = line.split("\t")
        if line.startswith("#") or len(parts) < COLUMNS:
            continue
        lat, lon = (
            (-1 if sign == "-" else 1) * (int(whole) + int(minutes) / 60)
            for sign, whole, minutes, _ in COORDINATE.findall(parts[1])
        )
        yield parts[0], ZonePlace(parts[2], lat, lon)
