"""The shard: commands, alerts, retirement, rule changes; which outcomes are emitted and when."""

from typing import Any

import pytest

from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from dataflows.core.shard import Shard
from schemas.instants import HOUR_MS, format_instant
from schemas.order import OpenAlert, OrderDocument
from tests.support.stage import (
    COLD_LIMIT_MS,
    MAX_ENTRIES,
    MAX_SHIPMENTS,
    NO_RULES,
    TABLE,
    Json,
    Stage,
    day,
    fact_of,
    sent,
)

PAID = sent("PAID", day(0))


def command(status: str, at: int, **fields: Any) -> Json:  # noqa: ANN401 - any JSON
    return sent(status, at, kind="command", operator="Li", ip="192.0.2.7", **fields)


def rules_of(text: str) -> Rules:
    return parse_rules(f"version = 1\n{text}", "own.toml", TABLE)


# ---------------------------------------------------------------- commands
def test_a_command_is_judged_by_the_facts_that_arrived_before_it() -> None:
    stage = Stage(NO_RULES)
    stage.hear(PAID, command("CANCELLED", day(1)))
    assert stage.order().status == "CANCELLED"
    assert stage.counts == {"applied": 2, "duplicates": 0, "refused": 0}


def test_a_verdict_is_history_whatever_is_heard_later() -> None:
    stage = Stage(NO_RULES)
    stage.hear(PAID, command("COMPLETED", day(2)))
    assert stage.counts["refused"] == 1
    stage.hear(sent("DELIVERED", day(1), arrival_at=day(3)))
    assert stage.order().status == "DELIVERED"
    stage.restart()
    stage.hear(sent("SCAN", day(1), arrival_at=day(4)))
    assert stage.order().status == "DELIVERED", "a refused command is never taken after all"


def test_a_refused_command_changes_no_version_and_is_its_own_duplicate() -> None:
    stage = Stage(NO_RULES)
    stage.hear(PAID)
    version = stage.order().version
    refused = command("COMPLETED", day(1))
    stage.hear(refused)
    stage.hear(refused | {"recorded_at": format_instant(day(2))})
    assert stage.order().version == version
    assert stage.counts == {"applied": 1, "duplicates": 1, "refused": 1}
    assert [entry.what for entry in stage.audit] == ["command.refused"]


def test_a_command_may_create_an_order_and_only_with_a_creating_status() -> None:
    stage = Stage(NO_RULES)
    stage.hear(command("CANCELLED", day(0)))
    assert stage.counts["refused"] == 1
    stage.hear(command("PAID", day(1)))
    assert (stage.order().status, stage.order().created_at) == ("PAID", format_instant(day(1)))


def test_commands_of_one_ms_are_judged_after_its_facts_by_source_and_id() -> None:
    stage = Stage(NO_RULES)
    pay, ship = command("PAID", day(1), source="a"), command("SHIPPED", day(1), source="b")
    stage.hear(ship, sent("PENDING_PAYMENT", day(1)), pay)
    assert (stage.order().status, stage.counts["applied"]) == ("SHIPPED", 3)


def test_a_verdict_says_who_asked_and_from_where() -> None:
    stage = Stage(NO_RULES)
    stage.hear(PAID, command("CANCELLED", day(1)))
    entry = stage.audit[0]
    assert (entry.what, entry.operator, entry.ip) == ("command.accepted", "Li", "192.0.2.7")
    assert entry.detail["command"] == "CANCELLED"


# ---------------------------------------------------------------- alerts and actions
def shipped() -> Stage:
    stage = Stage()
    stage.hear(PAID, sent("SHIPPED", day(1)))
    return stage


def test_a_silence_is_told_when_it_is_due_and_ends_with_the_next_sign_of_life() -> None:
    stage = shipped()
    stage.advance(day(3) - 1)
    assert stage.told("carrier_silent") == []
    stage.advance(day(9))
    stage.hear(sent("SCAN", day(9, 1)))
    assert stage.told("carrier_silent") == [
        ("carrier_silent", "opened", format_instant(day(3))),
        ("carrier_silent", "resolved", format_instant(day(9, 1))),
    ]
    assert stage.acted("contact_carrier") == [("contact_carrier", format_instant(day(3)))]


