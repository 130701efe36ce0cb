"""The fold: one final order for one set of events, whatever way they came."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.instants import format_instant
from schemas.numbers import as_number, as_waybill
from schemas.order import OrderDocument
from tests.support import generators
from tests.support.packed import unpack
from tests.support.stage import FOLD, NO_RULES, TABLE, Json, Stage, day, fact_of, folded, sent

BEYOND_SHIPPED = {
    *("DELIVERED", "COMPLETED", "RETURN_REQUESTED", "RETURNING", "RETURNED", "REFUNDED"),
    "EXCHANGED",
}


def first_of_each(events: list[Json]) -> list[Json]:
    """Plain facts only, one for each (source, event_id)."""
    found: dict[tuple[str, str], Json] = {}
    for event in events:
        if "kind" not in event and event["status_code"] in TABLE.index:
            found.setdefault((event["source"], event["event_id"]), event)
    return list(found.values())


def plain_orders() -> st.SearchStrategy[list[Json]]:
    """The distinct facts of an order; corrections among them."""
    return generators.orders().map(first_of_each).filter(bool)


def final(events: list[Json]) -> OrderDocument:
    stage = Stage(NO_RULES)
    for event in events:
        try:
            stage.shard.offer([fact_of(event)])
        except Rejected:
            continue  # from the future, by the generator's wrong clocks
    stage.advance(day(4_000))
    return stage.order()


@settings(max_examples=60)
@given(st.data())
def test_a_step_equals_a_full_fold_after_every_event(data: st.DataObject) -> None:
    events = data.draw(generators.permuted(data.draw(plain_orders())))
    stage = Stage(NO_RULES)
    for event in events:
        try:
            fact = fact_of(event)
        except Rejected:
            continue
        stage.shard.offer([fact])
        stage.advance(fact.arrival_at)
        assert FOLD.differences("o1", stage.packed()) == []


@settings(max_examples=60)
@given(st.data())
def test_every_permutation_ends_in_the_same_order(data: st.DataObject) -> None:
    events = [e for e in data.draw(plain_orders()) if is_takeable(e)]
    if events:
        assert final(data.draw(generators.permuted(events))) == final(events)


def is_takeable(event: Json) -> bool:
    try:
        fact_of(event)
    except Rejected:
        return False
    return True


@settings(max_examples=60)
@given(st.data())
def test_duplicates_change_nothing(data: st.DataObject) -> None:
    events = [e for e in data.draw(plain_orders()) if is_takeable(e)]
    if events:
        lines = data.draw(generators.permuted(events, max_copies=4))
        assert final(lines) == final(events)


@settings(max_examples=60)
@given(st.data())
def test_any_split_into_arrivals_ends_in_the_same_order(data: st.DataObject) -> None:
    """Arrival is part of an event; moved, it may change evidence but not what the order is."""
    events = [e for e in data.draw(plain_orders()) if is_takeable(e) and "corrects" not in e]
    unequal = {(e["timestamp"], e["status_code"], parcel(e)): e for e in events}
    if not unequal:
        return
    # A missing time is the arrival, so that moving it would move the event.
    events = [e for e in unequal.values() if not e["timestamp"].startswith("1970")]
    if not events:
        return
    end_at = day(3_000)
    moved = [
        e | {"recorded_at": format_instant(end_at + data.draw(st.integers(0, 5)))} for e in events
    ]
    together = [e | {"recorded_at": format_instant(end_at)} for e in events]
    assert final(moved) == final(together)


def parcel(event: Json) -> str:
    """The normal form of its parcel's name: "b " and "B" are one parcel."""
    waybill = event.get("waybill")
    return as_waybill(waybill) if waybill else as_number(event.get("shipment") or "")


SAMPLE = (
    sent("PENDING_PAYMENT", day(0)),
    sent("PAID", day(1)),
    sent("SHIPPED", day(2)),
    sent("SCAN", day(3)),
    sent("IN_TRANSIT", day(4)),
    sent("OUT_FOR_DELIVERY", day(5)),
    sent("DELIVERED", day(6)),
)


@pytest.mark.parametrize("late", ["SCAN", "IN_TRANSIT", "OUT_FOR_DELIVERY", "SHIPPED", "PAID"])
def test_a_late_scan_never_reopens_a_delivered_order(late: str) -> None:
    delivered = (sent("PAID", day(1)), sent("DELIVERED", day(6)))
    stage = Stage(NO_RULES)
    stage.hear(*delivered)
    for at in (day(5), day(6), day(6, 1), day(9)):
        stage.hear(sent(late, at, arrival_at=day(10)))
        assert stage.order().status == "DELIVERED"


