"""Withdrawals by the shop of returns and deliveries; and notes, which give and take nothing."""

from pathlib import Path

import pytest

from dataflows.core.rules_check import parse_rules
from schemas.instants import format_instant
from tests.reference import evaluate
from tests.support.generators import LIFECYCLE
from tests.support.recording import Json, replay, written
from tests.support.stage import CARRIER, TABLE, Stage, day, hear, parcels, sent


@pytest.mark.parametrize("word", ["DELIVERED", "COMPLETED"])
@pytest.mark.parametrize("waybill", [{}, {"waybill": "W1"}])
def test_a_return_that_the_shop_withdraws_is_watched_no_more(word: str, waybill: Json) -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), **waybill),
        sent("RETURN_TO_SENDER", day(2), source=CARRIER, **waybill),
        sent(word, day(5)),
        watermark=day(40),
    )
    assert stage.order().status == word
    assert parcels(stage) == {waybill.get("waybill", ""): ("RETURN_TO_SENDER", True)}
    assert stage.told() == []


def returned_after_all(*more: Json) -> Stage:
    """A return parcel under way, whose return the shop withdrew."""
    return hear(
        sent("PAID", day(0)),
        sent("COLLECTED", day(1), waybill="W1", source=CARRIER),
        sent("DELIVERED", day(2), waybill="W1", source=CARRIER),
        sent("RETURN_REQUESTED", day(5), references={"return_waybill": "R1"}),
        sent("COLLECTED", day(6), waybill="R1", source=CARRIER),
        sent("DELIVERED", day(7)),
        *more,
        watermark=day(20),
    )


def test_a_parcel_of_a_withdrawn_return_is_watched_again_when_it_moves() -> None:
    withdrawn = returned_after_all()
    assert withdrawn.order().status == "DELIVERED"
    assert parcels(withdrawn) == {"R1": ("COLLECTED", True), "W1": ("DELIVERED", False)}
    assert withdrawn.told() == []
    moving = returned_after_all(sent("IN_TRANSIT", day(8), waybill="R1", source=CARRIER))
    assert moving.order().status == "RETURNING"
    assert parcels(moving)["R1"] == ("IN_TRANSIT", False)
    assert moving.told("carrier_silent") == [("carrier_silent", "opened", format_instant(day(10)))]
    arrived = returned_after_all(sent("DELIVERED", day(8), waybill="R1", source=CARRIER))
    assert arrived.order().status == "RETURNED"


def test_a_shops_delivery_of_an_order_in_part_on_its_way_back_withdraws_nothing() -> None:
    stage = hear(
        sent("PAID", day(0)),
        *(sent("COLLECTED", day(1), waybill=w, source=CARRIER, event_id=w) for w in ("A", "B")),
        sent("RETURN_TO_SENDER", day(2), waybill="B", source=CARRIER),
        sent("DELIVERED", day(3)),
        watermark=day(12),
    )
    assert parcels(stage)["B"] == ("RETURN_TO_SENDER", False)
    assert stage.told("return_silent") == [("return_silent", "opened", format_instant(day(9)))]


DELIVERED = (
    sent("PAID", day(0)),
    sent("COLLECTED", day(1), waybill="W1", source=CARRIER),
    sent("DELIVERED", day(2), waybill="W1", source=CARRIER),
)


@pytest.mark.parametrize("before", [(), (sent("COMPLETED", day(2, 1)),)])
def test_a_shop_that_cancels_after_the_delivery_is_shown(before: tuple[Json, ...]) -> None:
    stage = hear(*DELIVERED, *before, sent("CANCELLED", day(3)), watermark=day(4))
    assert stage.order().status == "CANCELLED"


@pytest.mark.parametrize("cancelled", [{"source": CARRIER}, {"waybill": "W1"}])
def test_nobody_else_cancels_what_was_delivered(cancelled: Json) -> None:
    stage = hear(*DELIVERED, sent("CANCELLED", day(3), **cancelled), watermark=day(4))
    assert stage.order().status == "DELIVERED"
    assert stage.order().flags == ["out_of_sequence"]


def test_an_alert_of_a_parcel_that_became_another_one_shows_its_name_as_it_came() -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), shipment="box 1"),
        sent("LABEL_CREATED", day(5), shipment="box 1", waybill="W1"),
        watermark=day(5),
    )
    silent = [a for a in stage.alerts if a.rule == "carrier_silent"]
    assert [(a.state, a.because.shipment) for a in silent] == [
        ("opened", "box 1"),
        ("resolved", "box 1"),
    ]