def test_an_event_that_arrives_exactly_when_due_is_in_time() -> None:
    stage = shipped()
    stage.hear(sent("SCAN", day(3)))
    assert stage.told("carrier_silent") == []
    stage.hear(sent("SCAN", day(5) + 1))
    assert len(stage.told("carrier_silent")) == 2


def test_each_silence_is_told_once_with_its_own_id() -> None:
    stage = shipped()
    stage.hear(sent("SCAN", day(4)), sent("SCAN", day(8)), watermark=day(20))
    opened = [alert for alert in stage.alerts if alert.state == "opened"]
    silent = [alert for alert in opened if alert.rule == "carrier_silent"]
    assert [alert.at for alert in silent] == [format_instant(day(n)) for n in (3, 6, 10)]
    assert len({alert.alert_id for alert in silent}) == 3
    # The third within 14 days flaps: it requests nothing.
    assert [alert.flapping for alert in silent] == [False, False, True]
    assert len(stage.acted("contact_carrier")) == 2
    assert "flapping" in stage.order().flags


@pytest.mark.parametrize("source", ["rule:carrier_silent", "action:contact_carrier"])
def test_the_engine_does_not_end_a_silence_by_itself(source: str) -> None:
    stage = shipped()
    stage.hear(sent("SCAN", day(2), source=source), watermark=day(4))
    assert stage.told("carrier_silent") == [
        ("carrier_silent", "opened", format_instant(day(3))),
    ]


def test_an_order_without_parcels_is_not_silent_after_its_delivery() -> None:
    stage = shipped()
    stage.hear(sent("DELIVERED", day(2)), sent("RETURN_REQUESTED", day(4)), watermark=day(12))
    assert stage.told("carrier_silent") == []


def test_a_late_delivery_is_warned_of_and_then_overdue() -> None:
    stage = Stage()
    stage.hear(sent("PAID", day(0), promised_at=format_instant(day(2, 1))), watermark=day(3))
    assert stage.order().lane == "overdue"
    stage.hear(sent("DELIVERED", day(4)))
    assert stage.told("late_delivery") == [
        ("late_delivery", "opened", format_instant(day(1, 1))),
        ("late_delivery", "escalated", format_instant(day(2, 1))),
        ("late_delivery", "resolved", format_instant(day(4))),
    ]
    assert stage.order().lane == "normal"


def test_an_alert_carries_its_evidence() -> None:
    stage = shipped()
    stage.advance(day(3))
    because = stage.alerts[-1].because
    assert (because.anchor, because.limit) == ("last_update", "2d")
    assert (because.anchor_at, because.due_at) == (format_instant(day(1)), format_instant(day(3)))
    assert (because.last_event, because.last_event_at) == ("SHIPPED", format_instant(day(1)))


def late(stage: Stage) -> OpenAlert:
    """The open alert of late_delivery."""
    return next(each for each in stage.order().open_alerts if each.rule == "late_delivery")


def test_an_escalated_alert_carries_the_evidence_of_its_escalation() -> None:
    stage = Stage()
    promised = format_instant(day(2, 1))
    stage.hear(sent("PAID", day(0), promised_at=promised), watermark=day(1, 2))
    warned = late(stage)
    assert (warned.because.limit, warned.escalated_at) == ("-1d", None)
    stage.advance(day(3))
    stage.restart()
    overdue = late(stage)
    assert overdue.opened_at == warned.opened_at == format_instant(day(1, 1))
    assert overdue.escalated_at == promised
    stage.hear(sent("DELIVERED", day(4)))
    told = [alert.because for alert in stage.alerts if alert.rule == "late_delivery"]
    due = [(because.limit, because.due_at) for because in [*told, overdue.because]]
    assert due == [("-1d", format_instant(day(1, 1))), *[("0s", promised)] * 3]


def test_an_escalation_that_comes_late_starts_with_the_arrival() -> None:
    stage = Stage()
    paid = sent("PAID", day(0), day(5), promised_at=format_instant(day(2, 1)))
    stage.hear(paid, watermark=day(5, 1))
    alert = late(stage)
    assert alert.because.due_at == format_instant(day(2, 1))
    assert alert.opened_at == alert.escalated_at == format_instant(day(5))


def test_an_open_alert_keeps_the_due_time_of_its_opening() -> None:
    """Half of the promised span before the promise, which is less than the rule's limit."""
    stage = Stage()
    paid = sent("PAID", day(0), promised_at=format_instant(day(1, 2)))
    stage.hear(paid, watermark=day(0, 20))
    (opened,) = stage.alerts
    assert late(stage).because == opened.because
    assert opened.because.due_at == format_instant(day(0, 13))


