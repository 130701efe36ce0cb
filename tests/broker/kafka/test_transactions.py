"""Transactions: what readers see of an epoch, and what of a producer that was replaced."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from broker.clients import Consumer
from broker.connect import Connection
from broker.consume import GroupReader, read_all
from broker.errors import BrokerFailed, DeliveryFailed, EpochAborted, Fenced
from broker.fence import fence_writers, settled
from broker.produce import Producer
from broker.transactions import IDS, transactional_id
from deploy.stack.kafka import Kafka
from schemas.errors import Busy
from schemas.topics import TopicSettings
from tests.support.kafka.topics import PATIENCE_S, admin, kafka_tool, make
from tests.support.stack import namespace
from tests.support.waiting import patiently, wait_until


@pytest.fixture
def flow() -> str:
    return namespace()


@contextmanager
def writer(
    kafka: Connection, flow: str, worker: int = 0, properties: dict[str, str] | None = None
) -> Iterator[Producer]:
    """A worker's producer; at the end of the block it is gone like a killed one."""
    name = transactional_id(flow, worker)
    connection = Connection(kafka.bootstrap, properties or {})
    with closing(Producer(connection, transactional_id=name)) as producer:
        producer.init_transactions()
        yield producer


def values(kafka: Connection, topic: str) -> list[bytes | None]:
    return [message.value for message in read_all(kafka, topic)]


def assert_seen(kafka: Connection, topic: str, *expected: bytes) -> None:
    """A commit returns once it is decided; its markers follow within milliseconds."""
    wait_until(
        lambda: len(values(kafka, topic)) >= len(expected),
        f"{len(expected)} messages",
        shown=lambda: values(kafka, topic),
    )
    assert values(kafka, topic) == [*expected]


def uncommitted(kafka: Connection, topic: str) -> list[bytes]:
    """Messages of one partition for a reader with isolation level read_uncommitted."""
    client = Consumer(
        {
            **kafka.config("consumer"),
            "group.id": "any",
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
        }
    )
    found: list[bytes] = []
    with closing(client):
        client.assign([TopicPartition(topic, 0, 0)])
        while True:
            message = client.poll(PATIENCE_S)
            assert message is not None
            if message.error():
                return found
            found.append(message.value() or b"")


def is_decided(kafka: Connection, topic: str) -> bool:
    """Return True once the transaction that began the partition is committed or aborted."""
    where = TopicPartition(topic, 0)
    committed = IsolationLevel.READ_COMMITTED
    client = admin(kafka)  # to be kept until it has answered
    asked = client.list_offsets({where: OffsetSpec.latest()}, isolation_level=committed)
    return bool(asked[where].result(PATIENCE_S).offset > 0)


def shown_lag(kafka: Connection, folder: Path, group: str) -> str:
    """Lag that kafka-consumer-groups shows, of a group with one partition."""
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    shown = kafka_tool(kafka, folder, tool, "--describe", "--group", group)
    rows = [line.split() for line in shown.splitlines() if line.split()[:1] == [group]]
    return rows[0][5] if rows else "nothing"


def test_readers_see_an_epoch_once_it_is_flushed(kafka: Connection, flow: str, topic: str) -> None:
    with writer(kafka, flow) as producer:
        for number in range(3):
            producer.send(topic, b"k", b"%d" % number)
        while len(uncommitted(kafka, topic)) < 3:
            time.sleep(0.05)
        assert values(kafka, topic) == []
        producer.flush()
        assert_seen(kafka, topic, b"0", b"1", b"2")


def test_what_a_replaced_producer_had_queued_is_never_seen(
    kafka: Connection, flow: str, topic: str
) -> None:
    with writer(kafka, flow, properties={"linger.ms": "60000"}) as first:
        first.send(topic, b"k", b"committed")
        first.flush()
        first.send(topic, b"k", b"queued")
        with writer(kafka, flow) as second:
            second.send(topic, b"k", b"successor")
            second.flush()
            with pytest.raises(Fenced, match="another run has taken over"):
                first.flush()
            with pytest.raises(Fenced):
                first.send(topic, b"k", b"more")
            second.send(topic, b"k", b"and on")
            second.flush()
    assert_seen(kafka, topic, b"committed", b"successor", b"and on")


def test_what_a_killed_producer_had_sent_is_aborted_by_its_successor(
    kafka: Connection, flow: str, topic: str
) -> None:
    with writer(kafka, flow) as first:
        first.send(topic, b"k", b"lost")
        while not uncommitted(kafka, topic):
            time.sleep(0.05)
    with writer(kafka, flow) as second:
        second.send(topic, b"k", b"successor")
        second.flush()
    assert_seen(kafka, topic, b"successor")
    assert uncommitted(kafka, topic) == [b"lost", b"successor"]


@pytest.mark.parametrize("worker", [0, IDS - 1])
def test_a_run_with_fewer_workers_fences_those_that_it_has_not(
    worker: int, kafka: Connection, flow: str, topic: str
) -> None:
    with writer(kafka, flow, worker) as zombie, writer(kafka, f"{flow}-other") as other:
        zombie.send(topic, b"k", b"zombie")
        other.send(topic, b"k", b"other")
        fence_writers(kafka, flow, lambda: False)
        with pytest.raises(Fenced):
            zombie.flush()
        other.flush()
    assert_seen(kafka, topic, b"other")


