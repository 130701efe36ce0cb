"""The shop's word of the whole order, against the carriers' words of its parcels."""

import pytest

from schemas.instants import format_instant
from tests.support.recording import Json
from tests.support.stage import Stage, day, hear, parcels, scanned, sent


# ---------------------------------------------------------------- cash on delivery
@pytest.mark.parametrize("paid_on", [1.5, 3, 3.5, 40])
def test_the_first_payment_settles_an_order_however_late_it_comes(paid_on: float) -> None:
    stage = hear(
        sent("PENDING_PAYMENT", day(0)),
        sent("SHIPPED", day(1), waybill="W1"),
        scanned("DELIVERED", day(3), "W1"),
        sent("PAID", day(paid_on)),
        watermark=day(41),
    )
    order = stage.order()
    assert (order.status, order.flags) == ("DELIVERED", [])
    assert set(order.milestones) == {"PENDING_PAYMENT", "SHIPPED", "DELIVERED", "PAID"}
    assert parcels(stage) == {"W1": ("DELIVERED", False)}


def test_a_second_payment_after_a_month_begins_a_second_life() -> None:
    stage = hear(
        sent("PENDING_PAYMENT", day(0)),
        sent("SHIPPED", day(1)),
        sent("DELIVERED", day(3)),
        sent("PAID", day(40)),
        sent("PAID", day(75)),
        watermark=day(75),
    )
    assert (stage.order().status, set(stage.order().milestones)) == ("PAID", {"PAID"})


# ---------------------------------------------------------------- refunded under way
@pytest.mark.parametrize("waybill", [{}, {"waybill": "W1"}])
def test_a_refund_of_the_whole_order_ends_no_watch_over_a_parcel_that_moves(waybill: Json) -> None:
    under_way = (
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), **waybill),
        scanned("IN_TRANSIT", day(2), waybill.get("waybill", "")),
        sent("REFUNDED", day(3)),
    )
    stage = hear(*under_way, watermark=day(5))
    assert stage.order().status == "REFUNDED"
    assert stage.told() == [("refunded_silent", "opened", format_instant(day(4)))]
    moved = scanned("OUT_FOR_DELIVERY", day(5), waybill.get("waybill", ""))
    states = [state for _, state, _ in hear(*under_way, moved, watermark=day(6)).told()]
    assert states == ["opened", "resolved"]
    silent = hear(*under_way, moved, watermark=day(8)).told("refunded_silent")
    assert [state for _, state, _ in silent] == ["opened", "resolved", "opened"]


def test_a_parcel_that_was_silent_before_the_refund_stays_reported() -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), waybill="W1"),
        scanned("IN_TRANSIT", day(2), "W1"),
        sent("REFUNDED", day(6)),
        watermark=day(7),
    )
    assert [alert.rule for alert in stage.order().open_alerts] == ["refunded_silent"]
    assert stage.told("carrier_silent")[-1][1] == "resolved"


@pytest.mark.parametrize(
    "end",
    [
        [],  # never scanned: the refund is the last word
        [scanned("DELIVERED", day(2), "W1")],
        [scanned("IN_TRANSIT", day(2), "W1"), scanned("LOST", day(2, 1), "W1")],
        [scanned("IN_TRANSIT", day(2), "W1"), scanned("READY_FOR_PICKUP", day(2, 1), "W1")],
        [scanned("IN_TRANSIT", day(2), "W1"), scanned("RETURN_TO_SENDER", day(2, 1), "W1")],
    ],
)
def test_a_parcel_that_arrived_ended_or_never_moved_is_not_silent_behind_a_refund(
    end: list[Json],
) -> None:
    shipped = (sent("PAID", day(0)), sent("SHIPPED", day(1), waybill="W1"))
    stage = hear(*shipped, *end, sent("REFUNDED", day(2, 2)), watermark=day(20))
    assert stage.told("refunded_silent") == []


def test_the_parcel_of_a_cancelled_order_has_one_alert_also_once_it_is_refunded() -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), waybill="W1"),
        scanned("IN_TRANSIT", day(2), "W1"),
        sent("CANCELLED", day(3)),
        sent("REFUNDED", day(3, 1)),
        watermark=day(9),
    )
    assert [alert.rule for alert in stage.order().open_alerts] == ["cancelled_under_way"]


