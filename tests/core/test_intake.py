"""Intake: an event becomes a fact, its fields sorted by where they go, or is refused by name."""

import json
from typing import Any

import pytest

from schemas.errors import Rejected
from schemas.instants import DAY_MS, format_instant, parse_instant
from schemas.keys import event_hash, order_key
from schemas.promises import WITHDRAWN, promise
from tests.support.stage import TABLE, day, fact_of, sent


def rejection(**fields: Any) -> Rejected:  # noqa: ANN401 - any field of an event
    with pytest.raises(Rejected) as caught:
        fact_of(sent("PAID", day(0), **fields))
    return caught.value


def test_a_fact_holds_plain_numbers_and_the_bytes_as_they_came() -> None:
    fact = fact_of(sent("PAID", day(0), day(1), tenant="acme", event_id="e1", extra=[1]))
    assert fact.key == order_key("acme", "o1")
    assert (fact.at, fact.arrival_at) == (day(0), day(1))
    assert TABLE.codes[fact.status] == "PAID"
    assert fact.hash == event_hash("shop", "e1")
    assert b'"extra": [1]' in fact.raw


def test_an_unknown_status_is_named() -> None:
    reason = rejection(status_code="TELEPORTED")
    assert reason.code == "unknown_status"
    assert reason.reason == "status_code 'TELEPORTED' is not in the lifecycle"


def test_an_event_more_than_a_day_ahead_of_its_arrival_is_from_the_future() -> None:
    assert fact_of(sent("PAID", day(1), day(0))).at == day(1)
    reason = rejection(timestamp=format_instant(day(1) + 1), recorded_at=format_instant(day(0)))
    assert reason.code == "from_the_future"
    assert reason.reason.startswith("timestamp 2026-03-02T00:00:00.001Z is over 24 h ahead")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-29", None, "2026-03-29T23:59:59.999Z"),
        ("2026-03-29", "Asia/Shanghai", "2026-03-29T15:59:59.999Z"),
        ("2026-03-29", "Europe/Berlin", "2026-03-29T21:59:59.999Z"),  # summer time began that day
        ("2026-03-28", "Europe/Berlin", "2026-03-28T22:59:59.999Z"),
        ("2018-02-17", "America/Sao_Paulo", "2018-02-18T02:59:59.999Z"),  # 23:00-24:00 came twice
        ("2018-11-03", "America/Sao_Paulo", "2018-11-04T02:59:59.999Z"),  # the next began at 01:00
        ("2011-12-29", "Pacific/Apia", "2011-12-30T09:59:59.999Z"),
        ("2011-12-30", "Pacific/Apia", "2011-12-30T09:59:59.999Z"),  # a day that never was
        ("2011-12-31", "Pacific/Apia", "2011-12-31T09:59:59.999Z"),
        ("1994-12-31", "Pacific/Kiritimati", "1994-12-31T09:59:59.999Z"),  # the same
        ("2024-03-30", "America/Nuuk", "2024-03-31T00:59:59.999Z"),  # it ended at 23:00
        ("2024-10-26", "America/Nuuk", "2024-10-27T01:59:59.999Z"),
        ("2016-12-31T23:59:60Z", None, "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:59.999999999Z", None, "2016-12-31T23:59:59.999Z"),
        ("2026-03-29T12:00:00-03:00", "Asia/Shanghai", "2026-03-29T15:00:00.000Z"),
        ("2026-03-29T12:00:00Z", None, "2026-03-29T12:00:00.000Z"),
    ],
)
def test_a_bare_date_is_promised_till_its_end_where_the_order_lives(
    text: str, zone: str | None, expected: str
) -> None:
    assert format_instant(promise(text, zone)) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature_c", "warm"),
        ("temperature_c", "8.5"),
        ("temperature_c", True),
        ("cold_chain", 1),
        ("cold_chain", "true"),
    ],
)
def test_an_attribute_of_another_type_than_declared_costs_only_itself(
    name: str, value: object
) -> None:
    fact = fact_of(sent("PAID", day(0), attributes={name: value, "colour": "red"}))
    assert (fact.fields, fact.side) == ({"attributes": {"colour": "red"}}, None)
    assert json.loads(fact.raw)["dropped_fields"] == [f"attributes.{name}"]
    assert json.loads(fact.raw)["attributes"] == {"colour": "red"}


