"""Working time: working days and hours of a calendar, compiled to intervals in UTC.

Public holidays are those of the `holidays` package (MIT), by ISO 3166 country and region. A new
version of it may know other days, so its version counts as part of the rules.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dataflows.core import compiled
from dataflows.core.rules_file import CalendarRow
from schemas.errors import SettingsError
from schemas.instants import to_instant

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 1_440
TIME = re.compile(r"(\d{1,2}):([0-5]\d)")
BEYOND_MS = compiled.BEYOND_MS  # no instant: a deadline outside the calendar's years


class Span(NamedTuple):
    """Name of a compiled calendar, its place, and the years that it was compiled for.

    `begins_at` and `ends_at` are the ends of these years in ms UTC.
    """

    name: str
    place: str
    years: tuple[int, int]
    begins_at: int
    ends_at: int


class WorkingTime:
    """A compiled calendar: the working days, and the working hours, as intervals in ms UTC."""

    def __init__(
        self,
        span: Span,
        days: list[tuple[int, int]],
        hours: list[tuple[int, int]],
        cut_off: list[int],
    ) -> None:
        """Take the intervals, in order; `cut_off` has for each day the instant, or is empty."""
        self.span = span
        shown = f"{span.name} ({span.years[0]} to {span.years[1]})"
        self.compiled = compiled.WorkingTime(
            shown, span.begins_at, span.ends_at, days, hours, cut_off
        )

    def total(self, *, in_hours: bool) -> int:
        """All working time of its years, in ms."""
        return self.compiled.total(in_hours)

    def latest(self, working_ms: int, *, in_hours: bool) -> int:
        """The last instant of which `working_ms` of working time are left, a cut-off aside."""
        return self.compiled.latest(working_ms, in_hours)

    def later(self, at: int, working_ms: int, *, in_hours: bool) -> int:
        """The instant at which `working_ms` of working time have passed since `at`.

        Of days, an instant after a day's cut-off counts from the end of that day on. BEYOND_MS
        where `at` or that instant is outside the calendar's years.
        """
        return self.compiled.later(at, working_ms, in_hours)


def compile_calendar(name: str, place: str, row: CalendarRow) -> WorkingTime:
    """Compile a calendar for the years that it names; `place` is the file and line of it.

    Raises:
        SettingsError: its zone, country, days or hours are none.
    """
    zone = zone_of(row.zone)
    closed = {date_of("closed", day) for day in row.closed}
    opened = {date_of("open", day) for day in row.open}
    begins, ends = hours_of(row.hours)
    cut_off = minutes_of("cut_off", row.cut_off) if row.cut_off else None
    first, last = row.years
    if not 1970 <= first <= last <= 2100:  # noqa: PLR2004 - the years that instants can lie in
        message = f"years: [{first}, {last}] are no years from 1970 to 2100, the earlier one first"
        raise SettingsError(message)
    public = public_holidays(row)
    weekend = {WEEKDAYS.index(day) for day in row.weekend}
    days, hours, cut_offs = [], [], []
    day = date(first, 1, 1)
    while day.year <= last:
        is_closed = day in closed or day.weekday() in weekend or day in public
        if day in opened or not is_closed:
            days.append((instant(day, 0, zone), instant(day, MINUTES_A_DAY, zone)))
            hours.append((instant(day, begins, zone), instant(day, ends, zone)))
            if cut_off is not None:
                cut_offs.append(instant(day, cut_off, zone))
        day += timedelta(days=1)
    span = Span(name, place, row.years, instant(date(first, 1, 1), 0, zone), instant(day, 0, zone))
    return WorkingTime(span, days, hours, cut_offs)


def zone_of(text: str) -> ZoneInfo:
    """The time zone.

    Raises:
        SettingsError: there is none of this name.
    """
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:
        message = f"zone: {text!r} is no time zone; name one such as Europe/Berlin"
        raise SettingsError(message) from error


def date_of(field: str, text: str) -> date:
    """A day of `closed` or `open`.

    Raises:
        SettingsError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"{field}: {text!r} is no date; write one such as 2026-12-24"
        raise SettingsError(message) from error


def public_holidays(row: CalendarRow) -> set[date]:
    """The public holidays of the calendar's country in its years.

    Raises:
        SettingsError: the country or region isn't known.
    """
    if row.country is None:
        if row.region is not None:
            message = f"region: {row.region!r} is one of a country; name the country as well"
            raise SettingsError(message)
        return set()
    import holidays  # noqa: PLC0415 - 0.3 s of CPU that rules without calendars do without

    known = holidays.list_supported_countries()
    if row.country not in known:
        alike = f"; did you mean {row.country.upper()}?" if row.country.upper() in known else ""
        message = (
            f"country: {row.country!r} is no country whose public holidays are known; write an "
            f"ISO 3166 code such as DE, or list the days under closed{alike}"
        )
        raise SettingsError(message)
    years = range(row.years[0], row.years[1] + 1)
    try:
        return set(holidays.country_holidays(row.country, subdiv=row.region, years=years))
    except NotImplementedError as error:
        message = (
            f"region: {row.region!r} is no region of {row.country}; known: "
            f"{', '.join(known[row.country]) or 'none'}"
        )
        raise SettingsError(message) from error


def holidays_version() -> bytes:
    """Version of the package whose public holidays the calendars have."""
    from holidays.version import __version__  # noqa: PLC0415 - likewise

    return __version__.encode()


def instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The instant of a local time, minutes after midnight; where it never was, the moment after."""
    if minutes >= MINUTES_A_DAY:
        return instant(day + timedelta(days=1), minutes - MINUTES_A_DAY, zone)
    wall = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    real = wall.astimezone(UTC).astimezone(zone)
    if real.replace(tzinfo=None) != wall.replace(tzinfo=None):  # in the gap of a change of clocks
        wall = wall.replace(fold=0 if real > wall else 1)
    return to_instant(wall)


def hours_of(text: str) -> tuple[int, int]:
    """(begin, end) in minutes of `09:00-18:00`.

    Raises:
        SettingsError: they are none, or the end is not after the begin.
    """
    begins, _, ends = text.partition("-")
    found = minutes_of("hours", begins), minutes_of("hours", ends)
    if found[0] >= found[1]:
        message = f"hours: {text!r} end before they begin; they can't pass midnight"
        raise SettingsError(message)
    return found


def minutes_of(field: str, text: str) -> int:
    """Minutes since midnight of `09:30`; 24:00 is the end of the day.

    Raises:
        SettingsError: it is no time of a day.
    """
    parts = TIME.fullmatch(text.strip())
    found = int(parts[1]) * 60 + int(parts[2]) if parts else MINUTES_A_DAY + 1
    if found > MINUTES_A_DAY:
        message = f"{field}: {text!r} is no time of a day; write one such as 09:30"
        raise SettingsError(message)
    return found