# ---------------------------------------------------------------- several parcels, none named
def test_scans_that_name_no_parcel_deliver_no_order_that_expects_several() -> None:
    expected = sent("PAID", day(0), parcels_expected=2)
    scans = [scanned(code, day(1, n)) for n, code in enumerate(("COLLECTED", "DELIVERED"))]
    again = [scanned(code, day(2, n)) for n, code in enumerate(("IN_TRANSIT", "DELIVERED"))]
    stage = hear(expected, *scans, *again, watermark=day(3))
    assert stage.order().status == "SHIPPED"
    assert parcels(stage) == {"": ("DELIVERED", False)}
    for word in ("DELIVERED", "COMPLETED"):
        stage = hear(expected, *scans, *again, sent(word, day(3)), watermark=day(4))
        assert stage.order().status == word
    corrected = sent("PAID", day(3), event_id="again", parcels_expected=1)
    assert hear(expected, *scans, corrected, watermark=day(4)).order().status == "DELIVERED"


# ---------------------------------------------------------------- cancelled under way
@pytest.mark.parametrize("waybill", [{}, {"waybill": "W1"}])
@pytest.mark.parametrize("last", ["CANCELLED", "REFUNDED"])
def test_a_parcel_of_a_cancelled_order_is_on_its_way_without_a_scan(
    waybill: Json, last: str
) -> None:
    refund = [sent(last, day(2, 1))] if last == "REFUNDED" else []
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), **waybill),
        sent("CANCELLED", day(2)),
        *refund,
        watermark=day(9),
    )
    assert stage.order().status == last
    (told,) = stage.told()
    assert told[:2] == ("cancelled_under_way", "opened")
    assert [kind for kind, _ in stage.acted("stop_parcel")] == ["stop_parcel"]


def test_the_first_scan_of_a_parcel_shipped_before_takes_no_cancellation_back() -> None:
    shipped = (sent("PAID", day(0)), sent("SHIPPED", day(1), waybill="W1"))
    scans = (scanned("COLLECTED", day(3), "W1"), scanned("DELIVERED", day(5), "W1"))
    cancelled = sent("CANCELLED", day(2))
    stage = hear(*shipped, cancelled, scans[0], watermark=day(4))
    assert stage.order().status == "CANCELLED"
    assert [state for _, state, _ in stage.told()] == ["opened"]
    assert hear(*shipped, cancelled, *scans, watermark=day(6)).order().status == "DELIVERED"
    # Never shipped before: the shop ships it after all.
    assert hear(shipped[0], cancelled, scans[0], watermark=day(4)).order().status == "SHIPPED"


def test_a_parcel_that_was_never_shipped_is_not_on_its_way() -> None:
    stage = hear(
        sent("PAID", day(0), references={"waybill": "W1"}),
        scanned("LABEL_CREATED", day(0, 1), "W1"),
        sent("CANCELLED", day(0, 2)),
        watermark=day(9),
    )
    assert stage.told() == []


def cancelled_in_part(*more: Json) -> Stage:
    """Two parcels under way, the shop cancels one of them."""
    return hear(
        sent("PAID", day(0)),
        scanned("IN_TRANSIT", day(1), "W1"),
        scanned("IN_TRANSIT", day(1), "W2"),
        sent("CANCELLED", day(2), waybill="W1"),
        scanned("DELIVERED", day(2, 1), "W2"),
        *more,
        watermark=day(20),
    )


def test_a_parcel_cancelled_under_way_ends_and_the_order_follows_the_others() -> None:
    stage = cancelled_in_part()
    assert (stage.order().status, stage.order().flags) == ("DELIVERED", [])
    assert parcels(stage) == {"W1": ("CANCELLED", True), "W2": ("DELIVERED", False)}
    assert stage.told() == []


