"""A message as ordertide's readers hand it on, and the client that fetches it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaException, TopicPartition

from broker.clients import Consumer
from broker.connect import Connection
from broker.errors import FENCED, PASSING, MemberFenced, OffsetLost, refusal
from broker.outage import OUTAGE
from schemas.cloudevents import UNREADABLE_HEADERS
from schemas.errors import OrdertideError

Headers = list[tuple[str, bytes | None]]

# consume() in batches of 500 gave 724,000 messages/s, in batches of 10,000 373,000 and poll()
# 272,000 (300-byte messages).
BATCH_MESSAGES = 500
NO_TIMESTAMP = -1

TUNED = {
    # The default of 1,000 leaves a fast reader waiting once its local queue was full.
    "fetch.queue.backoff.ms": 10,
    # Per client; the default of 64 MiB times a reader per partition would be the whole memory.
    "queued.max.messages.kbytes": 16_384,
}
FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Outputs of a run that was replaced are aborted, so that they are never read.
    "isolation.level": "read_committed",
    # A missing offset must be an error, never a silent jump over lost messages.
    "auto.offset.reset": "error",
}


class Message(NamedTuple):
    """One message. `value` None is a tombstone; `timestamp_ms` is -1 where the broker has none.

    `timestamp_ms` is the append time or the create time, whichever the topic is set to keep.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def to_message(raw: Any) -> Message:  # noqa: ANN401 - confluent's stub says every field may be None
    """The tuple of a message that carries no error."""
    kind, timestamp_ms = raw.timestamp()
    fields = (
        raw.topic(),
        raw.partition(),
        raw.offset(),
        timestamp_ms if kind else NO_TIMESTAMP,
        raw.key(),
        raw.value(),
        headers_of(raw),
    )
    return tuple.__new__(Message, fields)  # `Message()` does the same in Python: 0.2 µs


def headers_of(raw: Any) -> Headers:  # noqa: ANN401 - as above
    """Headers of a message, or `UNREADABLE_HEADERS` alone.

    confluent-kafka 2.16 raises where the name of one is not UTF-8, and has lost the others then.
    """
    try:
        return raw.headers() or []
    except (SystemError, UnicodeDecodeError):
        return [(UNREADABLE_HEADERS, None)]


class Fetcher:
    """A consumer client with ordertide's settings. After a permanent error it is finished.

    `on_end(topic, partition, offset)` is called when the end of a partition is reached; the offset
    also counts messages that are never returned (transaction markers, compacted messages).
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        settings: dict[str, Any] | None = None,
        on_end: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self._group = group
        self._on_end = on_end
        self._failure: OrdertideError | None = None
        self.client = Consumer(
            {
                **TUNED,
                **connection.config("consumer"),
                **(settings or {}),
                **FIXED,
                "group.id": group,
                "enable.partition.eof": on_end is not None,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the group and end the connection."""
        self.client.close()

    def fetch(self, max_messages: int, timeout_s: float) -> list[Message]:
        """Return at most 500 messages at hand; if there are none, wait up to `timeout_s`.

        Raises:
            OffsetLost, TopicMissing, MemberFenced, BrokerFailed: and again at every later call.
        """
        if self._failure:
            raise self._failure
        raws = self.client.consume(min(max_messages, BATCH_MESSAGES), 0)
        if not raws and timeout_s > 0:
            # consume() would wait for the whole batch; poll() comes back with the first message.
            first = self.client.poll(timeout_s)
            raws = [] if first is None else [first]
        messages = [to_message(raw) for raw in raws if raw.error() is None]
        if len(messages) < len(raws):
            self._judge([raw for raw in raws if raw.error() is not None])
        if self._failure and not messages:
            raise self._failure
        if messages:
            OUTAGE.worked()
        return messages

    def fail(self, failure: OrdertideError) -> None:
        """End this fetcher: `failure` is raised by the next `fetch` without messages."""
        self._failure = self._failure or failure

    def _judge(self, raws: list[Any]) -> None:
        for raw in raws:
            error = raw.error()
            if error.name() == "_PARTITION_EOF":
                OUTAGE.worked()
                if self._on_end:
                    self._on_end(raw.topic(), raw.partition(), raw.offset())
            elif error.name() in PASSING:
                OUTAGE.failed(f"{raw.topic() or 'consumer'}: {error.str()}")
            elif error.name() in FENCED:
                self.fail(fenced(self._group))
            elif error.name() in {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "_LOG_TRUNCATION"}:
                self.fail(self._lost(raw.topic(), raw.partition(), raw.offset()))
            else:
                self.fail(refusal(f"topic {raw.topic()}" if raw.topic() else "consumer", error))

    def _lost(self, topic: str, partition: int, offset: int) -> OffsetLost:
        try:
            held = self.client.get_watermark_offsets(TopicPartition(topic, partition), timeout=2.0)
        except KafkaException:
            holds = "the broker no longer holds it"
        else:
            holds = lost_because(offset, *held)
        return OffsetLost(
            f"{topic} [{partition}]: can't read on at offset {offset}: {holds}; "
            "restore the messages or start from a known good position, nothing was skipped"
        )


def fenced(group: str) -> MemberFenced:
    """The error of a static member whose name another one has."""
    return MemberFenced(f"group {group}: another process has joined as its only member")


def lost_because(offset: int, low: int, high: int) -> str:
    """Why `offset` was refused by a partition that now holds `low` (first) to `high` (next)."""
    if offset < low:
        return f"start offset overtook reader, {low} to {high} are held (retention was too short)"
    # A topic that was made anew may have grown past the offset since it was refused.
    ends = f"ends at {high}" if offset > high else "ended before it a moment ago"
    return f"the partition {ends}, so it is not the one that was read before"
