"""The demo's generated orders."""

from itertools import islice
from typing import Any

import msgspec
import pytest

from commands.demo.feed import generated, history, sizes, tick, time_order
from commands.demo.orders import (
    CARRIERS,
    HISTORY_END_AT,
    STORM_CARRIER,
    STORM_HUB,
    STORM_ORDERS,
    generate,
)
from commands.demo.schedule import RECORDED, live_from, shifted
from commands.demo.telling import (
    COLD,
    EXAMPLES,
    LATE,
    RETURNED,
    SPLIT,
    delivered,
    late_number,
    telling,
)
from dataflows.carriers.rest import Rest, RestConfig
from dataflows.core.intake import Intake
from dataflows.definition_files import read_lifecycle, read_rules
from gateway.board.preferences import EXAMPLES as OFFERED
from schemas.errors import Rejected
from schemas.event import Event, read_event
from schemas.instants import DAY_MS, HOUR_MS, parse_instant
from tests.support.sample_orders import judged

PACE = RECORDED.pace
NOW = parse_instant("2026-11-30T13:20:07.250Z")


def test_one_seed_gives_one_stream() -> None:
    assert [*islice(generate(7, PACE), 500)] == [*islice(generate(7, PACE), 500)]


def test_generated_events_come_in_the_order_of_their_times() -> None:
    times = [timed[0] for timed in islice(generate(7, PACE), 5000)]
    assert times == sorted(times)


def test_the_history_is_in_order_and_ends_with_a_tick_at_its_end() -> None:
    records = history(50)
    assert records == sorted(records, key=time_order)
    assert records[-1][0] == HISTORY_END_AT
    assert records[-1][3]["kind"] == "tick"


def test_the_whole_sample_is_fed() -> None:
    assert sizes(history(None))[0] == 19_762


def test_generated_orders_have_what_the_pages_show() -> None:
    events = [event for _, _, _, event in islice(generate(7, PACE), 5000)]
    placed = [event for event in events if event["status_code"] == "PENDING_PAYMENT"]
    assert all(event["destination"]["lat"] for event in placed)
    assert {event["parcels_expected"] for event in placed} == {1, 2}
    assert {event["carrier"] for event in placed} == set(CARRIERS)
    assert any("attributes" in event for event in placed)
    scans = [event for event in events if "shipment" in event]
    assert all(event["location"]["name"] for event in scans)
    assert any(event["status_code"] == "RETURNED" for event in events)


def test_generated_events_are_taken_as_they_are() -> None:
    for _, _, _, event in islice(generate(7, PACE), 1000):
        read, _ = read_event(msgspec.json.encode(event))
        assert isinstance(read, Event)
        assert not read.dropped_fields


def test_one_hub_falls_silent_with_all_it_holds() -> None:
    last: dict[str, dict[str, Any]] = {}
    for at, _, _, event in generate(7, PACE):
        if at > HISTORY_END_AT:
            break
        last[event["order_id"]] = event
    silent = [event for order_id, event in last.items() if order_id.startswith("demo-s")]
    assert len(silent) == STORM_ORDERS
    assert {event["location"]["name"] for event in silent} == {STORM_HUB.name}
    assert {event["carrier"] for event in silent} == {STORM_CARRIER}


def test_a_live_history_ends_now_and_all_its_times_move_alike() -> None:
    live, recorded = history(50, live_from(NOW)), history(50)
    assert live == sorted(live, key=time_order)
    assert live[-1][0] == NOW
    assert max(at for at, _, _, event in live if "order_id" in event) > NOW - HOUR_MS
    moved = {event["event_id"]: event for *_, event in live if "event_id" in event}
    shop = [event for *_, event in recorded if event.get("event_id", "demo").count("demo") == 0]
    assert shop
    for event in shop:
        by_ms = parse_instant(moved[event["event_id"]]["timestamp"]) - parse_instant(
            event["timestamp"]
        )
        assert by_ms % DAY_MS == 0, "a promise of a day stays one"
        assert 0 <= NOW - HISTORY_END_AT - by_ms < DAY_MS
        if "promised_at" in event:
            promised = moved[event["event_id"]]["promised_at"]
            assert promised[10:] == event["promised_at"][10:]


def test_a_shifted_event_keeps_its_offset_and_what_is_no_time() -> None:
    event = {
        "timestamp": "2018-01-31T23:30:00-03:00",
        "promised_at": "2018-02-05T00:00:00-03:00",
        "planned": {"PAID": "2018-02-01T00:00:00.000Z"},
        "recorded_at": "yesterday",
    }
    _, _, _, later = shifted((1, "shop", "x", event), DAY_MS)
    assert later["timestamp"] == "2018-02-01T23:30:00-03:00"
    assert later["promised_at"] == "2018-02-06T00:00:00-03:00"
    assert later["planned"] == {"PAID": "2018-02-02T00:00:00+00:00"}
    assert later["recorded_at"] == "yesterday"


def test_live_orders_follow_each_other_closely() -> None:
    schedule = live_from(NOW)
    first_hour = []
    for timed in generated(schedule):
        if timed[0] > NOW + HOUR_MS:
            break
        if timed[0] > NOW:
            first_hour.append(timed)
    assert len(first_hour) > 40, "an hour of the stream is a minute of ours"


def test_the_telling_orders_show_what_their_links_promise() -> None:
    usable = [event for _, source, _, event in telling(7) if source != "erp"]
    orders = {order.order_id: order for order in judged([*usable, tick(HISTORY_END_AT)[3]])}
    alerts = {
        name: {(each.rule, each.severity) for each in order.open_alerts}
        for name, order in orders.items()
    }
    assert alerts == {
        LATE: {("late_delivery", "overdue")},
        COLD: {("cold_chain", "overdue")},
        SPLIT: {("carrier_silent", "warning")},
        RETURNED: {("return_overdue", "overdue")},
    }
    arrived = {parcel.status for parcel in orders[SPLIT].shipments}
    assert arrived == {"DELIVERED", "IN_TRANSIT"}
    assert [*EXAMPLES] == [*OFFERED], "the board has a text for each"


def test_a_callback_ends_the_alert_of_the_late_order() -> None:
    usable = [event for *_, event in telling(7) if event["order_id"] == LATE]
    carrier = Rest(RestConfig(token="a-long-random-token"))
    pushed = carrier.events(msgspec.json.encode(delivered(7, HISTORY_END_AT)))
    (order,) = judged([*usable, *pushed, tick(HISTORY_END_AT + 1)[3]])
    assert (order.status, order.lane, len(order.open_alerts)) == ("DELIVERED", "normal", 0)
    assert [parcel.shipment for parcel in order.shipments] == [late_number(7)]


def test_some_messages_of_a_live_demo_are_dead_letters() -> None:
    table = read_lifecycle()
    intake = Intake(table, read_rules(None, table))
    bad = [event for _, source, _, event in telling(7) if source == "erp"]
    assert len(bad) == 8

    def status_of(data: bytes) -> int:
        read, _ = read_event(data)
        assert isinstance(read, Event)
        return intake.status_of(read)

    for event in bad:
        with pytest.raises(Rejected):
            status_of(msgspec.json.encode(event))
