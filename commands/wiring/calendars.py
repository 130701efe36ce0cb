"""Calendars that end soon: refused at start, or told in the log while there is time."""

import logging

from dataflows.core.calendar_ends import ending_calendars
from dataflows.core.rules import Rules
from schemas.errors import SettingsError
from schemas.instants import DAY_MS

LOGGER = logging.getLogger("ordertide.track")
MARGIN_MS = 7 * DAY_MS
WARNED_MS = 92 * DAY_MS


def check_calendars(rules: Rules, now: int) -> None:
    """Refuse rules whose calendars end before a deadline of an event in the next week.

    One that ends within three months is told in the log. Both are of the host's clock, and change
    no result: a deadline outside a calendar's years is audited and flagged wherever it is met.

    Raises:
        SettingsError: with file, line, calendar, rule and the years to name.
    """
    if faults := list(ending_calendars(rules, now + MARGIN_MS)):
        raise SettingsError("\n".join(faults))
    for fault in ending_calendars(rules, now + WARNED_MS):
        LOGGER.warning("%s", fault)
