"""Alerts, deadlines and instants in words, for people at a terminal."""

from dataflows.core.rules import Rules
from schemas.alert import AlertTransition, Because, Severity
from schemas.display import printable
from schemas.instants import format_instant
from schemas.order import OpenAlert

NO_LIMIT = "0s"


def shown(instant: str | None) -> str:
    """`2018-09-10T03:00:00.000Z` as `2018-09-10 03:00`; times are UTC throughout."""
    return printable(instant[:16].replace("T", " ")) if instant else "-"


def shown_ms(at: int | None) -> str:
    """As `shown`, of an instant in ms."""
    return shown(None if at is None else format_instant(at))


def label_of(rules: Rules, rule: str) -> str:
    """Label of a rule for people; its id where the rules in use don't have it."""
    known = rules.by_id.get(rule)
    return printable(known.row.label.get("en", rule) if known else rule)


def has_escalated(rules: Rules, rule: str, severity: Severity) -> bool:
    """Return True if an alert of this severity has passed the rule's own limit."""
    known = rules.by_id.get(rule)
    return known is not None and known.row.escalate is not None and severity == "overdue"


def why(rules: Rules, alert: AlertTransition | OpenAlert) -> str:
    """Why an alert is open, in words."""
    is_early = alert.because.limit.startswith("-")
    is_past = is_early and has_escalated(rules, alert.rule, alert.severity)
    return printable(reason(alert.because, is_past=is_past))


def reason(because: Because, *, is_past: bool) -> str:
    """Reason of an alert: its anchor, the limit, and the last event before it.

    `is_past`: a limit before the anchor has escalated, so the anchor itself has passed.
    """
    anchor = because.anchor.removeprefix("milestone ")
    since = f"{anchor} {shown(because.anchor_at)}"
    last = f"last event: {because.last_event} {shown(because.last_event_at)}"
    parcel = f" (parcel {because.shipment})" if because.shipment else ""
    if because.limit.startswith("-") and not is_past:
        return f"less than {because.limit[1:]} to {since}{parcel}; {last}"
    if is_past or because.limit == NO_LIMIT:
        return f"past {since}{parcel}; {last}"
    if because.anchor == "condition":
        return f"since {shown(because.due_at)}: {because.limit}{parcel}; {last}"
    return f"over {because.limit} since {since}{parcel}; {last}"
