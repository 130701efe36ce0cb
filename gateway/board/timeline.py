"""Timeline of an order: its events and the alerts on it in one stream, by day, newest first."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from gateway.board.wording import Words
from schemas.alert import Action, AuditEntry
from schemas.display import printable_json
from schemas.instants import HOUR_MS, parse_instant
from schemas.order import AcceptedEvent, OpenAlert, OrderDocument

LATE_MS = HOUR_MS
MASK = "•••"
MASKED = ("personal",)
OUTCOMES = ("action:", "note:")  # sources of what came of an action, and of notes of our own


class Item(NamedTuple):
    """An entry. `kind` is fact, action, warning or overdue; `notes` are flags in words."""

    kind: str
    anchor: str
    clock: str
    title: str
    place: str
    parcel: str
    source: str
    notes: list[str]
    raw: str


class Day(NamedTuple):
    """A day with its entries."""

    label: str
    items: list[Item]


class Told(msgspec.Struct, frozen=True):
    """Fields of an event that its entry shows."""

    source: str = ""
    status_code: str = ""
    location: dict[str, Any] | None = None
    attributes: dict[str, Any] | None = None
    operator: str | None = None
    corrects: str | None = None
    dropped_fields: list[str] | None = None
    text: Any = None  # of an action's outcome


DECODER = msgspec.json.Decoder(Told)


def days(
    words: Words,
    order: OrderDocument,
    timeline: Sequence[AcceptedEvent],
    now: int,
    *,
    is_staff: bool,
    audit: Sequence[AuditEntry] = (),
) -> list[Day]:
    """The timeline by day, newest first; who sent an event, and its text, are for staff.

    Of the `audit` it has the actions that were asked for; what came of them are events.
    """
    items = [(parse_instant(event.at), fact(words, event)) for event in timeline]
    if not is_staff:
        items = [(at, item._replace(source="", notes=[], raw="")) for at, item in items]
    for alert in order.open_alerts:
        items += alert_items(words, alert)
    items += [action_item(words, each.action) for each in audit if is_request(each) and each.action]
    # The same instant: an alert stands above the event that it follows.
    items.sort(key=lambda pair: (pair[0], pair[1].kind != "fact"), reverse=True)
    return [
        Day(label, [item for _, item in group])
        for label, group in groupby(
            items, lambda pair: words.day(pair[0], weekday=True, year_of=now)
        )
    ]


def fact(words: Words, event: AcceptedEvent) -> Item:
    """An event."""
    told = DECODER.decode(event.event)
    return Item(
        kind="fact",
        anchor=f"e-{event.event_hash}",
        clock=words.clock(parse_instant(event.at)),
        title=words.status(event.status),
        place=str((told.location or {}).get("name") or ""),
        parcel=event.shipment,
        source=told.source,
        notes=list(notes(words, event, told)),
        raw=raw(event.event),
    )


def notes(words: Words, event: AcceptedEvent, told: Told) -> Iterator[str]:
    """Remarks on an event: late, corrected, by whom, what it measured, what was left out."""
    lag = parse_instant(event.arrival_at) - parse_instant(event.at)
    if lag > LATE_MS:
        yield words.say("note.late", span=words.span(lag))
    if told.corrects:
        yield words.say("note.corrects", event=told.corrects)
    if told.status_code not in {"", event.status}:
        yield words.say("note.sent_as", code=told.status_code)
    if told.source.startswith(OUTCOMES) and isinstance(told.text, str):
        yield told.text
    if told.operator:
        yield words.say("note.by", name=told.operator)
    for name, value in (told.attributes or {}).items():
        key = f"attribute.{name}"
        if words.has(key) and isinstance(value, int | float):
            yield words.say(key, value=value)
    if told.dropped_fields:
        yield words.say("note.dropped", fields=", ".join(told.dropped_fields))


def alert_items(words: Words, alert: OpenAlert) -> Iterator[tuple[int, Item]]:
    """An alert's opening and, if it has escalated, its escalation."""
    steps = [("opened", alert.opened_at, "warning" if alert.escalated_at else alert.severity)]
    if alert.escalated_at:
        steps.append(("escalated", alert.escalated_at, alert.severity))
    for step, at, severity in steps:
        instant = parse_instant(at)
        yield (
            instant,
            Item(
                kind=severity,
                anchor=f"a-{alert.alert_id}-{step}",
                clock=words.clock(instant),
                title=words.say(f"alert.{step}", rule=words.rule(alert.rule)),
                place="",
                parcel=alert.because.shipment or "",
                source=words.say("alert.by_rule", rule=alert.rule),
                notes=[],
                raw="",
            ),
        )


def is_request(entry: AuditEntry) -> bool:
    """Return True for an action that was asked for."""
    return entry.what == "action.requested"


def action_item(words: Words, action: Action) -> tuple[int, Item]:
    """An action that was asked for."""
    instant = parse_instant(action.at)
    item = Item(
        kind="action",
        anchor=f"r-{action.action_id}",
        clock=words.clock(instant),
        title=words.say("action.asked", kind=action.kind),
        place="",
        parcel=action.because.shipment or "",
        source=words.say("alert.by_rule", rule=action.rule),
        notes=[],
        raw="",
    )
    return instant, item


def raw(data: bytes | msgspec.Raw) -> str:
    """An event as it came, indented; personal fields are masked."""
    fields: Mapping[str, Any] = json.loads(bytes(data))
    shown = {name: MASK if name in MASKED else value for name, value in fields.items()}
    text = json.dumps(shown, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    return printable_json(text).decode()