def test_customs_stop_the_clock_of_silence_but_not_for_ever() -> None:
    stage = shipped()
    stage.hear(sent("CUSTOMS_HOLD", day(2), shipment="A"), watermark=day(17))
    assert stage.told("carrier_silent") == []
    assert stage.told("customs_stuck") == [("customs_stuck", "opened", format_instant(day(16)))]
    stage.advance(day(18))
    assert stage.told("carrier_silent") == [("carrier_silent", "opened", format_instant(day(18)))]


def test_a_broken_cold_chain_is_told_at_once() -> None:
    stage = Stage()
    stage.hear(
        sent("PAID", day(0), attributes={"temperature_max_c": 8.0}),
        sent("SCAN", day(0, 1), attributes={"temperature_c": 7.9}),
        sent("SCAN", day(0, 2), attributes={"temperature_c": 8.1}),
    )
    assert stage.told("cold_chain") == [("cold_chain", "opened", format_instant(day(0, 2)))]


def test_a_deadline_long_past_at_its_arrival_is_recorded_as_missed_without_action() -> None:
    stage = Stage()
    arrived_at = day(180)
    stage.hear(
        sent("PAID", day(0), arrived_at), sent("SHIPPED", day(1), arrived_at), watermark=day(181)
    )
    assert (stage.alerts, stage.actions) == ([], [])
    missed = [entry.detail["rule"] for entry in stage.audit if entry.what == "deadline.missed"]
    assert sorted(missed) == ["carrier_silent"]
    assert "missed_deadline" in stage.order().flags


def test_a_version_counts_events_and_what_was_said() -> None:
    stage = shipped()
    assert stage.order().version == 2
    stage.advance(day(3))
    assert stage.order().version == 3
    stage.hear(sent("SCAN", day(4)))
    assert stage.order().version == 5


def test_what_the_clock_has_not_reached_shows_and_says_nothing() -> None:
    stage = Stage()
    stage.hear(PAID, sent("SHIPPED", day(1)), watermark=day(0, 12))
    shown = stage.changes[-1].document
    assert isinstance(shown, OrderDocument)
    assert (shown.status, shown.version) == ("SHIPPED", 2)
    assert stage.counts["applied"] == 1


# ---------------------------------------------------------------- duplicates and limits
def test_the_earliest_arrival_of_an_id_wins_and_a_contradiction_is_flagged() -> None:
    stage = Stage(NO_RULES)
    stage.hear(sent("PAID", day(0), event_id="e"))
    stage.hear(sent("CANCELLED", day(0), day(1), event_id="e"))
    assert (stage.order().status, stage.order().flags) == ("PAID", ["conflicting_duplicate"])
    assert stage.counts == {"applied": 1, "duplicates": 1, "refused": 0}


def test_of_contradicting_messages_of_one_ms_the_same_wins_whatever_their_order() -> None:
    rivals = [sent("PAID", day(0), event_id="e"), sent("PENDING_PAYMENT", day(0), event_id="e")]
    one, other = Stage(NO_RULES), Stage(NO_RULES)
    one.hear(*rivals)
    other.hear(*reversed(rivals))
    assert one.order() == other.order()
    assert one.order().flags == ["conflicting_duplicate"]


def test_the_2001st_event_of_an_order_is_rejected() -> None:
    stage = Stage(NO_RULES)
    stage.hear(*(sent("PAID", day(0) + n) for n in range(MAX_ENTRIES + 1)))
    assert stage.counts["applied"] == MAX_ENTRIES
    assert [reason.code for reason in stage.rejected] == ["order_history_full"]


def test_an_order_has_at_most_250_parcels_named_or_announced() -> None:
    stage = Stage(NO_RULES)
    announced = [f"W{n}" for n in range(MAX_SHIPMENTS - 1)]
    stage.hear(sent("PAID", day(0), references={"waybill": announced}))
    stage.hear(sent("SCAN", day(1), waybill="W0"))
    stage.hear(sent("SCAN", day(1), waybill="one more", event_id="one more"))
    stage.hear(sent("PENDING_PAYMENT", day(1), references={"waybill": ["x", "y"]}))
    assert [reason.code for reason in stage.rejected] == ["too_many_shipments"] * 2
    assert stage.counts["applied"] == 2
    assert len(stage.order().shipments) == MAX_SHIPMENTS - 1
    assert (stage.order().flags, stage.order().version) == (["history_full"], 3)


