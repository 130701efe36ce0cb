"""Instants and durations.

An instant is an `int`: milliseconds since 1970-01-01T00:00:00Z. On the wire it is RFC 3339 with an
offset; what ordertide writes is UTC with milliseconds (`2018-01-31T02:30:00.000Z`). A duration is
an `int` of milliseconds; in rules and settings it is written `90s`, `15m`, `48h`, `3d`.
"""

import re
from datetime import UTC, datetime, timedelta

from schemas.errors import SettingsError

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS = timedelta(milliseconds=1)

# What an order event can plausibly carry. The packed history has 42 bits for a time, which ends in
# 2109; "the year 9999" from a broken clock must not become a deadline or move a recorded clock.
EARLIEST_AT = 0
LATEST_AT = 4_102_444_800_000  # 2100-01-01T00:00:00Z

UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
LEAP_SECOND = re.compile(r"(:[0-5]\d):60(?!\d)(?:[.,]\d+)?")
DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")


def is_plausible(at: int) -> bool:
    """Return True if an instant lies between 1970 and 2100: others only a broken clock writes."""
    return EARLIEST_AT <= at < LATEST_AT


def to_instant(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded down."""
    return (moment - EPOCH) // ONE_MS


def parse_instant(text: str) -> int:
    """Read RFC 3339 with an offset, cut to the ms; second 60 is the last ms of its minute.

    Raises:
        ValueError: the text is no RFC 3339 instant, or has no offset.
    """
    if ":60" in text:  # rare, and the search alone takes a third of the time
        text = LEAP_SECOND.sub(r"\1:59.999", text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"{text!r} has no UTC offset; write it like 2018-12-31T00:00:00-03:00"
        raise ValueError(message)
    return to_instant(moment)


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2018-01-31T02:30:00.000Z`."""
    day, ms = divmod(instant, DAY_MS)
    minute, ms = divmod(ms, MINUTE_MS)
    return f"{DAYS[day]}{MINUTES[minute]}{SECONDS[ms // 1000]}{MILLISECONDS[ms % 1000]}"


class Days(dict[int, str]):
    """Dates (`2018-01-31`) by days since the epoch; each is formatted once and cached."""

    def __missing__(self, day: int) -> str:
        """Write a day. There are 47,482 plausible ones, to the year 2100."""
        text = self[day] = f"{EPOCH + timedelta(days=day):%Y-%m-%d}"
        return text


# A document holds a dozen times; strftime takes over 1 us for each, small tables 0.3 us. (Keeping
# whole minutes took 0.5 to 1.0 us, as so many of them don't stay in the processor's cache.)
DAYS = Days()
MINUTES = [f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60)]
SECONDS = [f"{second:02d}." for second in range(60)]
MILLISECONDS = [f"{ms:03d}Z" for ms in range(1000)]


def parse_duration(text: str, *, of: str = "duration") -> int:
    """Milliseconds of `90s`, `15m`, `48h`, `3d` or a sum such as `1d12h`.

    Raises:
        SettingsError: the text is none of these; names `of`.
    """
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        message = f"{of}: {text!r} is no duration; write a number and ms, s, m, h or d, like 48h"
        raise SettingsError(message)
    return sum(int(number) * UNITS_MS[unit] for number, unit in parts)


def format_duration(duration_ms: int) -> str:
    """The shortest exact writing in one unit: 172,800,000 is `2d`, 129,600,000 is `36h`."""
    for unit in ("d", "h", "m", "s"):
        if duration_ms and duration_ms % UNITS_MS[unit] == 0:
            return f"{duration_ms // UNITS_MS[unit]}{unit}"
    return f"{duration_ms}ms"
