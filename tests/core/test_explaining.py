"""Explanations agree with documents: deadlines, open alerts, and why a rule watches nothing."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.explaining import explain, facts_of, watermark_of
from dataflows.core.fact import Fact
from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from dataflows.core.shard import Shard
from schemas.errors import Rejected
from schemas.explanation import RuleState
from schemas.instants import format_instant
from schemas.keys import DEFAULT_TENANT, order_key
from schemas.order import AcceptedEvent, OrderDocument
from tests.support import generators
from tests.support.stage import (
    CARRIER,
    INTAKE,
    RULES,
    TABLE,
    Json,
    Stage,
    day,
    fact_of,
    scanned,
    sent,
)

# Rules that open, escalate, miss and pause soon.
EAGER = parse_rules(
    """
version = 1
[[rule]]
id = "unfinished"
label = {en = "Unfinished", zh = "未完成"}
statuses = ["*"]
anchor = "created"
after = "1h"
severity = "warning"
escalate = {severity = "overdue", after = "1d"}
[[rule]]
id = "silent"
label = {en = "Silent", zh = "停滞"}
per = "shipment"
statuses = ["*"]
anchor = "last_update"
after = "2h"
severity = "warning"
escalate = {severity = "overdue", after = "2d"}
stale_after = "1h"
pausing = {CUSTOMS_HOLD = "14d"}
""",
    "eager.toml",
    TABLE,
)
BY_TIME = {
    rule.id
    for rules in (RULES, EAGER)
    for rule in rules.rules
    if rule.row.severity and rule.row.anchor != "condition"
}
KEY = order_key(DEFAULT_TENANT, "o1")


def facts(events: list[Json]) -> list[Fact]:
    """The facts that the door lets in."""
    found = []
    for event in events:
        try:
            found.append(fact_of(event))
        except Rejected:
            continue
    return found


def armed(states: list[RuleState]) -> list[tuple[str, str, str, str | None]]:
    """The deadlines that a document has of these states."""
    found = []
    for state in states:
        if state.rule not in BY_TIME:
            continue
        if state.state == "armed" and state.due_at is not None and state.severity is not None:
            found.append((state.due_at, state.rule, state.severity, state.shipment))
        if state.escalates_at is not None:
            found.append((state.escalates_at, state.rule, "overdue", state.shipment))
    return sorted(found, key=repr)


def opened(states: list[RuleState]) -> list[tuple[str, str | None, str | None, bool]]:
    """The alerts that a document has open by these states."""
    found = [
        (state.rule, state.shipment, state.opened_at, state.state == "flapping")
        for state in states
        if state.state in {"open", "flapping"}
    ]
    return sorted(found, key=repr)


def check(document: OrderDocument, states: list[RuleState]) -> None:
    """The states say what the document says."""
    deadlines = [(d.due_at, d.rule, d.severity, d.shipment) for d in document.deadlines]
    assert armed(states) == sorted(deadlines, key=repr)
    alerts = [
        (alert.rule, alert.because.shipment, alert.opened_at, alert.flapping)
        for alert in document.open_alerts
    ]
    assert opened(states) == sorted(alerts, key=repr)
    is_outside = any(state.state == "outside_calendar" for state in states)
    assert not is_outside or "outside_calendar" in document.flags


@given(st.data())
def test_the_states_of_rules_agree_with_deadlines_and_open_alerts(data: st.DataObject) -> None:
    rules = data.draw(st.sampled_from([RULES, EAGER]))
    events = data.draw(generators.event_sets())
    watermark = max(data.draw(generators.clock_steps(events)))
    known = facts(events)
    reached = [fact for fact in known if fact.arrival_at <= watermark]
    stage = Stage(rules)
    stage.shard.offer(reached)
    stage.advance(watermark)
    for key in sorted({fact.key for fact in reached}):
        states = explain(key, known, TABLE, rules, watermark)
        live = stage.shard.order(key)
        if live is None:
            assert {state.state for state in states} <= {"retired", "embryo"}
            continue
        if stage.shard.document(key, live) is not None:
            check(stage.order(key), states)


def states_of(*events: Json, watermark: int, rules: Rules = RULES) -> dict[str, RuleState]:
    """The states by rule, of a parcel `rule parcel`."""
    found = explain(KEY, facts(list(events)), TABLE, rules, watermark)
    return {f"{each.rule} {each.shipment or ''}".strip(): each for each in found}


def test_an_order_without_events_has_no_states() -> None:
    assert states_of(watermark=day(1)) == {}
    assert states_of(sent("PAID", day(2)), watermark=day(1)) == {}


RULE_TEXT = """
version = 1
[attributes]
size = {type = "int"}
[[rule]]
id = "rule"
label = {en = "Rule", zh = "规则"}
statuses = ["PAID", "SHIPPED"]
anchor = "created"
after = "2d"
severity = "warning"
"""


def state_by(extra: str, *events: Json, at: int) -> tuple[str, str]:
    """(state, detail) of a rule with more fields."""
    rules = parse_rules(RULE_TEXT + extra, "rule.toml", TABLE)
    found = explain(KEY, facts(list(events)), TABLE, rules, at)
    assert len(found) == 1
    return found[0].state, found[0].detail


def test_each_reason_names_what_decided_it() -> None:
    paid, at = sent("PAID", day(0)), day(1)
    assert state_by("", paid, at=at) == ("armed", "created")
    assert state_by("", paid, at=day(2)) == ("open", "created")
    assert state_by("", scanned("SCAN", day(0), "W1"), at=at) == ("embryo", "")
    cancelled = sent("CANCELLED", day(0, 1))
    assert state_by("", paid, cancelled, at=at) == ("status", "CANCELLED")
    assert state_by("", paid, cancelled, at=day(390)) == ("retired", "")
    assert state_by('unless_reached = "PAID"', paid, at=at) == ("unless_reached", "milestone PAID")
    assert state_by('once_reached = "ALLOCATED"', paid, at=at) == (
        "once_missing",
        "milestone ALLOCATED",
    )
    assert state_by('when = "order.size > 1"', paid, at=at) == (
        "condition_false",
        "order.size > 1",
    )
    sized = sent("PAID", day(0), attributes={"size": 0})
    state, reason = state_by('when = "1 / order.size > 1"', sized, at=at)
    assert state == "condition_fault"
    assert "zero" in reason


def test_each_reason_of_a_parcel_names_what_decided_it() -> None:
    paid, at = sent("PAID", day(0)), day(1)
    collected = scanned("COLLECTED", day(0, 2), "W1")
    of_parcels = 'per = "shipment"\n'
    assert state_by(of_parcels, paid, at=at) == ("armed", "created")
    assert state_by(of_parcels, paid, collected, at=at) == ("armed", "created")
    without = of_parcels + 'not_shipment_statuses = ["COLLECTED"]'
    assert state_by(without, paid, collected, at=at) == ("shipment_status", "COLLECTED")
    back = of_parcels + 'direction = "return"'
    assert state_by(back, paid, collected, at=at) == ("direction", "forward")
    assert state_by(of_parcels + "unscanned = true", paid, collected, at=at) == ("scanned", "")


def test_a_paused_clock_names_until_when() -> None:
    customs = scanned("CUSTOMS_HOLD", day(1), "W1")
    events = (sent("PAID", day(0)), scanned("IN_TRANSIT", day(0, 2), "W1"), customs)
    paused = [
        state for state in states_of(*events, watermark=day(2)).values() if state.paused_until
    ]
    assert paused
    assert all(state.shipment == "W1" for state in paused)
    later = states_of(*events, watermark=day(60)).values()
    assert not any(state.paused_until for state in later)


def test_accepted_events_give_the_facts_that_they_were() -> None:
    events = [
        sent("PAID", day(0), references={"waybill": "W1"}),
        sent("IN_TRANSIT", day(1), source=CARRIER, waybill="W1"),
    ]
    by_number = {**scanned("IN_TRANSIT", day(2), "W1"), "via": ["waybill", "W1"]}
    shard = Shard(TABLE, RULES, {})
    del by_number["order_id"]
    fact = msgspec.structs.replace(fact_of(by_number), key=KEY)
    shard.offer([*facts(events), fact])
    accepted = shard.compiled.advance(day(3)).accepted
    timeline = [msgspec.json.decode(each, type=AcceptedEvent) for _, each in accepted]
    again = facts_of(timeline, INTAKE)
    expected = [*facts(events), fact]
    assert [(f.key, f.hash, f.at, f.arrival_at, f.waybill, f.via) for f in again] == [
        (f.key, f.hash, f.at, f.arrival_at, f.waybill, f.via) for f in expected
    ]
    assert watermark_of(timeline, None) == day(2)
    assert watermark_of(timeline, day(9)) == day(9)
    assert json.loads(bytes(timeline[0].event))["timestamp"] == format_instant(day(0))
