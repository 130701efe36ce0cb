"""Dead letters in the warm tier: the rejected message's reason and origin, for counting.

The original isn't in it. It may be anything and hold unsealed personal data; it stays in
events.rejected, where `ordertide rejected` shows it.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from schemas import topics
from storage_tiering.records import Message
from storage_tiering.tier import TopicPosition

IDENTIFIERS = ("tenant", "source", "event_id", "order_id", "waybill")
MAX_NAME = 200  # characters; a longer one is a mistake
UNKNOWN = "unknown"  # a missing code


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of events.rejected.

    `position` is its own position, `at` when it was written there (ms); topic, partition and
    offset are those of the original, None where the headers lack them. `identifiers` holds the
    identifiers in the original, as far as it can be read: {one of `IDENTIFIERS`: its text}.
    """

    position: TopicPosition
    at: int
    code: str
    reason: str
    topic: str | None
    partition: int | None
    offset: int | None
    size_bytes: int
    identifiers: dict[str, str]


@runtime_checkable
class DeadLetterTier(Protocol):
    """A tier that keeps dead letters as well, for them to be counted."""

    def write_dead_letters(self, batch: Sequence[DeadLetter]) -> None:
        """Take them; again is once. One that can't be taken is logged and left out.

        Raises:
            Busy: not now; do the same again.
        """
        ...


def dead_letter_of(message: Message) -> DeadLetter:
    """The letter in a message of events.rejected."""
    headers = {name: value.decode("utf-8", "replace") for name, value in message.headers if value}
    return DeadLetter(
        position=TopicPosition(message.topic, message.partition, message.offset),
        at=max(message.timestamp_ms, 0),
        code=headers.get(topics.HEADER_CODE, UNKNOWN),
        reason=headers.get(topics.HEADER_REASON, ""),
        topic=headers.get(topics.HEADER_TOPIC),
        partition=number(headers, topics.HEADER_PARTITION),
        offset=number(headers, topics.HEADER_OFFSET),
        size_bytes=number(headers, topics.HEADER_SIZE) or len(message.value or b""),
        identifiers=identifiers_in(message.value or b""),
    )


def number(headers: dict[str, str], name: str) -> int | None:
    """A header that is a number."""
    text = headers.get(name, "")
    return int(text) if text.isdecimal() else None


def identifiers_in(original: bytes) -> dict[str, str]:
    """Identifiers in an original; none in one that can't be read."""
    try:
        found: Any = msgspec.json.decode(original)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    texts = {name: found.get(name) for name in IDENTIFIERS}
    return {
        name: text
        for name, text in texts.items()
        if isinstance(text, str) and 0 < len(text) <= MAX_NAME
    }
