"""Committed offsets of a group, each with the error that the broker may give for it alone."""

import time
from collections.abc import Callable, Sequence

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker.errors import PASSING, refusal, worded
from broker.interrupts import Waiting, answer_of
from schemas.errors import Busy, OrdertideError

RETRY_AFTER_S = 0.1

Answer = Callable[[], list[TopicPartition]]


def committed(
    client: confluent_kafka.Consumer,
    group: str,
    partitions: Sequence[TopicPartition],
    timeout_s: float,
) -> list[TopicPartition]:
    """Committed offset of the group for each partition; below 0 where it never committed.

    Raises:
        Busy: the broker is unavailable, or has no answer for one of them yet.
        TopicMissing, BrokerFailed: it refuses.
    """
    wanted = list(partitions)
    return checked(group, lambda: answer_of(lambda: client.committed(wanted, timeout=timeout_s)))


def committed_at_assignment(
    client: confluent_kafka.Consumer,
    group: str,
    partitions: Sequence[TopicPartition],
    timeout_s: float,
) -> list[TopicPartition]:
    """As `committed`, from within the client's callback, and again while an error is passing.

    Nobody can ask again there: a coordinator that moves during an assignment would end the reader.

    Raises:
        Busy: no answer within `timeout_s`. Stopped: the process is stopping.
        TopicMissing, BrokerFailed: the broker refuses.
    """
    give_up_at_s = time.monotonic() + timeout_s
    wanted, waiting = list(partitions), Waiting()
    while True:
        left_s = max(give_up_at_s - time.monotonic(), RETRY_AFTER_S)
        try:
            return checked(group, lambda: client.committed(wanted, timeout=left_s))  # noqa: B023 - called at once
        except Busy:
            if time.monotonic() + RETRY_AFTER_S >= give_up_at_s:
                raise
        waiting.check()
        time.sleep(RETRY_AFTER_S)


def checked(group: str, answer: Answer) -> list[TopicPartition]:
    """Committed offsets of an answer that has one for every partition.

    One with an error has no offset: taken as "never committed" it would be read from its beginning.
    """
    try:
        stored = answer()
    except KafkaException as failed:
        raise failure(group, failed.args[0]) from failed
    for part in stored:
        if part.error:
            raise failure(f"{group}: {part.topic} [{part.partition}]", part.error)
    return stored


def failure(group: str, error: KafkaError) -> OrdertideError:
    """The error to raise for one of the broker's."""
    if error.name() in PASSING:
        return Busy(f"group {group}: no committed offsets: {worded(error)}")
    return refusal(f"group {group}", error)
