"""Parcels behind the first delivery, labels that are scanned, and names of what is replaced."""

import pytest

from tests.support.recording import Json
from tests.support.stage import Stage, day, hear, scanned, sent


def told_of(stage: Stage) -> list[tuple[str, str, str | None]]:
    """(rule, state, parcel) of all alerts."""
    return [(a.rule, a.state, a.because.shipment) for a in stage.alerts]


DELIVERED = (sent("PAID", day(0)), scanned("DELIVERED", day(2), "W1"))
WORDS = (
    *([sent("DELIVERED", day(3))], [sent("COMPLETED", day(3))], [sent("RETURN_REQUESTED", day(3))]),
    [sent("RETURN_REQUESTED", day(3)), sent("EXCHANGED", day(3, 1))],
)


@pytest.mark.parametrize("words", WORDS)
def test_a_replacement_under_way_is_watched_whatever_the_shop_calls_it(words: list[Json]) -> None:
    stage = hear(*DELIVERED, *words, scanned("COLLECTED", day(4), "W2"), watermark=day(9))
    assert told_of(stage) == [("carrier_silent", "opened", "W2")]


@pytest.mark.parametrize("words", WORDS)
def test_the_label_of_a_replacement_is_watched(words: list[Json]) -> None:
    stage = hear(*DELIVERED, *words, scanned("LABEL_CREATED", day(4), "W2"), watermark=day(9))
    assert told_of(stage) == [("label_not_collected", "opened", "W2")]


@pytest.mark.parametrize("word", ["RETURNED", "REFUNDED", "EXCHANGED"])
def test_the_shops_word_covers_a_return_that_was_never_scanned_in(word: str) -> None:
    stage = hear(
        *DELIVERED,
        sent("RETURN_REQUESTED", day(3), references={"return_waybill": "R1"}),
        scanned("IN_TRANSIT", day(4), "R1"),
        sent(word, day(5)),
        *([sent("EXCHANGED", day(6))] if word == "RETURNED" else []),
        watermark=day(30),
    )
    assert stage.told() == []


def test_a_label_that_is_scanned_is_no_label_alone() -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("SHIPPED", day(1), waybill="W1"),
        scanned("LABEL_CREATED", day(1), "W1"),
        scanned("SCAN", day(1, 12), "W1"),
        scanned("SORTED_IN_HUB", day(2), "W1"),
        watermark=day(9),
    )
    (alert,) = stage.alerts
    assert (alert.rule, alert.at) == ("carrier_silent", "2026-03-05T00:00:00.000Z")


@pytest.mark.parametrize("waybill", ["", "W1"])
def test_a_label_alone_is_not_silent(waybill: str) -> None:
    stage = hear(
        sent("PAID", day(0)),
        scanned("LABEL_CREATED", day(0, 12), waybill),
        sent("SHIPPED", day(1)),
        watermark=day(9),
    )
    assert told_of(stage) == [("label_not_collected", "opened", waybill or None)]


@pytest.mark.parametrize("replaced", ["box 1", "BOX 1 ", "W-1"])
def test_a_parcel_is_replaced_by_either_of_its_names(replaced: str) -> None:
    stage = hear(
        sent("PAID", day(0)),
        sent("ALLOCATED", day(0, 1), shipment="box 1", waybill="W1"),
        scanned("IN_TRANSIT", day(1), "W1"),
        sent("LABEL_CREATED", day(2), waybill="W2", replaces=replaced),
        scanned("DELIVERED", day(2, 12), "W2"),
        watermark=day(9),
    )
    order = stage.order()
    assert order.status == "DELIVERED"
    assert {each.shipment: each.ended_at is not None for each in order.shipments} == {
        "W1": True,
        "W2": False,
    }
    assert stage.told() == []
