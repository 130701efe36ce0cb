"""Generations of flows, and the traces that an earlier run of a flow has left in the broker.

A flow's generation is a record of the compacted topic `ordertide.generations`, keyed by its group:
it outlives the state. `orders.changes` shows generations as well, in the versions of its documents.
"""

from collections.abc import Mapping
from typing import NamedTuple

import confluent_kafka
import msgspec
from confluent_kafka import TopicPartition

from broker.committed import committed
from broker.connect import Connection
from broker.consume import held_offsets, read_all
from broker.fetcher import Fetcher, Headers
from broker.produce import Producer
from broker.topics import ANSWER_TIMEOUT_S
from schemas import topics
from schemas.versions import generation_of, published_version

UNKNOWN = -1


class GenerationRecord(msgspec.Struct, frozen=True):
    """Value of a record: the generation, and when it began (RFC 3339)."""

    generation: int
    begun_at: str


class Versioned(msgspec.Struct):
    """The fields read of a document of orders.changes."""

    version: int


RECORD = msgspec.json.Decoder(GenerationRecord)
VERSIONED = msgspec.json.Decoder(Versioned)


class Traces(NamedTuple):
    """Traces of an earlier run of a flow.

    `generation` is its record, UNKNOWN without one. `positions` are the group's committed offsets
    of `events`, and `first_offsets` those of its partitions whose beginning was deleted.
    `published` counts the messages ever written to orders.changes.
    """

    generation: int
    positions: Mapping[int, int]
    first_offsets: Mapping[int, int]
    published: int

    def __str__(self) -> str:
        found = []
        if self.generation != UNKNOWN:
            found.append(f"a record of generation {self.generation}")
        if self.positions:
            found.append(f"the group's positions {offsets_text(self.positions)}")
        if self.published:
            found.append(f"{self.published:,} messages written to {topics.ORDERS_CHANGES}")
        if self.first_offsets:
            found.append(
                f"{topics.EVENTS} without its beginning, which retention has deleted (first "
                f"offsets {offsets_text(self.first_offsets)})"
            )
        return "; ".join(found)


def offsets_text(offsets: Mapping[int, int]) -> str:
    """Offsets by partition, for people."""
    return ", ".join(f"[{partition}] {offset:,}" for partition, offset in sorted(offsets.items()))


def read_traces(connection: Connection, group: str) -> Traces:
    """Traces of the flow `group`.

    Raises:
        Busy: the broker is unavailable. TopicMissing, BrokerFailed.
    """
    with Fetcher(connection, group) as fetcher:
        events = held_offsets(fetcher.client, topics.EVENTS)
        changes = held_offsets(fetcher.client, topics.ORDERS_CHANGES)
        positions = committed_offsets(fetcher.client, group, len(events))
    return Traces(
        generation=recorded_generation(connection, group),
        positions=positions,
        first_offsets={partition: low for partition, (low, _) in events.items() if low},
        published=sum(high for _, high in changes.values()),
    )


def committed_offsets(
    client: confluent_kafka.Consumer, group: str, partitions: int
) -> dict[int, int]:
    """Committed offsets of a group in `events`; those at 0 mean nothing."""
    asked = [TopicPartition(topics.EVENTS, partition) for partition in range(partitions)]
    found = committed(client, group, asked, ANSWER_TIMEOUT_S)
    return {part.partition: part.offset for part in found if part.offset > 0}


def recorded_generation(
    connection: Connection, group: str, timeout_s: float = ANSWER_TIMEOUT_S
) -> int:
    """Highest generation recorded for a flow; UNKNOWN without a record.

    Raises:
        Busy: the broker is unavailable, each request for `timeout_s`.
        TopicMissing, OffsetLost, BrokerFailed.
    """
    records = [
        RECORD.decode(message.value)
        for message in read_all(connection, topics.GENERATIONS.name, timeout_s, timeout_s)
        if message.key == group.encode() and message.value
    ]
    return max((record.generation for record in records), default=UNKNOWN)


def record_generation(producer: Producer, group: str, record: GenerationRecord) -> None:
    """Write the record of a generation; durable when this returns."""
    producer.send(topics.GENERATIONS.name, group.encode(), msgspec.json.encode(record))
    producer.flush()


class Published(NamedTuple):
    """Live orders in orders.changes: (partition, key), and the highest generation of a version."""

    live: list[tuple[int, bytes]]
    generation: int


def read_published(connection: Connection) -> Published:
    """Orders whose last message is a document; reads the whole topic.

    Raises:
        Busy: the broker is unavailable. OffsetLost, BrokerFailed.
    """
    live: dict[tuple[int, bytes], None] = {}
    generation = UNKNOWN
    for message in read_all(connection, topics.ORDERS_CHANGES):
        at = (message.partition, message.key or b"")
        if message.value is None:
            live.pop(at, None)
        else:
            live[at] = None
        version = version_of(message.value, message.headers)
        if version is not None:
            generation = max(generation, generation_of(version))
    return Published(list(live), generation)


def version_of(value: bytes | None, headers: Headers) -> int | None:
    """Version that a message of orders.changes carries; None for one of a foreign writer."""
    version = topics.number_in(headers, topics.HEADER_VERSION)
    if version is not None:
        return version
    try:
        return VERSIONED.decode(value).version if value else None
    except msgspec.DecodeError:
        return None


def retire_published(producer: Producer, published: Published, generation: int) -> None:
    """Write a tombstone of a new generation for every live order of the earlier ones.

    The orders of the new state are published again. The others have no state any more: their last
    documents stay in the warm tier and in the archive.
    """
    version = published_version(generation, 0)
    for partition, key in published.live:
        headers: Headers = [(topics.HEADER_VERSION, b"%d" % version)]
        producer.send(topics.ORDERS_CHANGES, key, None, headers, partition=partition)
    producer.flush()
