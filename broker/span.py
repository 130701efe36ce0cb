"""Reading a span of one partition again, outside of any group."""

from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaException, TopicPartition

from broker.connect import Connection
from broker.errors import OffsetLost, missing_topic, worded
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.errors import Busy


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
    position = first_offset

    def reached(_topic: str, _partition: int, offset: int) -> None:
        nonlocal position
        position = max(position, offset)

    with Fetcher(connection, connection.client_id, on_end=reached) as fetcher:
        if partition >= count_partitions(fetcher.client, topic):
            raise missing_topic(f"{topic} [{partition}]")
        low, high = held(fetcher, topic, partition)
        if low > first_offset or high < next_offset:
            raise OffsetLost(
                f"{topic} [{partition}]: holds the offsets {low} to {high - 1}, not all of "
                f"{first_offset} to {next_offset - 1}; restore the file from a backup or a replica"
            )
        fetcher.client.assign([TopicPartition(topic, partition, first_offset)])
        while position < next_offset:
            before = position
            messages = fetcher.fetch(BATCH_MESSAGES, 0) or fetcher.fetch(BATCH_MESSAGES, stall_s)
            for message in messages:
                position = max(position, message.offset + 1)
                if message.offset < next_offset:
                    yield message
            if not messages and position == before:
                raise Busy(f"{topic} [{partition}]: nothing came for {stall_s:.0f} s")


def held(fetcher: Fetcher, topic: str, partition: int) -> tuple[int, int]:
    """(first offset held, offset after the last)."""
    try:
        low, high = fetcher.client.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=ANSWER_TIMEOUT_S
        )
    except KafkaException as error:
        raise Busy(
            f"{topic} [{partition}]: the broker gives no offsets: {worded(error)}"
        ) from error
    return low, high


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
        try:
            stored = fetcher.client.committed(partitions, timeout=ANSWER_TIMEOUT_S)
        except KafkaException as error:
            raise Busy(f"group {group}: the broker gives no offsets: {worded(error)}") from error
    return {(each.topic, each.partition): each.offset for each in stored if each.offset >= 0}
