"""A written message is read unchanged, in order, by whichever reader and process."""

import subprocess
import sys
from collections import defaultdict

import pytest

from broker.connect import Connection
from broker.consume import PartitionReader, read_all
from broker.errors import TopicMissing
from broker.produce import Producer, Record
from broker.topics import ensure_topics, partition_count
from tests.support.reading import read_count

PATIENCE_S = 30.0


def test_key_value_headers_and_timestamp_come_back(connection: Connection) -> None:
    with Producer(connection) as producer:
        headers: list[tuple[str, bytes | None]] = [("clock", b"17"), ("version", b"3")]
        producer.send("orders", b"A-1", b'{"n": 1}', headers, timestamp_ms=1_507_000_000_123)
        producer.flush()
    (message,) = read_all(connection, "orders")
    assert message.topic == "orders"
    assert (message.key, message.value) == (b"A-1", b'{"n": 1}')
    assert message.headers == headers
    assert message.timestamp_ms == 1_507_000_000_123
    assert message.offset == 0


def test_a_tombstone_and_an_empty_value_are_two_things(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send_many("orders", [Record(b"k", None), Record(b"k", b""), Record(None, b"v")])
        producer.flush()
    found = sorted(read_all(connection, "orders"), key=lambda m: (m.key is None, m.offset))
    assert [(m.key, m.value, m.headers) for m in found] == [
        (b"k", None, []),
        (b"k", b"", []),
        (None, b"v", []),
    ]


def test_messages_of_a_key_stay_in_order_and_in_one_partition(connection: Connection) -> None:
    records = [Record(b"order-%d" % (n % 50), b"%d" % n) for n in range(5_000)]
    with Producer(connection) as producer:
        producer.send_many("orders", records)
        producer.flush()
    by_key = defaultdict(list)
    for message in read_all(connection, "orders"):
        by_key[message.key].append((message.partition, int(message.value or b"")))
    assert len(by_key) == 50
    for found in by_key.values():
        assert len({partition for partition, _ in found}) == 1
        assert [n for _, n in found] == sorted(n for _, n in found)
    assert sum(map(len, by_key.values())) == 5_000


def test_a_key_lies_where_a_java_client_would_put_it(connection: Connection) -> None:
    # murmur2 as in org.apache.kafka.common.utils.Utils; its test has murmur2("21") = -973932308
    # and murmur2("foobar") = -790332482.
    expected = {b"21": (-973932308 & 0x7FFFFFFF) % 4, b"foobar": (-790332482 & 0x7FFFFFFF) % 4}
    with Producer(connection) as producer:
        producer.send_many("orders", [Record(key, b"") for key in expected])
        producer.flush()
    assert {m.key: m.partition for m in read_all(connection, "orders")} == expected


def test_reading_goes_on_at_any_offset(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send_many("orders", [Record(None, b"%d" % n, partition=2) for n in range(1_200)])
        producer.flush()
    with PartitionReader(connection, "orders", 2, start_offset=700) as reader:
        messages = read_count(reader, 500)
        assert [m.offset for m in messages] == list(range(700, 1_200))
        assert reader.position == reader.end_offset(PATIENCE_S) == 1_200
        assert reader.read() == []
    with PartitionReader(connection, "orders", 2, start_offset=None) as reader:
        assert reader.position == 0
        assert len(reader.read(max_messages=10, timeout_s=10.0)) <= 10
        assert 0 < reader.position <= 10


def test_messages_of_another_process_are_read(connection: Connection) -> None:
    program = (
        "import sys\n"
        "from broker.embedded import embedded_connection\n"
        "from broker.produce import Producer, Record\n"
        "with Producer(embedded_connection(sys.argv[1])) as producer:\n"
        "    producer.send_many('orders', [Record(b'%d' % n, b'x') for n in range(1000)])\n"
        "    producer.flush()\n"
    )
    command = [sys.executable, "-c", program, connection.bootstrap]
    subprocess.run(command, check=True, timeout=60)
    keys = {int(message.key or b"") for message in read_all(connection, "orders")}
    assert keys == set(range(1_000))


def test_reading_a_topic_ends_at_the_ends_as_they_were(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send_many("orders", [Record(b"%d" % n, b"old") for n in range(100)])
        producer.flush()
        reading = read_all(connection, "orders")
        first = next(reading)
        producer.send_many("orders", [Record(b"%d" % n, b"new") for n in range(100)])
        producer.flush()
        rest = list(reading)
    assert [m.value for m in [first, *rest]] == [b"old"] * 100


def test_an_empty_topic_reads_as_nothing(connection: Connection) -> None:
    assert list(read_all(connection, "orders")) == []


def test_an_embedded_topic_has_four_partitions_from_its_first_use(connection: Connection) -> None:
    assert ensure_topics(connection, partitions=8) == []
    assert partition_count(connection, "orders") == 4


def test_a_missing_topic_or_partition_is_named(connection: Connection) -> None:
    strict = Connection(
        connection.bootstrap, {**connection.properties, "allow.auto.create.topics": "false"}
    )
    with pytest.raises(TopicMissing, match=r"topic absent: .* create what is missing"):
        partition_count(strict, "absent")
    with pytest.raises(TopicMissing, match=r"orders \[7\]"):
        PartitionReader(connection, "orders", 7, start_offset=0)


def test_secrets_in_properties_are_not_printed() -> None:
    connection = Connection("kafka:9092", {"sasl.password": "hunter2", "linger.ms": "50"})
    assert "hunter2" not in repr(connection)
    assert "sasl.password" in repr(connection)
    assert connection.config("producer")["linger.ms"] == "50"
    assert "linger.ms" not in connection.config("consumer")
