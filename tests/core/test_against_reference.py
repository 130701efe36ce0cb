"""The fast core agrees with the slow, obvious evaluator, whatever arrives in whatever way."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.intake import Intake, Origin
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.output import decode_document
from dataflows.core.questions import Answers
from dataflows.core.resolve import ResolverSnapshot, resolver_of
from dataflows.core.rules import Rules
from dataflows.core.shard import Shard
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.errors import Rejected
from schemas.event import Event, read_event
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from schemas.keys import DEFAULT_TENANT, order_key
from schemas.numbers import as_kind
from schemas.order import OrderDocument
from tests import reference, reference_numbers
from tests.reference_door import as_kept
from tests.support import generators

CORE = Path(__file__).resolve().parents[2] / "dataflows" / "core"
TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
LIFECYCLE_FILE = tomllib.loads((CORE / "lifecycle.toml").read_text("utf-8"))
RULES_TEXT = (CORE / "rules.toml").read_text("utf-8")
RULES_FILE = tomllib.loads(RULES_TEXT)
INTAKE = Intake(TABLE, RULES)
DECODER = Decoder(INTAKE, lambda data, _: data, lambda data, _: data)
PLACEHOLDER = "placeholder_reference"  # refused at the door
RARELY = st.sampled_from((False, False, False, True))


class Run:
    """A shard and all its outcomes; restarted from its snapshot on request."""

    def __init__(self, table: Lifecycle = TABLE, rules: Rules = RULES) -> None:
        self.table = table
        self.rules = rules
        self.cold: dict[str, bytes] = {}
        self.shard = Shard(self.table, rules, self.cold)
        self.base: list[bytes] = []
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

    def advance(self, watermark: int) -> None:
        out = self.shard.advance(watermark)
        for _, a in out.alerts:
            due_at = parse_instant(a.because.due_at)
            at = parse_instant(a.at)
            self.transitions.append((at, a.alert_id, a.rule, a.severity, a.state, due_at))
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
        for key, data in self.shard.take_cold_rows():
            if data is None:
                del self.cold[key]
            else:
                self.cold[key] = data

    def restart(self) -> None:
        self.base.append(self.shard.snapshot(base=not self.base))
        self.shard = Shard(self.table, self.rules, self.cold)
        self.shard.restore(self.base)

    def orders(self) -> dict[str, Any]:
        found = {}
        for key, data in {**self.cold, **self.shard.orders()}.items():
            if shown := self.shard.document(key, data):
                found[key] = decode_document(shown)
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


def compare(
    run: Run, expected: reference.Outcome, rivals: set[str], *, has_counts: bool = True
) -> None:
    assert sorted(run.transitions, key=lambda t: (t[0], t[1], reference.STATES.index(t[4]))) == [
        (t.at, t.alert_id, t.rule, t.severity, t.state, t.due) for t in expected.transitions
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
    if not has_counts:
        return
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
        "open_alerts": {
            alert.alert_id: reference.OpenAlert(
                alert.severity,
                parse_instant(alert.opened_at),
                ms(alert.escalated_at),
                parse_instant(alert.because.due_at),
            )
            for alert in found.open_alerts
        },
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
    for watermark in steps:
        later = []
        for event in left:
            waits = generators.arrival_of(event) > watermark and not data.draw(st.booleans())
            if waits:
                later.append(event)
            else:
                run.offer(event)
        left = later
        run.advance(watermark)
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
    for watermark in steps:
        run.advance(watermark)
        if data.draw(st.booleans()):
            run.restart()
    table = {**LIFECYCLE_FILE, "order_fields_bytes": limit_bytes}
    compare(run, reference.evaluate(table, RULES_FILE, events, steps[-1]), rivalries(events))


@settings(max_examples=30)
@given(st.data())
def test_one_step_at_the_end_says_the_same_as_many(data: st.DataObject) -> None:
    events = data.draw(generators.event_sets())
    watermark = data.draw(generators.clock_steps(events))[-1]
    run = Run()
    for event in data.draw(generators.permuted(events)):
        run.offer(event)
    run.advance(watermark)
    compare(
        run, reference.evaluate(LIFECYCLE_FILE, RULES_FILE, events, watermark), rivalries(events)
    )


def test_a_condition_escalates_counted_from_the_opening_of_its_alert(tmp_path: Path) -> None:
    """It holds for three hours before the rule's status comes."""
    text = escalating(RULES_TEXT)
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8")
    run = Run(rules=read_rules(path, TABLE))
    readings = {"temperature_max_c": 8.0, "temperature_c": 9.0}
    events = [
        at_hour(0, "PAID"),
        at_hour(1, "SCAN", shipment="A", attributes=readings),
        at_hour(4, "SHIPPED", shipment="A"),
        at_hour(9, "SCAN", shipment="A"),
    ]
    for event in events:
        run.offer(event)
    until = generators.arrival_of(events[-1])
    run.advance(until)
    judged = reference.evaluate(LIFECYCLE_FILE, tomllib.loads(text), events, until)
    compare(run, judged, rivalries(events))
    cold_chain = [
        (at, state) for at, _, rule, _, state, _ in run.transitions if rule == "cold_chain"
    ]
    opened_at = generators.arrival_of(events[2])
    assert cold_chain == [(opened_at, "opened"), (opened_at + 2 * HOUR_MS, "escalated")]