@pytest.mark.parametrize(
    "too_much",
    [
        {"references": {"waybill": [f"W{n}" for n in range(MAX_SHIPMENTS + 1)]}},
        {"attributes": {f"name{n}": "x" * 4_000 for n in range(70)}},
    ],
    ids=["parcels", "fields"],
)
def test_an_order_over_a_limit_is_flagged_and_never_retires(too_much: Json) -> None:
    events = [sent("PAID", day(0)), sent("CANCELLED", day(1))]
    whole, cut = Stage(NO_RULES), Stage(NO_RULES)
    whole.hear(*events, watermark=day(100))
    cut.hear(*events, sent("PAID", day(0), event_id="much", **too_much), watermark=day(100))
    assert (whole.is_live(), cut.is_live()) == (False, True)
    assert cut.order().flags in (["history_full"], ["order_full"])


# ---------------------------------------------------------------- embryos and retirement
def test_an_embryo_alerts_nobody_until_it_is_created() -> None:
    stage = Stage()
    stage.hear(sent("SHIPPED", day(1)), watermark=day(5))
    assert (stage.alerts, stage.actions) == ([], [])
    assert stage.order().flags == ["embryo"]
    stage.hear(sent("PAID", day(0), arrival_at=day(6)))
    assert stage.told("carrier_silent") == [("carrier_silent", "opened", format_instant(day(6)))]


def test_an_embryo_leaves_memory_after_30_days() -> None:
    stage = Stage()
    stage.hear(sent("SHIPPED", day(1)), watermark=day(31) - 1)
    assert stage.is_live()
    stage.advance(day(31))
    assert not stage.is_live()


def delivered(rules: Rules = NO_RULES) -> Stage:
    stage = Stage(rules)
    stage.hear(PAID, sent("DELIVERED", day(1)), watermark=day(61) - 1)
    assert stage.is_live()
    stage.advance(day(61))
    return stage


def test_a_retired_order_goes_to_the_cold_and_gets_a_tombstone() -> None:
    stage = delivered()
    assert not stage.is_live()
    assert stage.order().status == "DELIVERED"
    assert stage.changes[-1] == ("o1", 2, None)


def test_a_duplicate_after_retirement_changes_nothing() -> None:
    stage = delivered()
    before, changes = dict(stage.cold), len(stage.changes)
    stage.hear(PAID | {"recorded_at": format_instant(day(365))})
    assert stage.cold == before
    assert len(stage.changes) == changes
    assert not stage.is_live()
    assert stage.counts["duplicates"] == 1


def test_a_late_event_recalls_a_retired_order() -> None:
    stage = delivered()
    stage.hear(sent("RETURN_REQUESTED", day(70)))
    assert stage.is_live()
    assert stage.cold == {}
    assert stage.changes[-1][:2] == ("o1", 3)
    assert stage.order().status == "RETURN_REQUESTED"


def test_past_the_cold_limit_an_order_is_closed() -> None:
    stage = delivered()
    stage.hear(sent("RETURN_REQUESTED", day(70), arrival_at=day(61) + COLD_LIMIT_MS + 1))
    assert [reason.code for reason in stage.rejected] == ["order_closed"]
    assert stage.order().status == "DELIVERED"
    assert not stage.is_live()
    assert stage.counts["applied"] == 2


def test_at_the_cold_limit_an_order_is_still_recalled() -> None:
    stage = delivered()
    stage.hear(sent("RETURN_REQUESTED", day(70), arrival_at=day(61) + COLD_LIMIT_MS))
    assert stage.rejected == []
    assert stage.is_live()


def test_an_order_with_an_open_alert_retires_when_it_ends() -> None:
    rules = rules_of(
        '[[rule]]\nid = "look"\nstatuses = ["CANCELLED"]\nanchor = "created"\nafter = "1h"\n'
        'severity = "warning"\n'
    )
    stage = Stage(rules)
    stage.hear(PAID, sent("CANCELLED", day(1)), watermark=day(99))
    assert stage.is_live()


