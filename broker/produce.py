"""Producer: sends to the broker, and raises if any message is lost."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException

from broker import clients
from broker.connect import Connection
from broker.errors import MISSING, DeliveryFailed, EpochAborted, Fenced, refusal
from broker.fetcher import Headers
from broker.interrupts import Waiting
from broker.lease import VERIFY_EVERY_S
from broker.outage import OUTAGE
from broker.throttle import Throttle
from broker.topics import count_partitions
from broker.transactions import FENCED, TIMEOUT_MS, Transactions, fenced
from schemas.errors import Busy, OrdertideError, Rejected

# A message placed by its key: (key, value, headers).
Row = tuple[str, bytes | None, Headers | None]

BY_KEY = -1
ROOM_WAIT_S = 0.1
SENDS_PER_POLL = 1_000
COUNTED_FOR_S = 60.0
# Two of the lease's sessions and an election: until then it is confirmed or lost.
BLAME_WITHIN_S = 30.0
PURGED = frozenset({"_PURGE_INFLIGHT", "_PURGE_QUEUE"})
# What the broker's settings forbid.
UNSENDABLE = frozenset(
    {"INVALID_MSG", "INVALID_RECORD", "MSG_SIZE_TOO_LARGE", "POLICY_VIOLATION", "TOPIC_EXCEPTION"}
)

TUNED = {"compression.type": "lz4", "linger.ms": 5}
FIXED = {
    "acks": "all",
    "enable.idempotence": True,
    # Java's partitioner, so that every client puts an order into the same partition.
    "partitioner": "murmur2_random",
    # An outage holds messages back, however long; giving them up is not this layer's to decide.
    "message.timeout.ms": 0,
    # Only failures come back to Python: 2.7 µs a message instead of 4.1 (367 bytes, lz4), as fast
    # as produce_batch, which has no headers.
    "delivery.report.only.error": True,
}


class Record(NamedTuple):
    """A message to be written. Without `timestamp_ms` it is now; without `partition`, by key."""

    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    timestamp_ms: int | None = None
    partition: int | None = None


class Producer:
    """Writes with acks=all, idempotence and lz4. After a failed delivery it is finished.

    Keywords are librdkafka properties with underscores (`linger_ms=50`). With a `throttle` it
    waits for the slowest reader of an embedded broker. `before_flush` may forbid a flush by raising
    (a lost run lease). Leaving a `with` without an error flushes.

    With a `transactional_id`, everything between two flushes is one transaction, which the flush
    commits; `init_transactions` comes first. An embedded broker has no transactions: there it is
    an ordinary producer.
    """

    def __init__(
        self,
        connection: Connection,
        throttle: Throttle | None = None,
        before_flush: Callable[[], None] | None = None,
        transactional_id: str | None = None,
        **overrides: str | int,
    ) -> None:
        settings = {name.replace("_", "."): value for name, value in overrides.items()}
        name = None if connection.embedded else transactional_id
        fixed = {**FIXED, "transactional.id": name} if name else FIXED
        self._throttle = throttle
        self._before_flush = before_flush
        self._failure: DeliveryFailed | Fenced | None = None
        self._sends = 0
        self._counts: dict[str, tuple[int, float]] = {}
        self._client = clients.Producer(
            {
                **TUNED,
                **({"transaction.timeout.ms": TIMEOUT_MS} if name else {}),
                **connection.config("producer"),
                **fixed,
                **settings,
                "on_delivery": clients.weakly(self._delivered),
                "error_cb": clients.weakly(self._client_failed),
            }
        )
        self._transactions = Transactions(self._client, name) if name else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            if failed is None:
                self.flush()
        finally:
            self.close()

    def init_transactions(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Fence the predecessor under this transactional id; nothing without one.

        Waits while the broker is unavailable.

        Raises:
            Busy: `stopping` returned True. BrokerFailed: the broker refuses.
        """
        if self._transactions:
            self._transactions.init(self._before_flush, stopping)

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
        partition: int | None = None,
    ) -> None:
        """Send one message; waits while the local queue is full, as long as that takes.

        Raises:
            Rejected: `too_large`, this message alone; nothing was sent.
            DeliveryFailed: an earlier message was lost.
            Stopped: the process is stopping while the queue stays full.
        """
        if self._throttle:
            self._hold_back(self._throttle, topic, key, value)
        if self._transactions and not self._transactions.is_open:
            self._transactions.begin()
        self._hand_over(topic, key, value, headers, timestamp_ms or 0, partition)
        self._count(1)

    def send_many(self, topic: str, records: Iterable[Record]) -> None:
        """As `send`, for many: about 2.7 µs each."""
        for record in records:
            self.send(topic, *record)

    def send_rows(self, topic: str, rows: Sequence[Row]) -> list[Row]:
        """As `send`, for many, in one loop.

        Returns the ones that are too large for the producer; they alone were not sent.

        Raises:
            DeliveryFailed, Stopped: see `send`.
        """
        if self._transactions and not self._transactions.is_open:
            self._transactions.begin()
        refused: list[Row] = []
        produce, throttle = self._client.produce, self._throttle
        for key, value, headers in rows:
            if throttle:
                self._hold_back(throttle, topic, key.encode(), value)
            try:
                if headers:
                    produce(topic, value, key, headers=headers)  # type: ignore[arg-type]  # as below
                else:
                    produce(topic, value, key)  # by keyword 0.1 µs each
            except (BufferError, KafkaException):
                try:  # again, where it may wait, and where the error gets its meaning
                    self._hand_over(topic, key.encode(), value, headers, 0, None)
                except Rejected:
                    refused.append((key, value, headers))
        self._count(len(rows))
        return refused

    def partition_count(self, topic: str) -> int:
        """Number of partitions of a topic, not older than a minute while the broker answers.

        This producer itself queries it: a message for a partition that only another client has seen
        would fail here.

        Raises:
            Busy: the broker has never answered. TopicMissing: there is no such topic.
        """
        count, asked_at_s = self._counts.get(topic, (0, -COUNTED_FOR_S))
        if time.monotonic() - asked_at_s >= COUNTED_FOR_S:
            try:
                count = count_partitions(self._client, topic)
            except Busy:
                if not count:
                    raise
                OUTAGE.failed(f"topic {topic}: its partitions could not be counted")
            self._counts[topic] = (count, time.monotonic())
        return count

    def flush(self, timeout_s: float = 30.0) -> None:
        """Return when everything handed over is in the broker's log, on all replicas in sync.

        And committed, where it is a transaction.

        Raises:
            Busy: not within `timeout_s`; nothing is lost, flush again.
            DeliveryFailed: the first failure since this producer was made.
            Fenced: a newer producer has the transactional id; nothing was committed.
        """
        if self._before_flush:
            self._before_flush()
        undelivered = self._serve(self._client.flush, timeout_s)
        if undelivered:
            self._serve(self._client.poll, 0)  # pending errors are counted as well
            undelivered = len(self._client)
        self._raise_failure()
        if undelivered:
            raise Busy(f"broker: {undelivered} messages undelivered after {timeout_s} s")
        if self._transactions:
            try:
                self._transactions.commit(timeout_s)
            except (DeliveryFailed, Fenced) as failed:
                self._serve(self._client.poll, 0)
                self._failure = self._failure or failed
                self._raise_failure()
        OUTAGE.worked()

    def close(self) -> None:
        """Give up the connection. Call `flush` first: what is undelivered now is dropped.

        A transaction that is open is aborted, here or, where the broker is away, by the next run.
        """
        self._client.close()

    def _count(self, sends: int) -> None:
        """Serve the client's callbacks after every so many messages."""
        self._sends += sends
        if self._sends >= SENDS_PER_POLL:
            self._sends = 0
            self._serve(self._client.poll, 0)
            self._raise_failure()

    def _hand_over(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        partition: int | None,
    ) -> None:
        waiting: Waiting | None = None
        while True:
            try:
                self._client.produce(
                    topic,
                    value,
                    key,
                    BY_KEY if partition is None else partition,
                    timestamp=timestamp_ms,
                    headers=headers,  # type: ignore[arg-type]  # lists are invariant
                )
            except BufferError:
                self._serve(self._client.poll, ROOM_WAIT_S)
                self._raise_failure()
                waiting = waiting or Waiting()
                waiting.check()
            except KafkaException as error:
                self._serve(self._client.poll, 0)  # the cause of a fatal error comes as a callback
                self._raise_failure()
                if self._transactions and error.args[0].name() == "_STATE":
                    self._transactions.commit(ROOM_WAIT_S)  # raises why it has to be aborted
                raise refused(topic, error.args[0]) from error
            else:
                return

    def _hold_back(
        self, throttle: Throttle, topic: str, key: bytes | None, value: bytes | None
    ) -> None:
        size_bytes = len(key or b"") + len(value or b"")
        waiting = Waiting()
        while not throttle.take(topic, size_bytes):
            waiting.check()
            # Everything has to be in the log before the log's free room can be measured.
            if not self._serve(self._client.flush, ROOM_WAIT_S):
                throttle.refresh(topic)
                if not throttle.has_room(topic, size_bytes):
                    time.sleep(throttle.pause_s)
            self._raise_failure()

    def _delivered(self, error: KafkaError | None, message: Any) -> None:  # noqa: ANN401 - stub lacks it
        if error is None:
            return
        if self._transactions and error.name() in FENCED:
            self._failure = fenced(self._transactions.name)
        elif self._transactions and error.name() in PURGED:
            return  # its transaction fails for another reason, which the commit raises
        elif self._failure is None:
            is_mended = self._transactions and not is_permanent(error)
            # The partition is None where the topic isn't there.
            self._failure = (EpochAborted if is_mended else DeliveryFailed)(
                f"{message.topic()} [{message.partition()}]: message with key {message.key()!r} "
                f"was not delivered: {error.str()} ({error.name()}); "
                f"{way_out(error)}"
            )

    def _client_failed(self, error: KafkaError) -> None:
        if self._transactions and error.name() in FENCED:
            self._failure = fenced(self._transactions.name)
        elif error.fatal() and self._failure is None:
            finished = f"producer is finished: {error.str()} ({error.name()})"
            self._failure = (EpochAborted if self._transactions else DeliveryFailed)(finished)

    def _raise_failure(self) -> None:
        if self._failure:
            self._blame(self._failure)
            raise self._failure

    def _serve(self, call: Callable[[float], int], timeout_s: float) -> int:
        """Let the client call back. It raises a fatal error itself, also out of a callback."""
        try:
            return call(timeout_s)
        except (KafkaException, SystemError) as failed:
            fatal = failed if isinstance(failed, KafkaException) else failed.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            self._client_failed(fatal.args[0])
            self._raise_failure()
            raise

    def _blame(self, failure: DeliveryFailed | Fenced) -> None:
        """Find out by whom this producer was fenced: also the broker does it, after a time-out.

        A process that was paused for so long has lost its lease's session as well, and needs some
        seconds until the lease is confirmed.

        Raises:
            Fenced: by another run. EpochAborted: by no other run.
        """
        if not isinstance(failure, Fenced) or self._before_flush is None:
            return
        give_up_at_s = time.monotonic() + BLAME_WITHIN_S
        waiting = Waiting()
        while time.monotonic() < give_up_at_s:
            time.sleep(VERIFY_EVERY_S)  # an answer from before counts for so long
            waiting.check()
            with suppress(Busy):
                self._before_flush()
                raise EpochAborted(
                    f"{failure.producer}: the broker aborted its transaction, which was open for "
                    "longer than transaction.timeout.ms; starting again emits the epoch again"
                ) from failure


def is_permanent(error: KafkaError) -> bool:
    """Return True if the message fails again when it is sent again."""
    return error.name() in MISSING | UNSENDABLE or "AUTHORIZATION" in error.name()


def way_out(error: KafkaError) -> str:
    """The remedy for a failed delivery."""
    if "AUTHORIZATION" in error.name():
        return "allow broker.user to WRITE to the topic, then start again from the last flush"
    return "make a new producer and send again from the last flush"


def refused(topic: str, error: KafkaError) -> OrdertideError:
    """The error for a message that wasn't even taken into the local queue."""
    if error.name() == "MSG_SIZE_TOO_LARGE":
        return Rejected("too_large", f"{topic}: over the producer's message.max.bytes")
    if error.fatal() or error.name() == "_FATAL":
        return DeliveryFailed(f"{topic}: producer is finished: {error.str()} ({error.name()})")
    return refusal(f"topic {topic}", error)
