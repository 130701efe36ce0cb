"""An order's contents are limited: the excess is lost, never the event or its status."""

from random import Random
from typing import Any

import msgspec
import pytest

from tests.support.stage import NO_RULES, TABLE, Json, Stage, day, sent

LIMIT = TABLE.order_fields_bytes
MAX_DOCUMENT_BYTES = 700_000

encode = msgspec.json.Encoder().encode


def attributed(number: int, **attributes: Any) -> Json:  # noqa: ANN401 - any attribute
    return sent("PAID", day(number), day(number), event_id=f"e{number}", attributes=attributes)


def test_four_events_of_400_kb_make_a_document_that_a_broker_takes() -> None:
    stage = Stage(NO_RULES)
    big = [
        attributed(number, **{f"a{number}": "y" * 400_000, "size": number}) for number in range(4)
    ]
    stage.hear(*big)
    order = stage.order()
    assert order.flags == ["order_full"]
    assert order.attributes == {}
    assert order.version == 4
    assert stage.counts["applied"] == 4


def test_many_references_are_cut_and_the_event_counts() -> None:
    stage = Stage(NO_RULES)
    stage.hear(
        *(
            sent(
                "SHIPPED" if number == 2 else "PAID",
                day(number),
                day(number),
                event_id=f"r{number}",
                references={"erp": [f"{number}-{n:0120d}" for n in range(3_500)]},
            )
            for number in range(3)
        )
    )
    order = stage.order()
    assert (order.status, order.version) == ("SHIPPED", 3)
    assert "order_full" in order.flags
    assert 1_000 < len(order.references["erp"]) < 3_500
    assert len(encode(order)) < MAX_DOCUMENT_BYTES


@pytest.mark.parametrize("family", ["attributes", "planned", "references"])
def test_an_order_stays_small_whatever_its_events_carry(family: str) -> None:
    stage = Stage(NO_RULES)
    values: dict[str, Any] = {"attributes": "x" * 900, "planned": "2026-04-01T00:00:00Z"}
    events = [
        sent(
            "SCAN",
            day(number / 100),
            day(number / 100),
            event_id=f"e{number}",
            **{
                family: {"erp": [f"{number}-{n:090d}" for n in range(60)]}
                if family == "references"
                else {f"n{number}-{n:050d}": values[family] for n in range(20)}
            },
        )
        for number in range(250)
    ]
    for batch in range(0, len(events), 100):
        stage.hear(*events[batch : batch + 100])
    assert len(stage.packed()) < 3 * LIMIT
    assert len(encode(stage.order())) < 4 * LIMIT
    assert "order_full" in stage.order().flags
    assert stage.order().version == 250


def test_waybills_go_before_other_fields() -> None:
    stage = Stage(NO_RULES)
    event = attributed(0, a="x" * (LIMIT - 10), b="small")
    event["references"] = {"waybill": ["W1"], "erp": ["E" * 100]}
    stage.hear(event)
    order = stage.order()
    assert order.references["waybill"] == ["W1"]
    assert [parcel.shipment for parcel in order.shipments] == ["W1"]
    assert order.attributes == {}


def test_promises_and_customers_are_never_lost() -> None:
    stage = Stage(NO_RULES)
    stage.hear(attributed(0, a="x" * (LIMIT - 3)))
    late = attributed(1, b="more") | {"promised_at": "2026-05-01T09:00:00Z", "customer_id": "c1"}
    stage.hear(late)
    order = stage.order()
    assert (order.promised_at, order.customer_id) == ("2026-05-01T09:00:00.000Z", "c1")
    assert "b" not in order.attributes


def test_a_duplicate_of_an_event_that_lost_fields_is_no_contradiction() -> None:
    stage = Stage(NO_RULES)
    event = attributed(0, a="x" * LIMIT)
    stage.hear(event)
    stage.restart()
    stage.hear(event | {"recorded_at": "2026-03-09T00:00:00Z"})
    assert stage.order().flags == ["order_full"]
    stage.hear(attributed(0, a="y" * LIMIT) | {"recorded_at": "2026-03-10T00:00:00Z"})
    assert stage.order().flags == ["conflicting_duplicate", "order_full"]


def test_what_is_lost_depends_on_the_arrivals_and_not_on_how_they_were_read(rng: Random) -> None:
    events = [
        attributed(number, **{f"a{number}": "x" * rng.randrange(1, 60_000), f"b{number}": number})
        for number in range(12)
    ]
    expected = None
    for _ in range(5):
        shuffled = rng.sample(events, len(events))
        stage = Stage(NO_RULES)
        stage.hear(*shuffled)
        found = msgspec.to_builtins(stage.order())
        expected = expected or found
        assert found == expected


def test_a_refused_command_never_fills_an_order() -> None:
    stage = Stage(NO_RULES)
    stage.hear(sent("PAID", day(0), day(0)))
    refused = sent("PENDING_PAYMENT", day(1), day(1), kind="command", attributes={"a": "x" * LIMIT})
    stage.hear(refused, refused | {"event_id": "again"})
    assert stage.order().flags == []
    assert len(stage.packed()) < 2_000


def test_a_place_name_beyond_256_characters_is_left_out() -> None:
    stage = Stage(NO_RULES)
    where = {"name": "x" * 257, "lat": 1.0, "lon": 2.0}
    stage.hear(sent("COLLECTED", day(0), day(0), shipment="p", location=where))
    (parcel,) = stage.order().shipments
    assert parcel.location is not None
    assert (parcel.location.name, parcel.location.lat) == (None, 1.0)


def test_the_shipped_lifecycle_file_names_the_limit() -> None:
    assert LIMIT == 250_000