def test_notes_alone_make_no_order_in_a_replay(tmp_path: Path) -> None:
    events = [sent("NOTE", day(0)), sent("NOTE", day(1), source=CARRIER, waybill="W1")]
    path = written(tmp_path / "events.ndjson", [*events, sent("PAID", day(0), order_id="o2")])
    results = replay(tmp_path / "out", path)
    assert [row["order_id"] for row in results.rows("orders")] == ["o2"]


def test_a_note_does_not_put_a_second_life_off() -> None:
    events = [
        sent("PAID", day(0)),
        sent("DELIVERED", day(2)),
        sent("NOTE", day(20), source="note:desk"),
        sent("PAID", day(33)),
    ]
    stage = hear(*events, watermark=day(33))
    assert set(stage.order().milestones) == {"PAID"}
    outcome = evaluate(LIFECYCLE, {"rule": []}, events, day(33))
    (order,) = outcome.orders.values()
    assert set(order["milestones"]) == {"PAID"}


@pytest.mark.parametrize("named", [{"waybill": "W1"}, {"references": {"waybill": "W1"}}])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_note_registers_no_number(named: Json, *, is_known: bool, tmp_path: Path) -> None:
    """Nor does one keep the scans whose registration was corrected."""
    scan = sent("DELIVERED", day(2), source=CARRIER, waybill="W1")
    del scan["order_id"]
    registered = [
        sent("SHIPPED", day(1), waybill="W1", event_id="registered"),
        sent("SHIPPED", day(3), corrects="registered", event_id="corrected"),
    ]
    events = [
        sent("PAID", day(0)),
        sent("NOTE", day(1), **named),
        *(registered if is_known else []),
        scan,
        sent("ALLOCATED", day(20), order_id="o2"),
    ]
    results = replay(tmp_path / "out", written(tmp_path / "events.ndjson", events))
    assert results.order("o1")["status"] == ("SHIPPED" if is_known else "PAID")
    codes = [row["code"] for row in results.rows("rejected")]
    assert codes == ([] if is_known else ["unknown_reference"])


@pytest.mark.parametrize("field", ["promised_at", "ship_by"])
def test_a_promise_that_is_repeated_is_the_same_promise(field: str) -> None:
    promise: Json = {field: format_instant(day(4, 0.5))}
    events = [
        sent("PAID", day(0), **promise),
        sent("ALLOCATED", day(1), **promise),
        sent("ALLOCATED", day(3, 23), **promise),
        sent("ALLOCATED", day(4, 1), **promise),
        sent("ALLOCATED", day(4, 2), **promise),
    ]
    told = {"promised_at": "late_delivery", "ship_by": "late_shipping"}[field]
    once = hear(events[0], watermark=day(5))
    often = hear(*events, watermark=day(5))
    assert often.told(told) == once.told(told) != []
    assert often.acted() == once.acted()
    anchors = {a.because.anchor_event for a in often.alerts if a.rule == told}
    assert anchors == {a.because.anchor_event for a in once.alerts if a.rule == told}


def test_a_promise_that_returns_to_an_earlier_value_is_a_new_one() -> None:
    events = [
        sent(code, at, promised_at=format_instant(day(promised, 6)))
        for code, at, promised in (
            ("PAID", day(0), 4),
            ("ALLOCATED", day(1), 6),
            ("SHIPPED", day(3), 4),
        )
    ]
    stage = hear(*events, watermark=day(4))
    assert stage.told("late_delivery") == [
        ("late_delivery", "opened", format_instant(day(3, 15))),
    ], "half of the 30 hours since it was set again"


def test_a_parcel_without_a_name_that_has_arrived_back_counts_from_then() -> None:
    rules = """version = 1
[[rule]]
id = "not_refunded"
per = "shipment"
statuses = ["RETURNED"]
shipment_statuses = ["RETURNED"]
anchor = "status_since"
after = "3d"
severity = "warning"
"""
    stage = Stage(parse_rules(rules, "own.toml", TABLE))
    events = [
        sent("PAID", day(0)),
        sent("SHIPPED", day(1)),
        sent("RETURN_TO_SENDER", day(2), source=CARRIER),
        sent("DELIVERED", day(6), source=CARRIER),
    ]
    stage.hear(*events, watermark=day(20))
    assert stage.told() == [("not_refunded", "opened", format_instant(day(9)))]
