"""An embedded broker drops old changes: the live view begins with the warm tier's live orders."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from broker.embedded import EmbeddedBroker
from broker.produce import Producer, Record
from dataflows.definition_files import read_lifecycle
from gateway.live.beginning import first_orders
from gateway.live.follower import Follower
from gateway.tier_readers import TierReaders
from schemas.instants import DAY_MS
from schemas.keys import order_key
from schemas.order import OrderDocument
from schemas.topics import ORDERS_CHANGES
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.alerts import overdue
from tests.support.tiers.orders import START, Log, document
from tests.support.waiting import wait_until

TABLE = read_lifecycle()
DROPPED_BYTES = 8 << 20  # a partition holds 5 MiB
FLOOD_BYTES = 1 << 18


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        embedded.create(ORDERS_CHANGES, partitions=1)
        yield embedded


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Iterator[Producer]:
    with Producer(broker.connection, linger_ms=0) as made:
        yield made


def put(producer: Producer, *orders: OrderDocument) -> None:
    records = [
        Record(order_key(each.tenant, each.order_id).encode(), msgspec.json.encode(each))
        for each in orders
    ]
    producer.send_many(ORDERS_CHANGES, records)
    producer.flush()


def flooded(rng: random.Random, name: str) -> OrderDocument:
    """An order whose document doesn't compress."""
    return document(name, attributes={"note": rng.randbytes(FLOOD_BYTES // 2).hex()})


def lanes(follower: Follower, *names: str) -> dict[str, str]:
    """{order: its lane} of those that are live."""
    with follower.view() as view:
        return {name: facets.lane for name in names if (facets := view.facets(name))}


def test_it_holds_live_orders_whose_changes_the_broker_dropped(
    broker: EmbeddedBroker, producer: Producer, tmp_path: Path, rng: random.Random
) -> None:
    long_ago = START - 100 * DAY_MS
    in_time = {f"o{n}": document(f"o{n}", 2, updated_at=long_ago + n * DAY_MS) for n in range(90)}
    retired = document("retired", 3, updated_at=long_ago, status="CANCELLED")
    recent = document("recent", 3, updated_at=START - DAY_MS, status="CANCELLED")
    late = overdue("late")
    with closing(SqliteTier(tmp_path)) as warm:
        written = Log().changes(*in_time.values(), retired, recent, late)
        warm.write_orders(written)
        warm.flush(force=True)
    put(producer, *in_time.values(), retired, recent, late)
    names = [f"flood {n}" for n in range(DROPPED_BYTES // FLOOD_BYTES)]
    put(producer, *(flooded(rng, name) for name in names))
    # What is newer in the topic, or older, is decided by the version.
    put(producer, document("o1", 3, lane="warning"), document("o2", 1, lane="overdue"))
    producer.send(ORDERS_CHANGES, b"o3", None)
    producer.flush()
    readers = TierReaders(["warm"], lambda _: {"warm": SqliteTier(tmp_path)})
    begins = first_orders(broker.connection, readers, TABLE)
    with closing(readers), closing(Follower(broker.connection, first_orders=begins)) as follower:
        follower.start()
        wait_until(lambda: follower.is_loaded, "the view is loaded")
        found = lanes(follower, *in_time, "retired", "recent", "late")
    assert follower.total < len(names)  # else the broker dropped nothing
    expected = dict.fromkeys([*in_time, "recent"], "normal") | {"o1": "warning", "late": "overdue"}
    del expected["o3"]
    assert found == expected


def test_without_a_warm_tier_it_begins_with_the_topic(
    broker: EmbeddedBroker, producer: Producer
) -> None:
    put(producer, document("a"))
    readers = TierReaders(["warm"], lambda _: {})
    begins = first_orders(broker.connection, readers, TABLE)
    with closing(readers), closing(Follower(broker.connection, first_orders=begins)) as follower:
        follower.start()
        wait_until(lambda: follower.is_loaded, "the view is loaded")
        assert lanes(follower, "a") == {"a": "normal"}
