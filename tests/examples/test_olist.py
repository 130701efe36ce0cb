"""The Olist adapter: its events hold the content of the file."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import msgspec
import pytest

from commands.example import write
from examples.olist.adapter import events
from schemas.event import Event, decode_event

Times = dict[str, datetime]


@pytest.fixture(scope="module")
def taken() -> list[Event]:
    found = [decode_event(msgspec.json.encode(event)) for event in events()]
    return [event for event in found if isinstance(event, Event)]


@pytest.fixture(scope="module")
def orders(taken: list[Event]) -> list[Times]:
    """The times of each order by status."""
    return [
        {event.status_code: event.timestamp for event in of_order}
        for _, of_order in groupby(taken, key=lambda event: event.order_id)
    ]


def test_every_time_of_the_four_columns_is_an_event(taken: list[Event]) -> None:
    assert len(taken) == 19_762
    assert Counter(event.status_code for event in taken) == {
        "PENDING_PAYMENT": 4_998,
        "PAID": 4_988,
        "SHIPPED": 4_920,
        "DELIVERED": 4_856,
    }


def test_no_two_events_share_an_id(taken: list[Event]) -> None:
    assert len({(event.source, event.event_id) for event in taken}) == len(taken)


def test_the_purchase_alone_carries_the_promise(taken: list[Event]) -> None:
    for event in taken:
        assert (event.promised_at is not None) == (event.status_code == "PENDING_PAYMENT")


def test_local_times_are_three_hours_behind_utc(taken: list[Event]) -> None:
    first = taken[0]
    assert first.timestamp.isoformat() == "2017-10-02T10:56:00-03:00"
    assert first.promised_at == "2017-10-18T00:00:00-03:00"


def test_the_corners_of_the_file_are_kept(orders: list[Times]) -> None:
    def earlier(first: str, second: str) -> int:
        both = [order for order in orders if {first, second} <= order.keys()]
        return sum(order[first] < order[second] for order in both)

    assert sum(len(set(order.values())) < len(order) for order in orders) == 84
    assert earlier("SHIPPED", "PAID") == 74
    assert earlier("SHIPPED", "PENDING_PAYMENT") == 12
    assert earlier("DELIVERED", "PAID") == 4
    assert earlier("DELIVERED", "SHIPPED") == 0


def test_one_order_is_handed_over_exactly_72_hours_after_approval(orders: list[Times]) -> None:
    waits = [order["SHIPPED"] - order["PAID"] for order in orders if "SHIPPED" in order]
    assert waits.count(timedelta(hours=72)) == 1


def test_392_orders_are_delivered_after_their_promise(taken: list[Event]) -> None:
    promises = {event.order_id: event.promised_at for event in taken if event.promised_at}
    delivered = [
        (event.timestamp, datetime.fromisoformat(promises[event.order_id]))
        for event in taken
        if event.status_code == "DELIVERED"
    ]
    assert sum(at > promised for at, promised in delivered) == 392
    assert sum(at.date() > promised.date() for at, promised in delivered) == 333


def test_the_command_writes_one_event_a_line(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "two.csv"
    header = (
        "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,"
        "order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date"
    )
    path.write_text(f"{header}\no1,c1,shipped,1/2/2018 3:04,1/3/2018 3:04,,,2/1/2018 0:00\n")
    write(events, path)
    lines = capfdbinary.readouterr().out.splitlines()
    written = [msgspec.json.decode(line, type=dict[str, str]) for line in lines]
    assert list(map(itemgetter("event_id"), written)) == ["o1:PENDING_PAYMENT", "o1:PAID"]
    assert written[1]["timestamp"] == "2018-01-03T03:04:00-03:00"
