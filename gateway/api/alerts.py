"""Alerts: those that are open on live orders, and what operators set on them.

An acknowledgement, a snooze and an owner are notes in the control topic; a comment is a NOTE event
of the order. Each write is audited with its operator, instant and address. None of them stops the
renewals of an alert at its receivers.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.lanes import filter_of, through_of
from gateway.asked import instant_of
from gateway.live.view import Row
from gateway.problems import Problem
from gateway.route import Call
from schemas.alert import AuditEntry, Severity
from schemas.alert_notes import ALERT, AlertNote, Mark, State, state_of
from schemas.card import Card
from schemas.instants import DAY_MS, format_instant
from schemas.keys import content_id

MOST_ALERTS = 200
MOST_OPEN = 1_000_000  # of an installation
LONGEST_SNOOZE_MS = 7 * DAY_MS
SWEPT = 100  # notes of alerts that have ended, taken away at a write
SOURCE = "gateway"


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open alerts with this rule, severity, carrier, supplier, status, owner and state."""

    rule: str | None = None
    severity: Severity | None = None
    carrier: str | None = None
    supplier: str | None = None
    status: str | None = None
    owner: str | None = None
    state: State | None = None


class AlertsAsked(AlertFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts with this rule, severity, carrier, supplier, owner or state."""

    skip: Annotated[int, Meta(ge=0, le=100_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_ALERTS)] = 100


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert with its note."""

    alert_id: str
    tenant: str
    order_id: str
    status: str | None
    carrier: str | None
    rule: str
    severity: Severity
    since_at: str
    due_at: str
    summary: str
    description: str
    state: State
    acked: Mark | None
    snoozed_until: str | None
    owner: str | None


class AlertsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts, the one that opened or escalated last first."""

    through: str | None
    alerts: list[AlertView]
    next: int | None


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body without fields."""


class Snooze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a snooze, at most seven days ahead; an empty one ends the snooze now."""

    until: str


class Assign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new owner; an empty one takes the owner away."""

    to: Annotated[str, Meta(max_length=100)]


class Comment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comment on the order; it is sealed as personal data."""

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]


async def alerts(call: Call) -> AlertsAnswer:
    """Open alerts, the one that opened or escalated last first."""
    call.gateway.check_loaded()
    asked = call.asked
    with call.gateway.follower.view() as view:
        rows = view.newest(MOST_OPEN, filter_of(call.caller, asked))
    found = [view_of(call, row) for row in rows if is_asked(call, row)]
    page = found[asked.skip : asked.skip + asked.limit]
    has_more = asked.skip + asked.limit < len(found)
    following = asked.skip + asked.limit if has_more else None
    return AlertsAnswer(through=through_of(call), alerts=page, next=following)


async def acknowledge(call: Call) -> AlertView:
    """Acknowledge an alert: until it ends or escalates."""
    mark = mark_of(call)
    return await noted(call, "acknowledged", lambda note: replaced(note, acked=mark))


async def snooze(call: Call) -> AlertView:
    """Snooze an alert until an instant, at most seven days ahead; void once it escalates.

    An empty `until` ends the snooze now.
    """
    return await noted(call, "snoozed", snoozing(call, call.asked.until), until=call.asked.until)


async def assign(call: Call) -> AlertView:
    """Give an alert an owner, or take it from its owner."""
    mark, owner = mark_of(call), call.asked.to or None
    return await noted(
        call,
        "assigned",
        lambda note: replaced(note, owner=owner, assigned=mark),
        to=call.asked.to,
    )


async def comment(call: Call) -> AlertView:
    """Comment on an alert's order: a NOTE event, whose text is sealed as personal data."""
    row = row_of(call)
    unique = call.request.headers.get("idempotency-key") or call.request_id
    data = msgspec.json.encode(
        {
            "event_id": content_id("comment", call.caller.key_id, row.alert.alert_id, unique),
            "source": SOURCE,
            "tenant": row.card.tenant,
            "order_id": row.card.order_id,
            "status_code": "NOTE",
            "timestamp": event_time(call),
            "operator": operator_of(call),
            "ip": call.ip,
            "personal": {"text": call.asked.text},
        }
    )
    event = call.gateway.ingest.checked(data)
    await call.gateway.ingest.send([(event, data)], call.caller.key_id, call.ip)
    await audited(call, [row], "commented", {})
    return view_of(call, row)


async def noted(
    call: Call, what: str, change: Callable[[AlertNote], AlertNote], **detail: str
) -> AlertView:
    """Set something on an alert, audited first; the alert afterwards."""
    row = row_of(call)
    await all_noted(call, [row], what, change, **detail)
    return view_of(call, row)


async def all_noted(
    call: Call, rows: list[Row], what: str, change: Callable[[AlertNote], AlertNote], **detail: str
) -> None:
    """Set something on alerts, audited first; notes of alerts that have ended are swept."""
    notes, records = call.gateway.notes, dict[str, bytes | None]()
    for row in rows:
        empty = AlertNote(key=row.card.key, severity=row.alert.severity)
        note = change(notes.of(row.alert) or empty)
        records[row.alert.alert_id] = msgspec.json.encode(note)
    await audited(call, rows, what, detail)
    await call.gateway.control.put_all(ALERT, records | dict.fromkeys(ended(call)[:SWEPT]))


def snoozing(call: Call, text: str) -> Callable[[AlertNote], AlertNote]:
    """The change that snoozes an alert until an instant, or ends its snooze if that is "".

    Raises:
        Problem: `bad_field`, it is past or too far ahead.
    """
    mark = mark_of(call)
    if not text:
        return lambda note: replaced(note, snoozed_until=None, snoozed=mark)
    until, now = instant_of("until", text), call.gateway.now_ms()
    if not now < until <= now + LONGEST_SNOOZE_MS:
        raise Problem("bad_field", "until: it is past, or over seven days ahead", field="until")
    return lambda note: replaced(note, snoozed_until=format_instant(until), snoozed=mark)


def ended(call: Call) -> list[str]:
    """Ids of alerts that have notes and are open no more."""
    with call.gateway.follower.view() as view:
        cards = {
            alert_id: view.card(note.key) for alert_id, note in call.gateway.notes.records.items()
        }
    return [
        alert_id
        for alert_id, card in cards.items()
        if card is None or all(alert.alert_id != alert_id for alert in card.alerts)
    ]


def row_of(call: Call) -> Row:
    """The open alert in the path, with its card.

    Raises:
        Problem: `unknown_alert`, none is open under the id in the caller's scope.
    """
    call.gateway.check_loaded()
    alert_id = call.parameter("id")

    def is_its(card: Card) -> bool:
        is_own = call.caller.tenant in {None, card.tenant}
        return is_own and any(alert.alert_id == alert_id for alert in card.alerts)

    with call.gateway.follower.view() as view:
        rows = view.newest(MOST_ALERTS, is_its)
    for row in rows:
        if row.alert.alert_id == alert_id:
            return row
    raise Problem("unknown_alert", f"alert {alert_id!r}: none is open under this id")


async def audited(call: Call, rows: list[Row], what: str, detail: dict[str, str]) -> None:
    """Write a change of alerts to the audit; it is there when this returns."""
    entries = [
        (row.card.key, msgspec.json.encode(entry_of(call, row, what, detail))) for row in rows
    ]
    await call.gateway.ingest.audit(entries)


def entry_of(call: Call, row: Row, what: str, detail: dict[str, str]) -> AuditEntry:
    """The audit entry of a change of an alert."""
    unique = f"{call.request_id} {what} {row.alert.alert_id}"
    return AuditEntry(
        audit_id=sha256(unique.encode()).hexdigest()[:32],
        at=format_instant(call.gateway.now_ms()),
        what=f"alert.{what}",
        tenant=row.card.tenant,
        order_id=row.card.order_id,
        detail={"alert_id": row.alert.alert_id, "rule": row.alert.rule, **detail},
        operator=operator_of(call),
        ip=call.ip,
        source=SOURCE,
    )


def view_of(call: Call, row: Row) -> AlertView:
    """An alert as it is answered."""
    card, alert = row.card, row.alert
    wording, note = call.gateway.wording["en"], call.gateway.notes.of(alert)
    return AlertView(
        alert_id=alert.alert_id,
        tenant=card.tenant,
        order_id=card.order_id,
        status=card.status,
        carrier=card.carrier,
        rule=alert.rule,
        severity=alert.severity,
        since_at=alert.since_at,
        due_at=alert.because.due_at,
        summary=wording.summary(card, alert),
        description=wording.description(card, alert),
        state=state_of(note, call.gateway.now_ms()),
        acked=note.acked if note else None,
        snoozed_until=note.snoozed_until if note else None,
        owner=note.owner if note else None,
    )


def is_asked(call: Call, row: Row) -> bool:
    """Return True if an alert is one of those asked for."""
    asked, alert = call.asked, row.alert
    note = call.gateway.notes.of(alert)
    return (
        asked.rule in {None, alert.rule}
        and asked.severity in {None, alert.severity}
        and asked.owner in {None, note.owner if note else ""}
        and asked.state in {None, state_of(note, call.gateway.now_ms())}
    )


def replaced(note: AlertNote, **fields: Mark | str | None) -> AlertNote:
    """A note with other fields."""
    return msgspec.structs.replace(note, **fields)


def operator_of(call: Call) -> str:
    """The name of the caller's key, else its id."""
    return call.caller.name or call.caller.key_id


def event_time(call: Call) -> str:
    """The instant of an event that a call makes: the stream's with recorded history."""
    now = format_instant(call.at_ms)
    return through_of(call) or now if call.gateway.is_recorded else now


def mark_of(call: Call) -> Mark:
    """The mark of a write that is made now."""
    return Mark(by=operator_of(call), at=format_instant(call.gateway.now_ms()), ip=call.ip)
