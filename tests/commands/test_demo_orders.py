"""The demo's generated orders."""

from itertools import islice
from typing import Any

import msgspec

from commands.demo.feed import history, sizes, time_order
from commands.demo.orders import (
    CARRIERS,
    HISTORY_END_AT,
    STORM_CARRIER,
    STORM_HUB,
    STORM_ORDERS,
    generate,
)
from schemas.event import Event, read_event


def test_one_seed_gives_one_stream() -> None:
    assert [*islice(generate(7), 500)] == [*islice(generate(7), 500)]


def test_generated_events_come_in_the_order_of_their_times() -> None:
    times = [timed[0] for timed in islice(generate(7), 5000)]
    assert times == sorted(times)


def test_the_history_is_in_order_and_ends_with_a_tick_at_its_end() -> None:
    records = history(50)
    assert records == sorted(records, key=time_order)
    assert records[-1][0] == HISTORY_END_AT
    assert records[-1][3]["kind"] == "tick"


def test_the_whole_sample_is_fed() -> None:
    assert sizes(history(None))[0] == 19_762


def test_generated_orders_have_what_the_pages_show() -> None:
    events = [event for _, _, _, event in islice(generate(7), 5000)]
    placed = [event for event in events if event["status_code"] == "PENDING_PAYMENT"]
    assert all(event["destination"]["lat"] for event in placed)
    assert {event["parcels_expected"] for event in placed} == {1, 2}
    assert {event["carrier"] for event in placed} == set(CARRIERS)
    assert any("attributes" in event for event in placed)
    scans = [event for event in events if "shipment" in event]
    assert all(event["location"]["name"] for event in scans)
    assert any(event["status_code"] == "RETURNED" for event in events)


def test_generated_events_are_taken_as_they_are() -> None:
    for _, _, _, event in islice(generate(7), 1000):
        read, _ = read_event(msgspec.json.encode(event))
        assert isinstance(read, Event)
        assert not read.dropped_fields


def test_one_hub_falls_silent_with_all_it_holds() -> None:
    last: dict[str, dict[str, Any]] = {}
    for at, _, _, event in generate(7):
        if at > HISTORY_END_AT:
            break
        last[event["order_id"]] = event
    silent = [event for order_id, event in last.items() if order_id.startswith("demo-s")]
    assert len(silent) == STORM_ORDERS
    assert {event["location"]["name"] for event in silent} == {STORM_HUB.name}
    assert {event["carrier"] for event in silent} == {STORM_CARRIER}