@settings(max_examples=60)
@given(st.permutations(SAMPLE))
def test_no_permutation_regresses_a_delivered_order(events: list[Json]) -> None:
    stage = Stage(NO_RULES)
    has_been_delivered = False
    for arrival, event in enumerate(events):
        arrived_at = format_instant(day(10, arrival))
        stage.hear(event | {"recorded_at": arrived_at})
        has_been_delivered |= stage.order().status == "DELIVERED"
        assert (stage.order().status == "DELIVERED") == has_been_delivered
    assert stage.order().status == "DELIVERED"
    assert len(stage.order().milestones) == len(SAMPLE)


@settings(max_examples=60)
@given(st.data())
def test_a_delivered_order_goes_only_on_from_there(data: st.DataObject) -> None:
    """Without corrections and other parcels: a late parcel under way reopens (see below).

    And without creating events, which may begin a second life, refunds, which may be of a part
    before the rest is shipped, and cancellations, by which the shop withdraws a delivery.
    """
    left_out = {"shipment", "waybill", "references", "corrects"}
    set_back = {"PAID", "PENDING_PAYMENT", "REFUNDED", "CANCELLED"}
    events = [
        {name: value for name, value in event.items() if name not in left_out}
        for event in data.draw(plain_orders())
        if is_takeable(event) and event["status_code"] not in set_back
    ]
    stage, was_delivered = Stage(NO_RULES), False
    stage.hear(sent("PAID", day(-4_000)))
    for arrival, event in enumerate(data.draw(st.permutations(events))):
        stage.hear(event | {"recorded_at": format_instant(day(0) + arrival)})
        status = stage.order().status
        assert not was_delivered or status in BEYOND_SHIPPED
        was_delivered |= status in BEYOND_SHIPPED


def test_a_late_word_of_another_parcel_under_way_takes_delivered_back() -> None:
    """The one exception: with it, the last parcel had not been delivered at all."""
    stage = Stage(NO_RULES)
    stage.hear(sent("PAID", day(0)), sent("DELIVERED", day(3), shipment="A"))
    assert stage.order().status == "DELIVERED"
    stage.hear(sent("COLLECTED", day(1), arrival_at=day(4), shipment="B"))
    assert stage.order().status == "SHIPPED"
    stage.hear(sent("DELIVERED", day(5), shipment="B"))
    assert stage.order().status == "DELIVERED"
    assert stage.order().milestones["DELIVERED"] == format_instant(day(5))


def test_the_order_is_delivered_with_its_last_parcel() -> None:
    announced = sent("PAID", day(0), references={"waybill": ["A", "B"]})
    one = (sent("COLLECTED", day(1), shipment="A"), sent("DELIVERED", day(2), shipment="A"))
    assert folded(announced, *one).status == "SHIPPED"
    assert folded(announced, *one, sent("DELIVERED", day(3), shipment="B")).status == "DELIVERED"


def test_the_first_parcel_collected_ships_the_order() -> None:
    order = folded(
        sent("PAID", day(0), references={"waybill": ["A", "B"]}),
        sent("COLLECTED", day(1), shipment="A"),
    )
    assert order.status == "SHIPPED"
    assert order.milestones["SHIPPED"] == format_instant(day(1))


def test_a_parcel_handed_over_first_of_all_ships_its_order_while_another_is_to_come() -> None:
    announced = sent("PAID", day(0), references={"waybill": ["A", "B"]})
    first = sent("DELIVERED", day(1), shipment="A")
    order = folded(announced, first)
    assert (order.status, order.milestones["SHIPPED"]) == ("SHIPPED", format_instant(day(1)))
    order = folded(announced, first, sent("DELIVERED", day(2), shipment="B"))
    assert (order.status, order.milestones["DELIVERED"]) == ("DELIVERED", format_instant(day(2)))


def test_a_label_is_not_a_collection() -> None:
    assert folded(sent("PAID", day(0)), sent("LABEL_CREATED", day(1), shipment="A")).status == (
        "PAID"
    )


def test_a_scan_is_a_sign_of_life_and_moves_nothing() -> None:
    order = folded(sent("PAID", day(0)), sent("LABEL_CREATED", day(1)), sent("SCAN", day(2)))
    assert order.status == "PAID"
    assert [(s.status, s.updated_at) for s in order.shipments] == [
        ("LABEL_CREATED", format_instant(day(2)))
    ]


