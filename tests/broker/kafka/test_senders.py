"""Whoever can write to Kafka can feed the engine: other languages, other libraries."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from broker.connect import Connection
from broker.consume import Message, PartitionReader, read_all
from broker.produce import Producer
from dataflows.core.intake import Intake, Origin
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.event import Event
from schemas.topics import TopicSettings
from tests.support.kafka.topics import grow, kafka_tool, make
from tests.support.reading import read_count
from tests.support.stack import namespace
from tests.support.waiting import wait_until

EVENTS = [
    {
        "event_id": f"e-{number}",
        "order_id": f"订单-{number}",
        "status_code": "PAID",
        "timestamp": "2026-11-20T10:00:00+08:00",
        "source": "shop",
    }
    for number in range(3)
]
LINES = "".join(f"{event['order_id']}|{json.dumps(event)}\n" for event in EVENTS)


def events_of(kafka: Connection, topic: str) -> list[tuple[Message, Event]]:
    """Messages of a topic as our own consumer and decoder read them."""
    table = read_lifecycle(None)
    intake = Intake(table, read_rules(None, table))
    decoder = Decoder(intake, lambda data, _: data, lambda data, _: data)
    with PartitionReader(kafka, topic, 0, 0) as reader:
        messages = read_count(reader, len(EVENTS))
    found = []
    for message in messages:
        event, data = decoder.read(message.value or b"", message.headers)
        assert isinstance(event, Event)
        origin = Origin(message.topic, message.partition, message.offset)
        fact, _, _ = decoder.decode(event, data, message.timestamp_ms, origin)
        assert fact is not None
        found.append((message, event))
    return found


def assert_all_came(kafka: Connection, topic: str) -> None:
    found = events_of(kafka, topic)
    assert [event.order_id for _, event in found] == [event["order_id"] for event in EVENTS]
    assert [message.key for message, _ in found] == [event["order_id"].encode() for event in EVENTS]
    assert all(message.timestamp_ms > 0 for message, _ in found)


def test_kcat_can_feed_it(kafka: Connection, topic: str) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    command = [kcat, "-P", "-b", kafka.bootstrap, "-t", topic, "-K", "|"]
    subprocess.run(command, input=LINES.encode(), check=True, timeout=60)
    assert_all_came(kafka, topic)


def test_the_java_console_producer_can_feed_it(
    kafka: Connection, topic: str, tmp_path: Path
) -> None:
    kafka_tool(
        *(kafka, tmp_path),
        "org.apache.kafka.tools.ConsoleProducer",
        *("--topic", topic, "--reader-property", "parse.key=true"),
        *("--reader-property", "key.separator=|"),
        stdin=LINES,
    )
    assert_all_came(kafka, topic)


def test_a_partition_that_is_added_is_counted_and_written_to(
    kafka: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.produce.COUNTED_FOR_S", 0.0)
    topic = TopicSettings(namespace())
    make(kafka, topic, partitions=2)
    with Producer(kafka) as producer:
        assert producer.partition_count(topic.name) == 2
        grow(kafka, topic.name, 3)
        wait_until(lambda: producer.partition_count(topic.name) != 2, "a third partition")
        producer.send(topic.name, b"key", b"value", partition=2)
    assert [m.partition for m in read_all(kafka, topic.name)] == [2]
