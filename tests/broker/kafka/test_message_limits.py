"""A topic with a lower max.message.bytes: the sink queries the limit and never sends more."""

import os
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from broker.connect import Connection
from broker.consume import read_all
from broker.message_limits import MessageLimits
from broker.produce import Producer
from commands.wiring.track_metrics import TrackMetrics
from dataflows.core.routing import SHARDS
from dataflows.output_messages import Block, Outgoing
from dataflows.sink import KafkaSinkPart
from dataflows.state.local.sqlite import SqliteShardStore
from schemas import topics
from schemas.settings.model import TelemetrySettings
from schemas.topics import TopicSettings
from tests.support.kafka.topics import admin, done, make
from tests.support.stack import namespace
from tests.support.waiting import wait_until

LIMIT = 20_000


@pytest.fixture
def lowered(kafka: Connection) -> str:
    """A topic that takes 20,000 bytes a batch, and events.rejected beside it."""
    name = namespace()
    make(kafka, TopicSettings(name, partitions=2))
    make(kafka, TopicSettings(topics.EVENTS_REJECTED))
    entry = ConfigEntry(
        "max.message.bytes", str(LIMIT), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    client = admin(kafka)  # it answers only while it is held
    done(client.incremental_alter_configs([resource]))
    for address in kafka.bootstrap.split(","):  # each broker answers by its own metadata
        wait_until(partial(has_limit, Connection(address), name), f"the limit at {address}")
    return name


def has_limit(kafka: Connection, topic: str) -> bool:
    return MessageLimits(kafka, [topic]).of(topic) == LIMIT


def letters_of(kafka: Connection, topic: str) -> list[dict[str, bytes | None]]:
    """The headers of the dead letters of a topic's outputs."""
    found = [dict(letter.headers) for letter in read_all(kafka, topics.EVENTS_REJECTED)]
    return [headers for headers in found if headers.get(topics.HEADER_TOPIC) == topic.encode()]


@pytest.mark.parametrize("is_transactional", [False, True])
def test_what_the_topic_does_not_take_is_a_letter_and_all_else_arrives(
    kafka: Connection, lowered: str, tmp_path: Path, *, is_transactional: bool
) -> None:
    limits = MessageLimits(kafka, [lowered, topics.EVENTS_REJECTED])
    assert limits.smallest == limits.of(lowered) == LIMIT
    store = SqliteShardStore(tmp_path / "shards.sqlite", len(SHARDS))
    watch = TrackMetrics(TelemetrySettings(port=0), lambda: 0, tmp_path / "shards.sqlite")
    writer = namespace() if is_transactional else None
    with watch, Producer(kafka, transactional_id=writer, batch_size=LIMIT) as producer:
        producer.init_transactions()
        sink = KafkaSinkPart(producer, limits, store, lambda: False, watch)
        noise = os.urandom(30_000)  # what lz4 can't make smaller
        outputs: list[Block | Outgoing] = [
            Outgoing(lowered, b"%d" % n, noise[: n * 1_000], []) for n in range(1, 30)
        ]
        sink.write_batch([outputs])
        sink.write_batch([[Outgoing(lowered, b"clock", None, [("clock", b"1")], heartbeat_of=3)]])
        sink.snapshot()
    store.close()
    expected = {b"clock", *(b"%d" % n for n in range(1, 20))}
    # A commit is answered before its markers are in all partitions.
    wait_until(
        lambda: {message.key for message in read_all(kafka, lowered)} == expected, "all that fits"
    )
    wait_until(lambda: len(letters_of(kafka, lowered)) == 10, "ten dead letters")
    letters = letters_of(kafka, lowered)
    assert b"at most 20000" in (letters[0][topics.HEADER_REASON] or b"")