def test_a_reader_at_the_end_has_no_lag_though_markers_follow_the_last_message(
    kafka: Connection, flow: str, topic: str, tmp_path: Path
) -> None:
    with writer(kafka, flow) as producer, closing(GroupReader(kafka, flow, [topic])) as reader:
        read: list[bytes | None] = []
        for number in range(3):
            producer.send(topic, b"k", b"%d" % number)
            producer.flush()

        def has_no_lag() -> bool:
            if not sum(reader.lag().values()) and shown_lag(kafka, tmp_path, flow) == "0":
                return True
            read.extend(message.value for message in reader.read())
            reader.commit()
            return False

        wait_until(has_no_lag, "a lag of 0", pause_s=0)
        assert read == [b"0", b"1", b"2"]


def test_a_partition_that_ends_in_an_aborted_transaction_is_read_to_its_end(
    kafka: Connection, flow: str, topic: str
) -> None:
    with writer(kafka, flow) as producer:
        producer.send(topic, b"k", b"seen")
        producer.flush()
        producer.send(topic, b"k", b"aborted")
        while len(uncommitted(kafka, topic)) < 2:
            time.sleep(0.05)
    with writer(kafka, flow):
        pass
    with closing(GroupReader(kafka, flow, [topic])) as reader:
        read: list[bytes | None] = []

        def is_at_end() -> bool:
            if read and not sum(reader.lag().values()):
                return True
            read.extend(message.value for message in reader.read())
            return False

        wait_until(is_at_end, "the end of the partition", pause_s=0)
    assert read == [b"seen"]
    assert_seen(kafka, topic, b"seen")


def test_a_transaction_that_the_broker_timed_out_is_no_take_over(
    kafka: Connection, flow: str, topic: str
) -> None:
    verified: list[float] = []
    short = Connection(kafka.bootstrap, {"transaction.timeout.ms": "1000"})
    name = transactional_id(flow, 0)
    with closing(
        Producer(short, before_flush=lambda: verified.append(0.0), transactional_id=name)
    ) as producer:
        producer.init_transactions()
        assert verified, "before each attempt: a broker under load needs several"
        verified.clear()
        producer.send(topic, b"k", b"slow")
        while not uncommitted(kafka, topic):
            time.sleep(0.05)
        wait_until(lambda: is_decided(kafka, topic), "the broker's abort", pause_s=1)
        with pytest.raises(EpochAborted, match=r"longer than transaction\.timeout\.ms"):
            producer.flush()
        assert len(verified) == 2, "before the commit, and to find out by whom"
    assert values(kafka, topic) == []


def test_a_time_out_that_the_broker_refuses_is_named_with_the_way_out(
    kafka: Connection, flow: str
) -> None:
    long = Connection(kafka.bootstrap, {"transaction.timeout.ms": "900001"})
    with (
        closing(Producer(long, transactional_id=transactional_id(flow, 0))) as producer,
        pytest.raises(BrokerFailed, match=r'set "transaction\.timeout\.ms" under broker'),
    ):
        producer.init_transactions()


def test_an_epoch_with_a_message_that_the_broker_refuses_is_not_committed(
    kafka: Connection, flow: str
) -> None:
    topic = namespace()
    make(kafka, TopicSettings(topic, partitions=1))
    with writer(kafka, flow, properties={"message.max.bytes": "10000000"}) as producer:
        producer.send(topic, b"k", b"small")
        producer.send(topic, b"k", random.Random(1).randbytes(2_000_000))
        with pytest.raises(DeliveryFailed, match="MSG_SIZE_TOO_LARGE") as failed:
            producer.flush()
        assert not isinstance(failed.value, EpochAborted), "a new start doesn't mend it"
    with writer(kafka, flow):
        assert values(kafka, topic) == []


def test_a_transaction_outlives_the_death_of_brokers(
    kafka: Connection, cluster: Sequence[Kafka], flow: str, topic: str
) -> None:
    with writer(kafka, flow) as producer:
        for number, broker in enumerate(cluster):
            producer.send(topic, b"k", b"a%d" % number)
            broker.kill()
            producer.send(topic, b"k", b"b%d" % number)
            later = threading.Timer(3.0, broker.start)
            later.start()
            patiently(lambda: producer.flush(1.0))
            later.join()
            broker.wait(60)
    expected = [b"%c%d" % (letter, n) for n in range(len(cluster)) for letter in b"ab"]
    assert_seen(kafka, topic, *expected)


def test_a_run_that_ended_cleanly_leaves_nothing_to_become_visible_later(
    kafka: Connection, flow: str, topic: str
) -> None:
    for number in range(10):
        with (
            settled(kafka, transactional_id(flow, 0), lambda: None),
            writer(kafka, flow) as producer,
        ):
            producer.send(topic, b"k", b"%d" % number)
            producer.flush()
        assert len(values(kafka, topic)) == number + 1


def test_a_start_while_the_broker_is_away_can_be_stopped(flow: str) -> None:
    nowhere = Connection("127.0.0.1:9")
    with (
        closing(Producer(nowhere, transactional_id=transactional_id(flow, 0))) as producer,
        pytest.raises(Busy),
    ):
        producer.init_transactions(stopping=lambda: True)
