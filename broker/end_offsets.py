"""End offsets of partitions, requested without waiting for the answer."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from broker.clients import Admin
from broker.connect import Connection
from broker.interrupts import result_of
from broker.outage import OUTAGE
from schemas.errors import Busy, OrdertideError

NONE = -1  # the broker has no offset of that kind
# After a leader's change this client queries the new one under the old one's epoch and is refused,
# until its metadata has aged: 15 minutes by default.
FRESH = {"metadata.max.age.ms": 2_000}


class Unsettled(OrdertideError):
    """The newest message isn't on all replicas in sync yet, so the end proves nothing."""

    def __init__(self, where: TopicPartition, end_offset: int) -> None:
        super().__init__(f"{where.topic} [{where.partition}]: messages after {end_offset} to come")
        self.end_offset = end_offset


class EndOffsets:
    """One client that queries the ends of any number of partitions.

    The end is the high watermark. Messages of open transactions count, so that a position which has
    reached it can't have been overtaken by a transaction that ends later. Messages that are
    appended, but not yet on all replicas in sync, don't count, and those have their append times
    already: for some ms, and for 6 to 10 s after a follower was killed (three brokers, measured).
    Hence `ask` requests the message with the latest time first, which the broker doesn't return
    while it lies behind the high watermark.
    """

    def __init__(self, connection: Connection) -> None:
        self._admin = Admin({**connection.config("admin"), **FRESH})
        self._is_embedded = connection.embedded  # one replica, and no question for the latest time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; requests without an answer fail."""
        self._admin.close()

    def ask(self, topic: str, partition: int, timeout_s: float = 2.0) -> Future[int]:
        """Request the end offset: everything appended before this call lies before it.

        The future fails with `Unsettled` if there is more to come, and with a KafkaException if
        the broker is unavailable. (The first message of an empty partition isn't waited for: the
        broker's answer is the same as for one that stays empty.)
        """
        where = TopicPartition(topic, partition)
        end: Future[int] = Future()
        if self._is_embedded:
            self._then(where, OffsetSpec.latest(), timeout_s, end, end.set_result)
        else:
            question = Question(self._then, where, timeout_s, end)
            self._then(where, OffsetSpec.max_timestamp(), timeout_s, end, question.newest)
        return end

    def get(self, topic: str, partition: int, timeout_s: float = 2.0) -> int:
        """The end offset, settled or not, waited for.

        Raises:
            Busy: no answer within `timeout_s`.
        """
        end: Future[int] = Future()
        where = TopicPartition(topic, partition)
        self._then(where, OffsetSpec.latest(), timeout_s, end, end.set_result)
        try:
            # The request has its own time-out; the second more is for the answer's way here.
            return result_of(end, timeout_s + 1.0)
        except (KafkaException, TimeoutError) as error:
            raise Busy(f"{topic} [{partition}]: no end offset within {timeout_s} s") from error

    def _then(
        self,
        where: TopicPartition,
        what: OffsetSpec,
        timeout_s: float,
        end: Future[int],
        use: Callable[[int], None],
    ) -> None:
        """Send the request, and pass the offset to `use`; an error goes to `end`."""
        question = {where: what}
        try:
            asked = self._admin.request(
                lambda client: client.list_offsets(question, request_timeout=timeout_s)
            )
        except RuntimeError:  # closed between two steps of a question
            end.set_exception(KafkaException(KafkaError(KafkaError._DESTROY)))  # noqa: SLF001 - its public name
            return
        asked[where].add_done_callback(lambda answer: hand_over(answer, end, use))


class Question:
    """One question for a settled end, step by step."""

    def __init__(
        self,
        then: Callable[
            [TopicPartition, OffsetSpec, float, Future[int], Callable[[int], None]], None
        ],
        where: TopicPartition,
        timeout_s: float,
        end: Future[int],
    ) -> None:
        self._then = then
        self._where = where
        self._timeout_s = timeout_s
        self._end = end

    def newest(self, offset: int) -> None:
        """The message with the latest time lies at `offset`, or it can't be determined yet."""
        # The end is requested only now: all that was appended a moment ago lies before it.
        self._next(OffsetSpec.latest(), self._end.set_result if offset != NONE else self.untold)

    def untold(self, end_offset: int) -> None:
        """Either there is no message at all, or the newest is behind the high watermark."""
        self._next(OffsetSpec.earliest(), lambda first: self.compare(first, end_offset))

    def compare(self, first_offset: int, end_offset: int) -> None:
        """An empty partition ends where it begins."""
        if first_offset == end_offset:
            self._end.set_result(end_offset)
        else:
            self._end.set_exception(Unsettled(self._where, end_offset))

    def _next(self, what: OffsetSpec, use: Callable[[int], None]) -> None:
        self._then(self._where, what, self._timeout_s, self._end, use)


def hand_over(
    answer: "Future[ListOffsetsResultInfo]", end: Future[int], use: Callable[[int], None]
) -> None:
    """Pass what the broker answered on as a bare offset."""
    error = answer.exception()
    if error is not None:
        end.set_exception(error)
    elif answer.result().offset == OFFSET_INVALID:
        # librdkafka returns this, and no error, while a partition has no leader to query.
        end.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001 - its public name
    else:
        OUTAGE.worked()
        use(answer.result().offset)