def at_hour(hour: int, status: str, **fields: object) -> dict[str, Any]:
    """An event of one order, that many hours after the beginning."""
    at = format_instant(generators.START_AT + hour * HOUR_MS)
    given = {"event_id": f"{hour}", "source": "wms", "order_id": "o", "status_code": status}
    return {**given, "timestamp": at, "recorded_at": at, **fields}


def escalating(rules: str) -> str:
    """The rules, whose cold chain warns first, and in fewer statuses than its condition holds."""
    head, mark, cold_chain = rules.partition('id = "cold_chain"')
    assert 'severity = "overdue"' in cold_chain
    warning = 'severity = "warning"\nescalate = {severity = "overdue", after = "2h"}'
    cold_chain = cold_chain.replace('severity = "overdue"', warning, 1)
    before = 'statuses = ["PAID", "ALLOCATED", "SHIPPED"]'
    assert before in cold_chain
    return head + mark + cold_chain.replace(before, 'statuses = ["SHIPPED"]', 1)


class Engine(Run):
    """A run with a resolver: events without an order id reach their orders through it."""

    def __init__(self) -> None:
        super().__init__()
        self.resolver = resolver_of(TABLE.numbers)
        self.numbers: list[ResolverSnapshot] = []
        self.letters: list[str] = []  # what became of questions that no order was given

    def read(self, event: dict[str, Any]) -> None:
        try:
            decoded, raw = DECODER.read(json.dumps(event).encode(), [])
            assert isinstance(decoded, Event)
            found = DECODER.decode(decoded, raw, generators.arrival_of(event), Origin("t", 0, 0))
        except Rejected:
            self.rejected += 1
            return
        self.shard.offer([found.fact] if found.fact else [])
        self.resolver.offer(found.registrations, [found.question] if found.question else [])

    def resolve(self, watermark: int) -> None:
        answers = Answers()
        self.resolver.advance(watermark, answers)
        assert all(fact.arrival_at > self.shard.watermark for fact in answers.facts), "overtaken"
        self.shard.offer(answers.facts)
        self.letters += [given_up.reason.code for given_up in answers.rejected]
        self.letters += ["duplicate"] * answers.duplicates

    def restart(self) -> None:
        super().restart()
        self.numbers.append(self.resolver.snapshot(base=not self.numbers))
        self.resolver = resolver_of(TABLE.numbers)
        self.resolver.restore(self.numbers)


@st.composite
def with_questions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The events of some orders, of which some that name a number don't name the order."""
    found = []
    for index, event in enumerate(draw(generators.event_sets())):
        each = {name: value for name, value in event.items() if name != "via"}
        names_number = each.get("waybill") or each.get("references")
        if names_number and each.get("kind") != "command" and draw(st.booleans()):
            del each["order_id"]
            each["event_id"] += draw(st.sampled_from(("", f"-{index}")))
        found.append(each)
    return found


def partitioned(events: list[dict[str, Any]], draw: Any) -> list[list[dict[str, Any]]]:  # noqa: ANN401 - hypothesis' own draw
    """Three partitions, in each of which events lie in the order of their arrival."""
    found: list[list[dict[str, Any]]] = [[], [], []]
    for event in sorted(events, key=generators.arrival_of):
        found[draw(st.integers(0, 2))].append(event)
    return found


@settings(max_examples=int(os.environ.get("ORDERTIDE_EXAMPLES", "100")))
@given(with_questions(), st.data())
def test_whose_a_scan_is_depends_on_arrivals_and_not_on_the_order_of_reading(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Partitions are read in turns as they come; the orders' watermark follows the resolver's."""
    engine, partitions = Engine(), partitioned(events, data.draw)
    end = max(map(generators.arrival_of, events)) + data.draw(
        st.sampled_from((0, *generators.DURATIONS_MS))
    )
    behind = st.sampled_from((0, 0, 1, DAY_MS, 9 * DAY_MS))
    while left := [number for number, partition in enumerate(partitions) if partition]:
        engine.read(partitions[data.draw(st.sampled_from(left))].pop(0))
        to_come = [partition[0] for partition in partitions if partition]
        proven = min(map(generators.arrival_of, to_come), default=end + 1) - 1
        if data.draw(st.booleans()):
            engine.resolve(proven - data.draw(behind))
        if data.draw(st.booleans()):
            engine.advance(engine.resolver.watermark - data.draw(behind))
        if data.draw(RARELY):
            engine.restart()
    engine.resolve(end)
    engine.advance(end)
    kept = [as_kept(event, RULES_FILE["attributes"]) for event in events]
    asked = reference_numbers.resolved(LIFECYCLE_FILE, kept, end)
    given = reference_numbers.given_out(asked)
    refused = [each.refused for each in asked if each.refused not in ("", PLACEHOLDER)]
    assert sorted(engine.letters) == sorted(refused)
    assert engine.resolver.waiting_count == sum(question.is_open for question in asked)
    own = [event for event in kept if "order_id" in event]
    engine.has_rivals = True
    compare(
        engine,
        reference.evaluate(LIFECYCLE_FILE, RULES_FILE, [*own, *given], end),
        rivalries([*own, *(each["raw"] | {"order_id": each["order_id"]} for each in given)]),
        has_counts=False,
    )
