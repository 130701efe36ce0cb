"""Identity of a topic: its id, which changes when it is deleted and recreated, and its partitions.

Queried in the background, because a request to a broker that is unavailable takes seconds.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

import msgspec
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import TopicDescription

from broker.clients import Admin
from broker.connect import Connection
from broker.errors import MISSING, PASSING, OffsetLost, TopicMissing, missing_topic, refusal, worded
from broker.interrupts import result_of
from broker.outage import OUTAGE
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.errors import Busy, OrdertideError

ASK_EVERY_S = 2.0
# Brokers learn of topics one after the other: one answer that there is none proves nothing.
MISSING_ANSWERS = 3
RETRY_S = 1.0


class TopicLayout(msgspec.Struct, frozen=True):
    """`topic_id` is empty where the broker has no ids (an embedded one)."""

    topic_id: str
    partitions: int


class LayoutWatch:
    """Layout of one topic, not older than some seconds while the broker answers.

    Raises:
        TopicMissing, Busy, BrokerFailed: there is no first answer.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        every_s: float = ASK_EVERY_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._has_ids = not connection.embedded
        self._every_s = every_s
        self._now_s = now_s
        self._admin = Admin(connection.config("admin"))
        self._lock = threading.Lock()
        self._missing = 0
        self._failure: OrdertideError | None = None
        self._answer: Future[TopicDescription] | None = None
        try:
            self._layout = self._first()
        except BaseException:
            self.close()
            raise
        self._asked_at_s = now_s()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._admin.close()

    def now(self) -> TopicLayout:
        """The last known layout; sends the next request when it is due, without waiting for it.

        Safe to call from any thread. An embedded broker is queried at once.

        Raises:
            TopicMissing: the topic was deleted. BrokerFailed: the access was revoked.
            Busy: an embedded broker is unavailable.
        """
        if not self._has_ids:
            return self._first()
        with self._lock:
            self._step()
            if self._failure:
                raise self._failure
            return self._layout

    def _step(self) -> None:
        if self._answer is not None and self._answer.done():
            self._hear(self._answer)
            self._answer = None
        if self._answer is None and self._now_s() - self._asked_at_s >= self._every_s:
            self._asked_at_s = self._now_s()
            self._answer = self._ask()

    def _ask(self) -> "Future[TopicDescription]":
        asked = self._admin.client.describe_topics(
            TopicCollection([self._topic]), request_timeout=ANSWER_TIMEOUT_S
        )
        return asked[self._topic]

    def _hear(self, answer: "Future[TopicDescription]") -> None:
        failed = answer.exception()
        if failed is None:
            self._missing = 0
            self._layout = to_layout(answer.result())
        elif isinstance(failed, KafkaException):
            self._judge(failed)
        else:
            raise failed

    def _judge(self, failed: KafkaException) -> None:
        error = failed.args[0]
        if error.name() in MISSING:
            self._missing += 1
            if self._missing >= MISSING_ANSWERS:
                self._failure = missing_topic(self._topic)
        elif error.name() in PASSING:
            OUTAGE.failed(f"topic {self._topic}: no layout: {error.str()}")
        else:
            self._failure = refusal(f"topic {self._topic}", error)

    def _first(self) -> TopicLayout:
        for _ in range(MISSING_ANSWERS - 1):
            try:
                return self._ask_and_wait()
            except TopicMissing:
                time.sleep(RETRY_S)
        return self._ask_and_wait()

    def _ask_and_wait(self) -> TopicLayout:
        # Checked by metadata first: its errors come at once, the administration's after 60 s.
        partitions = count_partitions(self._admin.client, self._topic)
        if not self._has_ids:
            return TopicLayout("", partitions)
        try:
            return to_layout(result_of(self._ask(), ANSWER_TIMEOUT_S + 1.0))
        except KafkaException as failed:
            if failed.args[0].name() in MISSING:
                raise missing_topic(self._topic) from failed
            raise Busy(
                f"topic {self._topic}: the broker gives no topic id: {worded(failed)}"
            ) from failed
        except TimeoutError as error:
            raise Busy(f"topic {self._topic}: the broker gives no topic id") from error


def to_layout(topic: TopicDescription) -> TopicLayout:
    """Extract the layout from a description."""
    return TopicLayout(str(topic.topic_id), len(topic.partitions))


def no_topic_id() -> str:
    """For brokers without ids."""
    return ""


BEGIN_ANEW = "restore the former topic, or start with an empty state folder"


def check_topic_id(topic: str, known: str, found: str, way_out: str = BEGIN_ANEW) -> None:
    """Check that a topic is the one with the id `known`; without an id it can't differ.

    Raises:
        OffsetLost: it was deleted and recreated, so positions in the old one mean nothing.
    """
    if known and found and known != found:
        raise OffsetLost(
            f"topic {topic}: was deleted and recreated (its id is {found}, it was {known}): "
            f"positions in the former topic mean nothing in this one; {way_out}"
        )
