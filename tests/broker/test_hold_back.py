"""The embedded broker drops its oldest messages: that is an error, or it is prevented."""

import contextlib
import random
import subprocess
import sys

import pytest

from broker.connect import Connection
from broker.consume import GroupReader, PartitionReader
from broker.embedded import EmbeddedBroker
from broker.errors import OffsetLost
from broker.produce import Producer, Record
from broker.throttle import Throttle
from tests.support.reading import read_count

BIG = [random.Random(n).randbytes(4_000) for n in range(100)]  # what lz4 can't make smaller
OVER_THE_LIMIT = 2_000  # 8 MB, where 5 MiB are kept


def fill(connection: Connection, topic: str) -> None:
    with Producer(connection) as producer:
        producer.send_many(
            topic, [Record(None, BIG[n % 100], partition=0) for n in range(OVER_THE_LIMIT)]
        )
        producer.flush()


def test_a_start_offset_that_was_dropped_is_an_error(connection: Connection) -> None:
    fill(connection, "orders")
    with PartitionReader(connection, "orders", 0, start_offset=3) as reader:
        with pytest.raises(OffsetLost, match=r"orders \[0\].*offset 3: start offset overtook"):
            read_count(reader, 1)
        with pytest.raises(OffsetLost):  # and not an empty read, as if all were well
            reader.read()


def test_a_reader_that_is_overtaken_while_reading_is_told(broker: EmbeddedBroker) -> None:
    # A reader that hardly reads ahead: otherwise it holds what the broker drops.
    reads_late = {**broker.connection.properties, "queued.max.messages.kbytes": "1"}
    fill(broker.connection, "orders")
    with PartitionReader(
        Connection(broker.bootstrap, reads_late), "orders", 0, start_offset=None
    ) as reader:
        read_count(reader, 1)
        fill(broker.connection, "orders")
        with pytest.raises(OffsetLost, match="start offset overtook reader"):
            read_count(reader, 2 * OVER_THE_LIMIT)


def test_an_offset_past_the_end_is_another_partition(connection: Connection) -> None:
    with (
        PartitionReader(connection, "orders", 0, start_offset=1_000_000) as reader,
        pytest.raises(OffsetLost, match="ends at 0, so it is not the one"),
    ):
        read_count(reader, 1)


def test_a_group_whose_commit_was_dropped_is_told(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send("orders", None, BIG[0], partition=0)
        producer.flush()
    with GroupReader(connection, "hot", ["orders"]) as reader:
        read_count(reader, 1)
        reader.commit()
    fill(connection, "orders")
    with (
        GroupReader(connection, "hot", ["orders"]) as reader,
        pytest.raises(OffsetLost, match=r"orders \[0\].*start offset overtook reader"),
    ):
        read_count(reader, 1)


PRODUCER_PROGRAM = """
import random, sys
from broker.embedded import embedded_connection
from broker.produce import Producer, Record
from broker.throttle import Throttle

connection = embedded_connection(sys.argv[1])
throttle = Throttle(connection, {"orders": ["slow", "reported"]})
rng = random.Random(7)
with Producer(connection, throttle) as producer:
    for n in range(int(sys.argv[2])):
        producer.send("orders", b"%d" % n, b"%d:" % n + rng.randbytes(4_000))
    producer.flush()
throttle.close()
"""


def test_a_producer_waits_for_the_slowest_of_groups_and_positions(broker: EmbeddedBroker) -> None:
    count = 10_000  # 40 MB through a broker that keeps 4 x 5 MiB
    broker.create("orders")
    command = [sys.executable, "-c", PRODUCER_PROGRAM, broker.bootstrap, str(count)]
    readers = [
        PartitionReader(broker.connection, "orders", p, 0, group="reported") for p in range(4)
    ]
    by_position = by_group = 0
    with (
        subprocess.Popen(command) as producer,
        contextlib.ExitStack() as stack,
        GroupReader(broker.connection, "slow", ["orders"]) as slow,
    ):
        stack.callback(producer.kill)  # else a failure would wait for it for ever
        while by_position < count or by_group < count:
            assert producer.poll() in {None, 0}
            by_group += len(slow.read(max_messages=50, timeout_s=0.01))
            slow.commit()
            for reader in readers:
                by_position += len(reader.read(max_messages=100))
                reader.report(reader.position)
        assert producer.wait(60) == 0
    for reader in readers:
        reader.close()
    assert (by_position, by_group) == (count, count)


def test_a_topic_that_nobody_reads_is_not_held_back(connection: Connection) -> None:
    throttle = Throttle(connection, {"orders": ["hot"], "orders.audit": []})
    with Producer(connection, throttle) as producer:
        for topic in ("orders.audit", "orders.elsewhere"):
            producer.send_many(topic, [Record(None, BIG[0], partition=0)] * OVER_THE_LIMIT)
        producer.flush()
    throttle.close()


def test_credit_ends_well_before_the_broker_drops(connection: Connection) -> None:
    throttle = Throttle(connection, {"orders": ["hot"]})
    with Producer(connection) as producer:
        throttle.refresh("orders")
        taken = 0
        while throttle.take("orders", 4_000):
            producer.send("orders", None, BIG[taken % 100], partition=0)
            taken += 1
        producer.flush()
        throttle.refresh("orders")
        assert not throttle.has_room("orders", 4_000)
    with PartitionReader(connection, "orders", 0, start_offset=0) as reader:
        assert len(read_count(reader, taken)) == taken
    throttle.close()
