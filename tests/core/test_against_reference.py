"""The fast core agrees with the slow, obvious evaluator, whatever arrives in whatever way."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.documents import document
from dataflows.core.intake import Intake, Origin
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.packing import unpack
from dataflows.core.shard import Shard
from dataflows.core.snapshots import Snapshot
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.errors import Rejected
from schemas.event import Event, read_event
from schemas.instants import parse_instant
from schemas.keys import DEFAULT_TENANT, order_key
from schemas.numbers import as_kind
from schemas.order import OrderDocument
from tests import reference
from tests.support import generators

CORE = Path(__file__).resolve().parents[2] / "dataflows" / "core"
TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
LIFECYCLE_FILE = tomllib.loads((CORE / "lifecycle.toml").read_text("utf-8"))
RULES_FILE = tomllib.loads((CORE / "rules.toml").read_text("utf-8"))
INTAKE = Intake(TABLE, RULES)


class Run:
    """A shard and all its outcomes; restarted from its snapshot on request."""

    def __init__(self, table: Lifecycle = TABLE) -> None:
        self.table = table
        self.cold: dict[str, bytes] = {}
        self.shard = Shard(self.table, RULES, self.cold)
        self.base: list[Snapshot] = []
        self.transitions: list[tuple[Any, ...]] = []
        self.actions: list[tuple[Any, ...]] = []
        self.missed: list[tuple[Any, ...]] = []
        self.rejected = 0
        self.counts = {"applied": 0, "duplicate": 0, "refused": 0}
        self.documents: dict[str, Any] = {}
        self.has_rivals = False

    def offer(self, event: dict[str, Any]) -> None:
        try:
            decoded, raw = read_event(json.dumps(event).encode())
            assert isinstance(decoded, Event)
            decoded, raw = INTAKE.without_unfit(decoded, raw)
            decoded = INTAKE.without_placeholders(decoded)
            arrival_at = generators.arrival_of(event)
            via = event.get("via")
            came_by = (via[0], as_kind(*via)) if via else None
            order_id, origin = decoded.order_id or "", Origin("t", 0, 0)
            self.shard.offer([INTAKE.fact(decoded, order_id, raw, arrival_at, origin, came_by)])
        except Rejected:
            self.rejected += 1

    def advance(self, through: int) -> None:
        out = self.shard.advance(through)
        for _, a in out.alerts:
            self.transitions.append((parse_instant(a.at), a.alert_id, a.rule, a.severity, a.state))
        for _, action in out.actions:
            self.actions.append(
                (
                    parse_instant(action.at),
                    action.action_id,
                    action.rule,
                    action.kind,
                    parse_instant(action.expires_at),
                )
            )
        for _, entry in out.audit:
            if entry.what == "deadline.missed":
                self.missed.append(
                    (
                        parse_instant(entry.at),
                        entry.detail["rule"],
                        parse_instant(entry.detail["due_at"]),
                    )
                )
        for change in out.changes:
            held = self.documents.get(change.key)
            if change.document and held and change.version == held.version:
                # (After a restart a version that was seen may come again from an earlier clock; a
                # sink ignores it, and a higher one follows.)
                assert self.base or self.has_rivals or change.document == held
            if change.document and (held is None or change.version > held.version):
                self.documents[change.key] = change.document
        self.rejected += len(out.rejected)
        self.counts["applied"] += out.applied
        self.counts["duplicate"] += out.duplicates
        self.counts["refused"] += out.refused
        for key, data in self.shard.held.cold_rows.items():
            if data is None:
                del self.cold[key]
            else:
                self.cold[key] = data
        self.shard.held.cold_rows = {}

    def restart(self) -> None:
        self.base.append(self.shard.snapshot(base=not self.base))
        self.shard = Shard(self.table, RULES, self.cold)
        self.shard.restore(self.base)

    def orders(self) -> dict[str, Any]:
        found = {}
        for key, data in {**self.cold, **self.shard.held.orders}.items():
            order = unpack(key, data)
            if self.shard.is_there(order):
                found[key] = document(order, self.shard.desk)
        return found


def rivalries(events: list[dict[str, Any]]) -> set[str]:
    """Orders with contradicting messages of one id: the live view may have shown the loser."""
    seen: dict[tuple[Any, ...], str] = {}
    found = set()
    for event in events:
        tenant = event.get("tenant", "").strip() or DEFAULT_TENANT
        key = order_key(tenant, event["order_id"])
        name = (key, event["source"], event["event_id"])
        said = json.dumps({**event, "recorded_at": None}, sort_keys=True)
        if seen.setdefault(name, said) != said:
            found.add(key)
    return found


def compare(run: Run, expected: reference.Outcome, rivals: set[str]) -> None:
    assert sorted(run.transitions, key=lambda t: (t[0], t[1], reference.STATES.index(t[4]))) == [
        (t.at, t.alert_id, t.rule, t.severity, t.state) for t in expected.transitions
    ]
    assert sorted(run.actions) == sorted(
        (a.at, a.action_id, a.rule, a.kind, a.expires_at) for a in expected.actions
    )
    assert sorted(run.missed) == sorted((m.at, m.rule, m.due) for m in expected.missed)
    orders = run.orders()
    assert set(orders) == set(expected.orders)
    for key, wanted in expected.orders.items():
        assert view(orders[key]) == plain(wanted)
        if key not in rivals:
            assert view(run.documents[key]) == plain(wanted), "what was published last"
    for name, count in run.counts.items():
        assert count == expected.counts[name]
    assert run.rejected == expected.counts["rejected"]


def ms(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)


def view(found: OrderDocument) -> dict[str, Any]:
    return {
        "status": found.status,
        "version": found.version,
        "lane": found.lane,
        "created_at": ms(found.created_at),
        "updated_at": ms(found.updated_at),
        "promised_at": ms(found.promised_at),
        "ship_by": ms(found.ship_by),
        "milestones": {code: ms(at) for code, at in found.milestones.items()},
        "attributes": found.attributes,
        "references": found.references,
        "flags": set(found.flags),
        "shipments": {
            s.shipment: {
                "status": s.status,
                "direction": s.direction,
                "ended_at": ms(s.ended_at),
                "updated_at": ms(s.updated_at),
                "readings": s.readings or {},
            }
            for s in found.shipments
        },
        "open_alerts": {alert.alert_id: alert.severity for alert in found.open_alerts},
        "customer_id": found.customer_id,
        "carrier": found.carrier,
        "parcels_expected": found.parcels_expected,
    }


def plain(wanted: dict[str, Any]) -> dict[str, Any]:
    names = (
        *(
            "status",
            "version",
            "lane",
            "created_at",
            "updated_at",
            "promised_at",
            "ship_by",
            "milestones",
        ),
        *(
            "attributes",
            "references",
            "flags",
            "shipments",
            "open_alerts",
            "customer_id",
            "carrier",
            "parcels_expected",
        ),
    )
    return {name: wanted.get(name) for name in names}


@settings(max_examples=int(os.environ.get("ORDERTIDE_EXAMPLES", "60")))
@given(st.data())
def test_the_core_equals_the_reference_for_any_arrivals_and_clock_steps(
    data: st.DataObject,
) -> None:
    events = data.draw(generators.event_sets())
    steps = data.draw(generators.clock_steps(events))
    lines = data.draw(generators.permuted(events))
    run = Run()
    run.has_rivals = bool(rivalries(events))
    left = lines
    for through in steps:
        later = []
        for event in left:
            waits = generators.arrival_of(event) > through and not data.draw(st.booleans())
            if waits:
                later.append(event)
            else:
                run.offer(event)
        left = later
        run.advance(through)
        if data.draw(st.booleans()):
            run.restart()
    compare(
        run, reference.evaluate(LIFECYCLE_FILE, RULES_FILE, events, steps[-1]), rivalries(events)
    )


@settings(max_examples=60)
@given(st.data(), st.sampled_from((0, 20, 40, 80)))
def test_what_does_not_fit_into_an_order_is_lost_by_arrival_alone(
    data: st.DataObject, limit_bytes: int
) -> None:
    events = data.draw(generators.event_sets())
    steps = data.draw(generators.clock_steps(events))
    run = Run(Lifecycle(msgspec.structs.replace(TABLE.file, order_fields_bytes=limit_bytes)))
    run.has_rivals = True  # the live document of a full order may show what will not have fitted
    for event in data.draw(generators.permuted(events)):
        run.offer(event)
    for through in steps:
        run.advance(through)
        if data.draw(st.booleans()):
            run.restart()
    table = {**LIFECYCLE_FILE, "order_fields_bytes": limit_bytes}
    compare(run, reference.evaluate(table, RULES_FILE, events, steps[-1]), rivalries(events))


@settings(max_examples=30)
@given(st.data())
def test_one_step_at_the_end_says_the_same_as_many(data: st.DataObject) -> None:
    events = data.draw(generators.event_sets())
    through = data.draw(generators.clock_steps(events))[-1]
    run = Run()
    for event in data.draw(generators.permuted(events)):
        run.offer(event)
    run.advance(through)
    compare(run, reference.evaluate(LIFECYCLE_FILE, RULES_FILE, events, through), rivalries(events))
