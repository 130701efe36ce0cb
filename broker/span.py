"""Reading a span of one partition again, outside of any group."""

from collections.abc import Iterable, Iterator

from confluent_kafka import TopicPartition

from broker.clients import Consumer
from broker.committed import committed
from broker.connect import Connection
from broker.consume import held_by, read_spans
from broker.errors import OffsetLost, missing_topic
from broker.fetcher import Fetcher, Message
from broker.topics import ANSWER_TIMEOUT_S, count_partitions


def read_span(
    connection: Connection,
    topic: str,
    partition: int,
    first_offset: int,
    next_offset: int,
    stall_s: float = 30.0,
) -> Iterator[Message]:
    """The messages with `first_offset` <= offset < `next_offset`, in order.

    What was compacted away, and markers of transactions, are left out silently.

    Raises:
        OffsetLost: the partition no longer reaches back to `first_offset`, or not yet to the end.
        TopicMissing, BrokerFailed.
        Busy: nothing came for `stall_s`, or the broker is unavailable.
    """

    def span(client: Consumer) -> dict[int, tuple[int, int]]:
        if partition >= count_partitions(client, topic):
            raise missing_topic(f"{topic} [{partition}]")
        low, high = held_by(client, topic, partition)
        if low > first_offset or high < next_offset:
            raise OffsetLost(
                f"{topic} [{partition}]: holds the offsets {low} to {high - 1}, not all of "
                f"{first_offset} to {next_offset - 1}; restore the file from a backup or a replica"
            )
        return {partition: (first_offset, next_offset)}

    return read_spans(connection, topic, span, stall_s)


def committed_offsets(
    connection: Connection, group: str, topics: Iterable[str]
) -> dict[tuple[str, int], int]:
    """{(topic, partition): offset} of what a group has committed; partitions without are left out.

    Raises:
        Busy: the broker is unavailable. TopicMissing, BrokerFailed.
    """
    with Fetcher(connection, group) as fetcher:
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in range(count_partitions(fetcher.client, topic))
        ]
        stored = committed(fetcher.client, group, partitions, ANSWER_TIMEOUT_S)
    return {(each.topic, each.partition): each.offset for each in stored if each.offset >= 0}
