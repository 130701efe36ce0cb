"""Rebuild of the delivered state: the part of a partition that the group has processed, read again.

Delivery keeps no state of its own on disk. orders.changes is compacted, so below the group's
committed offset it holds every live order in its delivered state; a process that takes a partition
over, after a kill -9 or from another host, has the same state as the one before. (A file beside
the offsets would load faster, but a partition that changes hands would need this anyway.) An alert
whose document was compacted away during an outage of delivery is not ended by name: it ends at its
receiver by `ends_at`, which has run out.
"""

from collections.abc import Iterator

from confluent_kafka import TopicPartition

from broker.committed import committed
from broker.connect import Connection
from broker.consume import Message, PartitionReader
from broker.fetcher import Fetcher
from broker.topics import ANSWER_TIMEOUT_S

READ_TIMEOUT_S = 0.2


def dealt_with(
    connection: Connection, group: str, topic: str, partition: int
) -> Iterator[list[Message]]:
    """The messages below the group's committed offset, in order; empty lists while none come.

    Raises:
        Busy: the broker is unavailable.
        OrdertideError: it refuses for good.
    """
    end = committed_offset(connection, group, topic, partition)
    if end <= 0:
        return
    with PartitionReader(connection, topic, partition, None) as reader:
        # The position passes over what was compacted away: the end of the partition shows.
        while reader.position < end:
            messages = reader.read(timeout_s=READ_TIMEOUT_S)
            yield [message for message in messages if message.offset < end]


def committed_offset(connection: Connection, group: str, topic: str, partition: int) -> int:
    """Committed offset of the group in the partition; not above 0 if it never committed there.

    Raises:
        Busy: the broker is unavailable. TopicMissing, BrokerFailed: it refuses.
    """
    with Fetcher(connection, group) as fetcher:
        where = [TopicPartition(topic, partition)]
        (stored,) = committed(fetcher.client, group, where, ANSWER_TIMEOUT_S)
    return int(stored.offset)
