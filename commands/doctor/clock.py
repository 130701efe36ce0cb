"""Offset of a server's clock to this host's."""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

from commands.doctor.findings import Finding, ok, warning
from commands.wiring.process import now_ms
from schemas.instants import SECOND_MS, to_instant

HTTP_DATE_TOLERANCE_MS = 2 * SECOND_MS  # the header has whole seconds
ADVICE = "let one time service (NTP, chrony) set the clocks of all hosts"


def clock_finding(
    ahead_ms: int,
    tolerance_ms: int,
    round_trip_ms: int = 0,
    beyond: Callable[[str, str, str], Finding] = warning,
) -> Finding:
    """`ahead_ms` is the server's clock less ours, off by half a round trip at most."""
    found = f"{abs(ahead_ms)} ms {'ahead of' if ahead_ms >= 0 else 'behind'} this host's"
    if abs(ahead_ms) > tolerance_ms + round_trip_ms // 2:
        return beyond("clock", f"{found}; {tolerance_ms} ms are allowed", ADVICE)
    return ok("clock", found)


def http_clock(date: str | None, asked_at: int) -> Finding:
    """Compare the Date header of an answer with `asked_at`, the time of the request."""
    if not date:
        return ok("clock", "the server sends no Date header; not compared")
    try:
        server_date = parsedate_to_datetime(date)
        server_at = to_instant(
            server_date if server_date.tzinfo else server_date.replace(tzinfo=UTC)
        )
    except ValueError:
        return warning("clock", f"the Date header is {date!r}", "check the proxies in between")
    middle_at = (asked_at + now_ms()) // 2
    # Rounded down to the second: half of it is the best guess.
    ahead_ms = server_at + SECOND_MS // 2 - middle_at
    return clock_finding(ahead_ms, HTTP_DATE_TOLERANCE_MS, now_ms() - asked_at)
