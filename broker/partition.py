"""Reading one partition from a position that the caller keeps."""

import time
from typing import Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker.clients import weakly
from broker.connect import LOGGER, Connection
from broker.end_offsets import EndOffsets
from broker.errors import PASSING, missing_topic, worded
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from broker.interrupts import answer_of
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.errors import Busy

RETRY_S = 0.1


class PartitionReader:
    """Reads a partition from `start_offset` on; None is the first message that is still there.

    No group is joined. With `group` the positions can be reported to it, for the usual lag tools
    and for the throttle of an embedded broker.

    Raises:
        TopicMissing: there is no such topic or partition.
        Busy: the broker is unavailable.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        partition: int,
        start_offset: int | None,
        *,
        group: str | None = None,
        ends: EndOffsets | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._reports = group is not None
        self._is_report_refused = False
        self.is_report_lost = False
        # Markers of transactions and compacted messages are passed silently; the end shows.
        self._fetcher = Fetcher(
            connection,
            group or connection.client_id,
            {"on_commit": weakly(self._was_reported)},
            on_end=weakly(self._reached_the_end),
        )
        try:
            self._position = self._begin(start_offset)
        except BaseException:
            self._fetcher.close()
            raise
        self._ends = ends or EndOffsets(connection)
        self._has_own_ends = ends is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> int:
        """The offset after the last message handed out (or passed over at the end)."""
        return self._position

    def read(self, max_messages: int = BATCH_MESSAGES, timeout_s: float = 0.0) -> list[Message]:
        """The next messages in order; after `timeout_s` without any, none.

        Raises:
            OffsetLost: the position isn't in the partition. TopicMissing. BrokerFailed.
        """
        messages = self._fetcher.fetch(max_messages, timeout_s)
        while messages and len(messages) < max_messages:
            more = self._fetcher.fetch(max_messages - len(messages), 0)
            messages += more
            if len(more) < BATCH_MESSAGES:
                break
        if messages:
            self._position = max(self._position, messages[-1].offset + 1)
        return messages

    def end_offset(self, timeout_s: float = 2.0) -> int:
        """Query the offset that the next appended message gets.

        Raises:
            Busy: no answer within `timeout_s`.
        """
        return self._ends.get(self.topic, self.partition, timeout_s)

    def report(self, offset: int) -> None:
        """Commit `offset` for the group: everything before it is processed. Doesn't wait.

        A commit that the broker didn't take for now sets `is_report_lost`: report again.
        """
        if not self._reports:
            raise ValueError(f"{self.topic} [{self.partition}]: reader was built without a group")
        self.is_report_lost = False
        done = TopicPartition(self.topic, self.partition, offset)
        self._fetcher.client.commit(offsets=[done], asynchronous=True)

    def close(self) -> None:
        """Leave the broker; the position stays readable."""
        self._fetcher.close()
        if self._has_own_ends:
            self._ends.close()

    def _begin(self, start_offset: int | None) -> int:
        # Assigned blindly, a topic that isn't there shows only after half a minute.
        if self.partition >= count_partitions(self._fetcher.client, self.topic):
            raise missing_topic(f"{self.topic} [{self.partition}]")
        start = self._first_offset() if start_offset is None else start_offset
        self._fetcher.client.assign([TopicPartition(self.topic, self.partition, start)])
        return start

    def _first_offset(self) -> int:
        whole = TopicPartition(self.topic, self.partition)
        give_up_at_s = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            try:
                return answer_of(
                    lambda: self._fetcher.client.get_watermark_offsets(whole, ANSWER_TIMEOUT_S)
                )[0]
            except KafkaException as error:
                # A topic that has just been made has a leader only after a moment.
                is_new = error.args[0].name() in PASSING and time.monotonic() < give_up_at_s
                if not is_new:
                    raise Busy(
                        f"{self.topic} [{self.partition}]: no first offset: {worded(error)}"
                    ) from error
            time.sleep(RETRY_S)

    def _was_reported(self, error: KafkaError | None, _parts: list[TopicPartition]) -> None:
        # Lag tools show too much then, and nothing else depends on it.
        if error is not None and error.name() in PASSING:
            self.is_report_lost = True
            return
        if error is None or self._is_report_refused:
            return
        self._is_report_refused = True
        LOGGER.warning(
            "%s [%d]: the broker doesn't take the position for the group, so that its lag shows too"
            " large: %s (%s); allow READ on the group",
            *(self.topic, self.partition, error.str(), error.name()),
        )

    def _reached_the_end(self, _topic: str, _partition: int, offset: int) -> None:
        self._position = max(self._position, offset)
