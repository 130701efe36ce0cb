"""A shard on a stage: events in as they come over the wire, all outcomes kept."""

import json
from typing import Any

from dataflows.core.compiled import Fold
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.output import Change, decode_document
from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from dataflows.core.shard import Shard
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.errors import Rejected
from schemas.event import Event, read_event
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from schemas.numbers import as_kind
from schemas.order import OrderDocument
from tests.support.generators import arrival_of

Json = dict[str, Any]

TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
INTAKE = Intake(TABLE, RULES)
NO_RULES = parse_rules("version = 1\nrule = []", "none.toml", TABLE)
START_AT = parse_instant("2026-03-01T00:00:00Z")
CARRIER = "carrier:sf"
FOLD = Fold(TABLE)
# Limits of an order (docs/semantics.md).
MAX_ENTRIES, MAX_SHIPMENTS, COLD_LIMIT_MS = 2_000, 250, 400 * DAY_MS
MAX_WAITING_PER_ORDER = 1_000  # facts that wait with an order set aside


def day(days: float, hours: float = 0) -> int:
    """The instant this long after the beginning of the story."""
    return START_AT + round(days * DAY_MS + hours * HOUR_MS)


def sent(status: str, at: int, arrival_at: int | None = None, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    """An event of the shop about order o1, with an id made of its content."""
    event: Json = {
        "event_id": f"{status}@{at}{fields.get('shipment', '')}",
        "order_id": "o1",
        "source": "shop",
        "status_code": status,
        "timestamp": format_instant(at),
        **fields,
    }
    if arrival_at is not None:
        event["recorded_at"] = format_instant(arrival_at)
    return event


def scanned(status: str, at: int, waybill: str = "") -> Json:
    """A carrier's event about order o1, of a parcel where there is one."""
    named: Json = {"waybill": waybill} if waybill else {}
    return sent(status, at, source=CARRIER, event_id=f"{status}{waybill}{at}", **named)


def json_of(event: Json) -> bytes:
    """The event as it comes over the wire."""
    return json.dumps(event).encode()


def fact_of(event: Json) -> Fact:
    """The fact that the core makes of an event."""
    decoded, raw = read_event(json_of(event))
    assert isinstance(decoded, Event)
    decoded, raw = INTAKE.without_unfit(decoded, raw)
    order_id = decoded.order_id or ""
    origin = Origin("events", 0, 0)
    # `via` is of the tests: the number by which the resolver gave the event to its order.
    via = event.get("via")
    came_by = (via[0], as_kind(*via)) if via else None
    return INTAKE.fact(decoded, order_id, raw, arrival_of(event), origin, came_by)


class Stage:
    """A shard, its retired-order table and all its outcomes."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.cold: dict[str, bytes] = {}
        self.shard = Shard(TABLE, rules, self.cold)
        self.alerts: list[AlertTransition] = []
        self.actions: list[Action] = []
        self.audit: list[AuditEntry] = []
        self.changes: list[Change] = []
        self.rejected: list[Rejected] = []
        self.counts = {"applied": 0, "duplicates": 0, "refused": 0}

    def hear(self, *events: Json, watermark: int | None = None) -> None:
        """Take events and move the clock, without `watermark` to the last of their arrivals."""
        self.shard.offer([fact_of(event) for event in events])
        self.advance(watermark or max(map(arrival_of, events)))

    def advance(self, watermark: int) -> None:
        """Move the clock."""
        out = self.shard.advance(watermark)
        self.alerts += [alert for _, alert in out.alerts]
        self.actions += [action for _, action in out.actions]
        self.audit += [entry for _, entry in out.audit]
        self.changes += out.changes
        self.rejected += [refusal.reason for refusal in out.rejected]
        for name in self.counts:
            self.counts[name] += getattr(out, name)
        self.end_epoch()

    def end_epoch(self) -> None:
        """End an epoch as the state store does."""
        self.shard.snapshot(base=False)
        for key, data in self.shard.take_cold_rows():
            if data is None:
                self.cold.pop(key, None)
            else:
                self.cold[key] = data

    def restart(self, rules: Rules = RULES) -> None:
        """Begin again from a snapshot."""
        base = self.shard.snapshot(base=True)
        self.shard = Shard(TABLE, rules, self.cold)
        self.shard.restore([base])

    def order(self, key: str = "o1") -> OrderDocument:
        """The order as it would be published."""
        data = self.shard.document(key, self.packed(key))
        assert data is not None, "nothing but notes is known of it"
        return decode_document(data)

    def packed(self, key: str = "o1") -> bytes:
        """The order as it is stored."""
        return self.shard.order(key) or self.cold[key]

    def is_live(self, key: str = "o1") -> bool:
        """Return True if the order is in memory."""
        return self.shard.order(key) is not None

    def told(self, *rules: str) -> list[tuple[str, str, str]]:
        """(rule, state, at) of the alerts of these rules, or of all."""
        return [(a.rule, a.state, a.at) for a in self.alerts if not rules or a.rule in rules]

    def acted(self, *kinds: str) -> list[tuple[str, str]]:
        """(kind, at) of the actions of these kinds, or of all."""
        return [(a.kind, a.at) for a in self.actions if not kinds or a.kind in kinds]


def hear(*events: Json, watermark: int) -> Stage:
    """A stage that took events and moved the clock."""
    stage = Stage()
    stage.hear(*events, watermark=watermark)
    return stage


def parcels(stage: Stage) -> dict[str, tuple[str | None, bool]]:
    """Parcels of the order: name → status, and whether it has ended."""
    shown = stage.order().shipments
    return {each.shipment: (each.status, each.ended_at is not None) for each in shown}


def folded(*events: Json) -> OrderDocument:
    """The order after these events, without rules."""
    stage = Stage(NO_RULES)
    stage.hear(*events)
    return stage.order()
