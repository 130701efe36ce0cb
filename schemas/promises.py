"""Promised instants: `promised_at` and `ship_by` as they are written, and zones.

A bare date, or a midnight in its own offset, means the end of that day: in the event's zone, else
in the offset beside the midnight, else in the lifecycle file's zone.
"""

import re
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.instants import DAY_MS, parse_instant, to_instant

WITHDRAWN_TEXT = "withdrawn"
WITHDRAWN = -1  # a promise that was taken back
BARE_DATE = len("2018-12-31")
MIDNIGHT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]00:00(:00([.,]0+)?)?([Zz]|[+-])")


def promise(text: str, zone: str | None, default: str = "UTC") -> int:
    """A promised instant, or WITHDRAWN; `default` is the zone of a bare date without `zone`.

    Raises:
        ValueError: it is none, or the zone doesn't exist.
    """
    if text == WITHDRAWN_TEXT:
        return WITHDRAWN
    try:
        if len(text) == BARE_DATE:
            return end_of_day(text, zone or default)
        return moment_or_day(text, zone)
    except (OSError, OverflowError, ZoneInfoNotFoundError) as error:
        raise ValueError(str(error)) from error


def moment_or_day(text: str, zone: str | None) -> int:
    """An instant, or the end of the day that a midnight means."""
    at = parse_instant(text)
    is_midnight = MIDNIGHT.match(text)
    if not is_midnight:
        return at
    day = text[:BARE_DATE]
    if zone:
        return end_of_day(day, zone)
    return at + DAY_MS - 1  # in a fixed offset every day has 24 hours


def end_of_day(text: str, zone: str | None) -> int:
    """The last ms of a date in a zone.

    `fold=1` is the later of two such moments, where clocks go back at midnight; and where clocks
    jump over it, it counts by the offset after the jump, which gives the last ms before.
    """
    last = time(23, 59, 59, 999_000, tzinfo=ZoneInfo(zone or "UTC"), fold=1)
    return to_instant(datetime.combine(datetime.fromisoformat(text).date(), last))


def is_zone(name: str) -> bool:
    """Return True if a zone of the time zone database has this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True
