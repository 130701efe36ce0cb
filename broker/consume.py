"""Reading from the broker: one partition, as a member of a group, or a whole topic once."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from broker.clients import Consumer
from broker.connect import Connection
from broker.errors import worded
from broker.fetcher import BATCH_MESSAGES, Fetcher, Headers, Message
from broker.group import GroupReader
from broker.interrupts import answer_of
from broker.partition import PartitionReader
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.errors import Busy

POLL_S = 1.0

__all__ = ["GroupReader", "Headers", "Message", "PartitionReader", "read_all"]


def read_all(
    connection: Connection,
    topic: str,
    stall_s: float = 30.0,
    timeout_s: float = ANSWER_TIMEOUT_S,
) -> Iterator[Message]:
    """Every message from the first that is held to the ends as they are when this is called.

    In order within a partition; no group is joined.

    Raises:
        TopicMissing, OffsetLost (retention overtook this reading), BrokerFailed.
        Busy: nothing came for `stall_s`, or no offsets within `timeout_s`.
    """
    spans = partial(held_offsets, topic=topic, timeout_s=timeout_s)
    return read_spans(connection, topic, spans, stall_s)


def read_spans(
    connection: Connection,
    topic: str,
    spans_of: Callable[[Consumer], Mapping[int, tuple[int, int]]],
    stall_s: float,
) -> Iterator[Message]:
    """The messages of spans: partition → (first offset, offset after the last), by `spans_of`.

    In order within a partition. What was compacted away, and markers of transactions, are left out
    silently.

    Raises:
        TopicMissing, OffsetLost, BrokerFailed, and what `spans_of` raises.
        Busy: nothing came for `stall_s`.
    """
    unread: dict[int, int] = {}  # partition → the end that it is to be read to

    def reached(_topic: str, partition: int, offset: int) -> None:
        if offset >= unread.get(partition, offset + 1):
            del unread[partition]

    with Fetcher(connection, connection.client_id, on_end=reached) as fetcher:
        spans = spans_of(fetcher.client)
        unread |= {partition: end for partition, (first, end) in spans.items() if first < end}
        fetcher.client.assign([TopicPartition(topic, p, spans[p][0]) for p in unread])
        progress_at_s, left = time.monotonic(), len(unread)
        while unread:
            messages = fetcher.fetch(BATCH_MESSAGES, 0)
            if unread and not messages:  # the last end may just have been reached by a marker
                messages = fetcher.fetch(BATCH_MESSAGES, POLL_S)
            if messages or len(unread) < left:
                progress_at_s, left = time.monotonic(), len(unread)
            elif time.monotonic() - progress_at_s >= stall_s:
                raise Busy(f"topic {topic}: nothing came for {stall_s:.0f} s")
            yield from (m for m in messages if m.offset < spans[m.partition][1])
            for message in messages:
                reached(topic, message.partition, message.offset + 1)


def held_offsets(
    client: Consumer, topic: str, timeout_s: float = ANSWER_TIMEOUT_S
) -> dict[int, tuple[int, int]]:
    """Partition → (first offset held, offset after the last)."""
    count = count_partitions(client, topic, timeout_s)
    return {partition: held_by(client, topic, partition, timeout_s) for partition in range(count)}


def held_by(
    client: Consumer, topic: str, partition: int, timeout_s: float = ANSWER_TIMEOUT_S
) -> tuple[int, int]:
    """(first offset held, offset after the last) of one partition."""
    where = TopicPartition(topic, partition)
    try:
        low, high = answer_of(lambda: client.get_watermark_offsets(where, timeout=timeout_s))
    except KafkaException as error:
        raise Busy(
            f"{topic} [{partition}]: the broker gives no offsets: {worded(error)}"
        ) from error
    return low, high