# ---------------------------------------------------------------- rule changes
UNPAID = (
    '[[rule]]\nid = "{id}"\nstatuses = ["PENDING_PAYMENT"]\nanchor = "created"\n'
    'after = "{after}"\nseverity = "warning"\n'
)


def test_when_rules_change_every_live_order_is_judged_once_by_the_new_ones() -> None:
    stage = Stage(rules_of(UNPAID.format(id="slow", after="30d")))
    stage.hear(sent("PENDING_PAYMENT", day(0)), watermark=day(2))
    stage.restart(rules_of(UNPAID.format(id="fast", after="1h")))
    out = stage.shard.reevaluate()
    assert [(a.rule, a.state, a.at) for _, a in out.alerts] == [
        ("fast", "opened", format_instant(day(2)))
    ]
    assert [change.version for change in out.changes] == [2]
    assert stage.shard.reevaluate().alerts == []
    stage.advance(day(40))
    assert stage.alerts == []


def test_an_alert_of_a_rule_that_has_gone_resolves_at_the_change() -> None:
    stage = Stage(rules_of(UNPAID.format(id="fast", after="1h")))
    stage.hear(sent("PENDING_PAYMENT", day(0)), watermark=day(2))
    stage.restart(NO_RULES)
    out = stage.shard.reevaluate()
    assert [(a.rule, a.state, a.at) for _, a in out.alerts] == [
        ("fast", "resolved", format_instant(day(2)))
    ]
    assert [a.at for a in stage.alerts] == [format_instant(day(0) + HOUR_MS)]


def test_an_order_that_is_first_seen_and_retires_in_one_step_gets_its_tombstone() -> None:
    stage = Stage(NO_RULES)
    stage.hear(PAID, sent("DELIVERED", day(1)), watermark=day(200))
    assert [change.document is None for change in stage.changes] == [False, True]


SLOW = (
    '[[rule]]\nid = "slow"\nstatuses = ["PAID"]\nseverity = "overdue"\n'
    'anchors = [{anchor = "ship_by"}, {anchor = "milestone PAID", after = "1d"}]\n'
)


@pytest.mark.parametrize(
    "without",
    [
        UNPAID.format(id="fast", after="1h"),
        UNPAID.format(id="slow", after="1h"),
    ],
    ids=["the rule", "its second anchor"],
)
def test_an_alert_of_what_left_the_rules_resolves_with_its_due_time(without: str) -> None:
    stage = Stage(rules_of(SLOW))
    stage.hear(PAID, watermark=day(2))
    stage.restart(rules_of(without))
    (alert,) = [alert for _, alert in stage.shard.reevaluate().alerts]
    assert (alert.rule, alert.state) == ("slow", "resolved")
    assert alert.because.due_at == format_instant(day(1))


ESCALATING = (
    '[[rule]]\nid = "slow"\nstatuses = ["PAID"]\nanchor = "{anchor}"\nafter = "1d"\n'
    'severity = "warning"\nescalate = {{after = "2d"}}\n'
)


def test_an_escalated_alert_of_a_rule_that_has_gone_resolves_too() -> None:
    stage = Stage(rules_of(ESCALATING.format(anchor="created")))
    stage.hear(PAID, watermark=day(3))
    stage.restart(NO_RULES)
    out = stage.shard.reevaluate()
    assert [(a.rule, a.state, a.severity) for _, a in out.alerts] == [
        ("slow", "resolved", "overdue")
    ]
    assert out.faults == []


@pytest.mark.parametrize("anchor", ["promised_at", "ship_by", "planned SHIPPED"])
def test_an_alert_whose_rule_counts_from_something_else_now_resolves(anchor: str) -> None:
    stage = Stage(rules_of(ESCALATING.format(anchor="created")))
    stage.hear(PAID, watermark=day(1.5))
    stage.restart(rules_of(ESCALATING.format(anchor=anchor)))
    out = stage.shard.reevaluate()
    assert [(a.rule, a.state) for _, a in out.alerts] == [("slow", "resolved")]
    assert out.faults == []


def test_a_call_on_a_shard_from_within_another_is_refused_instead_of_a_deadlock() -> None:
    class Curious:
        def get(self, _: str) -> bytes | None:
            with pytest.raises(RuntimeError, match="another call on it is still running"):
                shard.offer([])
            return None

    shard = Shard(TABLE, NO_RULES, Curious())
    shard.offer([fact_of(PAID)])
    assert shard.advance(day(0)).applied == 1
