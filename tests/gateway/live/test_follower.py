"""The follower reads the live orders from the topic's beginning, and then what changes."""

from collections.abc import Iterator

import msgspec
import pytest

from broker.consume import Headers
from broker.embedded import EmbeddedBroker
from broker.produce import Producer, Record
from gateway.live.follower import Follower
from schemas.keys import order_key
from schemas.order import OrderDocument
from schemas.topics import CLOCK_KEY, HEADER_CLOCK, ORDERS_CHANGES
from tests.support.tiers.orders import START, document
from tests.support.waiting import wait_until

ORDERS = 300


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        embedded.create(ORDERS_CHANGES)
        yield embedded


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Iterator[Producer]:
    with Producer(broker.connection, linger_ms=0) as made:
        yield made


@pytest.fixture
def follower(broker: EmbeddedBroker) -> Iterator[Follower]:
    made = Follower(broker.connection)
    yield made
    made.close()


def change(order: OrderDocument) -> Record:
    key = order_key(order.tenant, order.order_id)
    clock: Headers = [(HEADER_CLOCK, b"%d" % START)]
    return Record(key.encode(), msgspec.json.encode(order), clock)


def tombstone(name: str) -> Record:
    return Record(order_key("default", name).encode(), None)


def put(producer: Producer, *records: Record) -> None:
    producer.send_many(ORDERS_CHANGES, records)
    producer.flush()


def count(follower: Follower) -> int:
    with follower.view() as view:
        return len(view)


def test_what_is_there_is_loaded_and_then_followed(producer: Producer, follower: Follower) -> None:
    put(producer, *(change(document(f"o{n}")) for n in range(ORDERS)), tombstone("o0"))
    follower.start()
    wait_until(lambda: follower.is_loaded, "all is loaded")
    assert count(follower) == ORDERS - 1
    assert follower.done == follower.total == ORDERS + 1
    assert follower.watermark == START
    put(producer, change(document("new", lane="overdue")), tombstone("o1"))
    wait_until(lambda: follower.changes == ORDERS + 3, "the changes are read")
    assert count(follower) == ORDERS - 1
    with follower.view() as view:
        assert view.count_by("lane") == {"normal": ORDERS - 2, "overdue": 1}


def test_an_empty_topic_is_loaded_at_once(follower: Follower) -> None:
    follower.start()
    wait_until(lambda: follower.is_loaded, "nothing is to be loaded")
    assert count(follower) == 0


def test_what_is_no_document_is_counted_and_ends_nothing(
    producer: Producer, follower: Follower
) -> None:
    beat = Record(CLOCK_KEY.encode() + b"0", None, [(HEADER_CLOCK, b"%d" % START)])
    put(producer, Record(b"k", b"{"), beat, change(document("a")))
    follower.start()
    wait_until(lambda: follower.is_loaded, "all is loaded")
    assert (count(follower), follower.unreadable) == (1, 1)