def test_a_parcel_cancelled_under_way_that_is_sent_back_is_followed() -> None:
    stage = cancelled_in_part(scanned("RETURN_TO_SENDER", day(3), "W1"))
    assert stage.order().status == "RETURNING"
    assert parcels(stage)["W1"] == ("RETURN_TO_SENDER", False)
    stage = cancelled_in_part(
        scanned("RETURN_TO_SENDER", day(3), "W1"), scanned("DELIVERED", day(5), "W1")
    )
    assert stage.order().status == "DELIVERED"
    assert parcels(stage)["W1"] == ("RETURNED", False)


# ---------------------------------------------------------------- the whole order
@pytest.mark.parametrize("word", ["DELIVERED", "COMPLETED"])
@pytest.mark.parametrize("last_scan", [[], [scanned("IN_TRANSIT", day(1, 6), "W1")]])
def test_the_shops_word_covers_a_parcel_whose_delivery_was_never_scanned(
    word: str, last_scan: list[Json]
) -> None:
    shipped = [sent("PAID", day(0)), sent("SHIPPED", day(1), waybill="W1"), *last_scan]
    ends = [sent(word, day(2)), sent("RETURN_REQUESTED", day(3))]
    assert hear(*shipped, *ends, watermark=day(10)).told() == []
    moved = scanned("OUT_FOR_DELIVERY", day(4), "W1")
    again = hear(*shipped, *ends, moved, watermark=day(10)).told("carrier_silent")
    assert [state for _, state, _ in again] == ["opened"]


def test_a_replacement_announced_behind_the_shops_word_is_watched() -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), waybill="W1"),
        sent("DELIVERED", day(2)),
        sent("RETURN_REQUESTED", day(3), references={"waybill": "W2"}),
        watermark=day(10),
    )
    (alert,) = stage.alerts
    assert (alert.rule, alert.because.shipment) == ("carrier_silent", "W2")


@pytest.mark.parametrize(
    "several", [{"parcels_expected": 2}, {"references": {"waybill": ["W1", "W2"]}}]
)
def test_of_several_parcels_a_carriers_delivery_without_a_name_is_not_the_orders(
    several: Json,
) -> None:
    begun = (sent("PAID", day(0), **several), sent("SHIPPED", day(1)))
    stage = hear(*begun, scanned("DELIVERED", day(2)), watermark=day(2))
    assert stage.order().status == "SHIPPED"
    assert set(stage.order().milestones) == {"PAID", "SHIPPED"}
    stage = hear(*begun, sent("DELIVERED", day(2)), watermark=day(2))
    assert stage.order().status == "DELIVERED"


def test_a_parcel_without_a_name_that_arrives_back_is_no_delivery_of_the_order() -> None:
    stage = hear(
        sent("PAID", day(0)),
        scanned("COLLECTED", day(1)),
        scanned("RETURN_TO_SENDER", day(2)),
        scanned("DELIVERED", day(3)),
        watermark=day(3),
    )
    assert stage.order().status == "RETURNED"
    assert "DELIVERED" not in stage.order().milestones


def shipped_in_part(*more: Json) -> str | None:
    """Status of an order whose first parcel was delivered, with what the shop said then."""
    stage = hear(
        sent("PAID", day(0)),
        sent("PARTIALLY_SHIPPED", day(1), waybill="W1"),
        scanned("COLLECTED", day(1, 6), "W1"),
        scanned("DELIVERED", day(2), "W1"),
        *more,
        watermark=day(9),
    )
    return stage.order().status


REST = sent("SHIPPED", day(4), waybill="W2")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([], "SHIPPED"),
        ([scanned("DELIVERED", day(3))], "SHIPPED"),  # a carrier's, of some parcel
        ([REST], "SHIPPED"),
        ([REST, scanned("DELIVERED", day(5), "W2")], "DELIVERED"),
        ([sent("PARTIALLY_CANCELLED", day(4))], "DELIVERED"),
        ([sent("PARTIALLY_REFUNDED", day(4))], "SHIPPED"),
        ([sent("PAID", day(4), event_id="again", parcels_expected=1)], "DELIVERED"),
        ([sent("DELIVERED", day(4))], "DELIVERED"),
    ],
)
def test_an_order_shipped_in_part_is_not_delivered_with_its_first_parcel(
    more: list[Json], status: str
) -> None:
    assert shipped_in_part(*more) == status
