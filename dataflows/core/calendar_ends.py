"""Ends of calendars: from when on the years that a calendar names are too short for its rules.

An event after that has no deadline by it, so a calendar that ends soon is a fault at start.
"""

from collections.abc import Iterator

from dataflows.core.rules import Limit, Rule, Rules
from dataflows.core.working_time import BEYOND_MS, Span
from schemas.instants import DAY_MS, format_instant

YEAR_CHARS, DATE_CHARS = len("2026"), len("2026-12-31")


def calendar_ends(rules: Rules) -> dict[str, int]:
    """{calendar: the last instant, in ms, of which all limits of its rules can be counted}."""
    ends: dict[str, int] = {}
    for _, limit in working_limits(rules):
        name = span_of(limit).name.partition(".")[2]
        ends[name] = min(ends.get(name, BEYOND_MS), latest(limit))
    return ends


def ending_calendars(rules: Rules, at: int) -> Iterator[str]:
    """A line for each calendar by which a rule has no deadline for an event at an instant.

    It names file, line, calendar, rule, and the years to name.
    """
    short = [one for one in working_limits(rules) if is_beyond(one[1], at)]
    for calendar in rules.calendars.values():
        named = [one for one in short if one[1].calendar is calendar]
        if named:
            yield fault_of(*max(named, key=lambda one: one[1].working_ms), at)


def is_beyond(limit: Limit, at: int) -> bool:
    """Return True if the years of a limit's calendar don't reach so far after an instant."""
    if limit.calendar is None:
        return False
    return limit.calendar.later(at, limit.working_ms, in_hours=limit.in_hours) >= BEYOND_MS


def fault_of(rule: Rule, limit: Limit, at: int) -> str:
    """Why a limit can't be counted from an instant, and what to write instead."""
    span = span_of(limit)
    first, last = span.years
    day = format_instant(at)[:DATE_CHARS]
    if at < span.begins_at:
        problem = f"its years begin with {first}"
    else:
        problem = f"its years end with {last}"
    years = [min(first, year_of(at)), max(last, year_of(at + wall_ms(limit)))]
    return (
        f"{span.place}: {span.name}: {problem}, so rule {rule.id} (line {rule.line}, after = "
        f'"{limit.text}") has no deadline for an event of {day}; write years = {years}'
    )


def year_of(at: int) -> int:
    """The year of an instant, UTC."""
    return int(format_instant(at)[:YEAR_CHARS])


def wall_ms(limit: Limit) -> int:
    """About how much time passes while the working time of a limit does, and a month."""
    span = span_of(limit)
    total = limit.calendar.total(in_hours=limit.in_hours) if limit.calendar else 1
    return limit.working_ms * (span.ends_at - span.begins_at) // max(total, 1) + 31 * DAY_MS


def working_limits(rules: Rules) -> list[tuple[Rule, Limit]]:
    """The limits in working time, each with its rule."""
    return [(rule, limit) for rule in rules.rules for limit in rule.working]


def span_of(limit: Limit) -> Span:
    """The years of a limit's calendar."""
    if limit.calendar is None:
        message = f"{limit.text} is no working time"
        raise ValueError(message)
    return limit.calendar.span


def latest(limit: Limit) -> int:
    """The last instant of which a limit can be counted, in ms."""
    if limit.calendar is None:
        return BEYOND_MS
    return limit.calendar.latest(limit.working_ms, in_hours=limit.in_hours)