@pytest.mark.parametrize("name", ["temperature_c", "temperature_max_c", "cold_chain"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_declared_attribute_that_is_blank_is_absent(name: str, value: object) -> None:
    fact = fact_of(sent("PAID", day(0), attributes={name: value}))
    assert (fact.fields, fact.side) == (None, None)
    assert "dropped_fields" not in json.loads(fact.raw)


def test_fields_that_the_door_left_out_stay_named_beside_an_attribute() -> None:
    fact = fact_of(sent("PAID", day(0), carrier=7, attributes={"cold_chain": 1}))
    assert json.loads(fact.raw)["dropped_fields"] == ["carrier", "attributes.cold_chain"]


def test_a_location_that_says_nothing_hides_no_earlier_one() -> None:
    assert fact_of(sent("SCAN", day(0), waybill="A", location={})).side is None
    assert fact_of(sent("SCAN", day(0), waybill="A", location={"lat": 91})).side is None


def test_attributes_go_to_the_order_and_readings_to_the_parcel() -> None:
    said_of_both = {"temperature_c": 4, "temperature_max_c": 8, "colour": "red"}
    fact = fact_of(sent("SCAN", day(0), shipment="A", attributes=said_of_both))
    assert fact.fields == {"attributes": {"temperature_max_c": 8, "colour": "red"}}
    assert fact.side == {"readings": {"temperature_c": 4}}


def test_a_carrier_belongs_to_the_parcel_where_one_is_named() -> None:
    with_parcel = fact_of(sent("SCAN", day(0), waybill="A", carrier="sf"))
    without = fact_of(sent("SCAN", day(0), carrier="sf"))
    assert (with_parcel.fields, with_parcel.side) == (None, {"carrier": "sf"})
    assert (without.fields, without.side) == ({"carrier": "sf"}, None)


def test_a_parcel_goes_by_its_waybill_before_its_shipment() -> None:
    assert fact_of(sent("SCAN", day(0), waybill="W", shipment="A")).parcel == "W"
    assert fact_of(sent("SCAN", day(0), shipment="A")).parcel == "A"
    assert fact_of(sent("SCAN", day(0))).parcel == ""


def test_a_carriers_unknown_code_is_a_sign_of_life() -> None:
    fact = fact_of(sent("ALERT", day(0), source="carrier:x", waybill="W"))
    assert TABLE.codes[fact.status] == "SCAN"


def test_a_shops_unknown_code_is_refused_with_what_may_be_meant() -> None:
    reason = rejection(status_code="DELIVERD")
    assert reason.code == "unknown_status"
    assert reason.reason.endswith("did you mean DELIVERED?")


def test_a_time_before_2000_is_none_and_the_arrival_is_taken() -> None:
    event = sent("PAID", day(0)) | {"timestamp": "1970-01-01T00:00:00Z"}
    fact = fact_of(event | {"recorded_at": format_instant(day(1))})
    assert (fact.at, fact.sent_at) == (day(1), 0)
    assert rejection(timestamp="1970-01-01T00:00:00Z").code == "implausible_time"


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2019-08-09T00:00:00-06:00", "America/Denver", "2019-08-10T05:59:59.999Z"),
        ("2019-08-09T00:00:00-06:00", None, "2019-08-10T05:59:59.999Z"),
        ("2019-08-09T00:00:00Z", None, "2019-08-09T23:59:59.999Z"),
        ("2019-08-09T00:00Z", "America/Denver", "2019-08-10T05:59:59.999Z"),
        ("2019-08-09T00:00:01Z", None, "2019-08-09T00:00:01.000Z"),
    ],
)
def test_a_midnight_in_its_own_offset_is_a_day(text: str, zone: str | None, expected: str) -> None:
    assert format_instant(promise(text, zone)) == expected


def test_a_promise_can_be_withdrawn() -> None:
    fact = fact_of(sent("PAID", day(0), promised_at="withdrawn"))
    assert fact.fields == {"promised_at": WITHDRAWN}


def test_order_level_fields_are_in_ms_and_lists() -> None:
    fact = fact_of(
        sent(
            "PAID",
            day(0),
            planned={"SHIPPED": format_instant(day(2))},
            references={"erp": "S", "waybill": ["B", "A", "B"]},
            customer_id="c1",
            supplier_id="s1",
        )
    )
    assert fact.fields == {
        "planned": {"SHIPPED": day(2)},
        "references": {"erp": ["S"], "waybill": ["A", "B"]},
        "customer_id": "c1",
        "supplier_id": "s1",
    }


def test_a_correction_names_an_event_of_its_own_source() -> None:
    assert fact_of(sent("PAID", day(0), corrects="e9")).corrects == event_hash("shop", "e9")


def test_times_are_rounded_down_to_the_ms() -> None:
    fact = fact_of(sent("PAID", day(0), timestamp="2026-03-01T00:00:00.0019999Z"[:26] + "Z"))
    assert fact.at == parse_instant("2026-03-01T00:00:00.001Z")
    assert fact.arrival_at - fact.at < DAY_MS