def test_a_cancelled_order_that_was_shipped_is_irregular() -> None:
    order = folded(sent("PAID", day(0)), sent("CANCELLED", day(1)), sent("SHIPPED", day(2)))
    assert (order.status, order.flags) == ("SHIPPED", ["irregular"])


def test_a_fact_out_of_sequence_is_recorded_and_flagged() -> None:
    order = folded(sent("PAID", day(0)), sent("SHIPPED", day(1)), sent("ALLOCATED", day(2)))
    assert (order.status, order.flags) == ("SHIPPED", ["out_of_sequence"])
    assert order.milestones["ALLOCATED"] == format_instant(day(2))


def test_equal_times_go_by_the_rank_of_the_lifecycle() -> None:
    times = dict.fromkeys(("SHIPPED", "PAID", "PENDING_PAYMENT"), day(1))
    stage = Stage(NO_RULES)
    stage.hear(*(sent(status, at) for status, at in times.items()))
    assert (stage.order().status, stage.order().flags) == ("SHIPPED", [])
    walked = [TABLE.codes[status] for status in unpack(stage.packed()).firsts]
    assert walked == ["PENDING_PAYMENT", "PAID", "SHIPPED"]


def test_a_correction_retracts_what_was_said() -> None:
    mistake = sent("DELIVERED", day(3), event_id="mistake", promised_at="2026-05-01")
    order = folded(
        sent("PAID", day(0), promised_at="2026-04-01"),
        sent("SHIPPED", day(1)),
        mistake,
        sent("SCAN", day(4), corrects="mistake"),
    )
    assert (order.status, order.flags) == ("SHIPPED", ["corrected"])
    assert "DELIVERED" not in order.milestones
    assert order.promised_at == "2026-04-01T23:59:59.999Z"


def test_a_correction_that_arrives_first_holds_as_well() -> None:
    mistake = sent("DELIVERED", day(3), day(9), event_id="mistake")
    correction = sent("SCAN", day(4), day(5), corrects="mistake")
    order = folded(sent("SHIPPED", day(1)), sent("PAID", day(0)), correction, mistake)
    assert (order.status, order.flags) == ("SHIPPED", ["corrected"])


def test_nobody_corrects_the_word_of_another_source() -> None:
    mistake = sent("DELIVERED", day(3), event_id="mistake")
    elsewhere = sent("SCAN", day(4), corrects="mistake", source="carrier:sf")
    assert folded(sent("PAID", day(0)), mistake, elsewhere).status == "DELIVERED"


def test_the_last_event_of_the_walk_says_a_field() -> None:
    order = folded(
        sent("PAID", day(2), promised_at="2026-04-02", attributes={"colour": "red", "size": 3}),
        sent("PENDING_PAYMENT", day(1), promised_at="2026-04-01", attributes={"colour": "blue"}),
    )
    assert order.promised_at == "2026-04-02T23:59:59.999Z"
    assert order.attributes == {"colour": "red", "size": 3}


def test_references_are_united() -> None:
    order = folded(
        sent("PENDING_PAYMENT", day(1), references={"erp": "SO-2"}),
        sent("PAID", day(2), references={"erp": ["SO-1", "SO-2"], "waybill": "A"}),
    )
    assert order.references == {"erp": ["SO-1", "SO-2"], "waybill": ["A"]}


def test_readings_fold_to_min_max_and_last_of_their_parcel() -> None:
    order = folded(
        sent("PAID", day(0)),
        *(
            sent("SCAN", day(1, hour), shipment="A", attributes={"temperature_c": value})
            for hour, value in ((2, 9.0), (1, 4.0), (3, 5.0))
        ),
    )
    assert order.shipments[0].readings == {"temperature_c": {"min": 4.0, "max": 9.0, "last": 5.0}}
    assert order.attributes == {}


def test_an_order_that_nothing_created_is_an_embryo() -> None:
    order = folded(sent("SCAN", day(1)), sent("SHIPPED", day(2)))
    assert (order.status, order.created_at, order.flags) == (None, None, ["embryo"])
    born = folded(sent("SHIPPED", day(2)), sent("PAID", day(1)))
    assert (born.status, born.created_at, born.flags) == ("SHIPPED", format_instant(day(1)), [])
