"""Outputs that no broker takes: an output over its topic's limit becomes a dead letter.

The limits at the door and of an order lie well under a broker's default, so this happens where a
topic has a lower `max.message.bytes`, or an order has many parcels with alerts. Sent anyway, such a
message would abort every epoch from then on.
"""

from hashlib import sha256

from broker.message_limits import MessageLimits, record_bytes
from dataflows.output_messages import Block, Headers, Outgoing, description
from schemas import topics
from schemas.display import printable

CODE = "output_too_large"
OUTPUTS = [topic.name for topic in topics.TOPICS if topic.name != topics.EVENTS]
PRODUCER_BYTES = 1_000_000  # librdkafka's message.max.bytes
# Up to here nothing has to be counted exactly: keys and headers have a few hundred bytes.
SMALL_BYTES, LOW_BYTES = 100_000, 150_000
MAX_KEY_BYTES = 1_000
MAX_SHOWN = 100


def excess_of(outgoing: Outgoing, limits: MessageLimits) -> tuple[int, int] | None:
    """(size, limit) of an output that its topic doesn't take; None if it does."""
    if len(outgoing.value or b"") < SMALL_BYTES and are_roomy(limits):
        return None
    limit = min(limits.of(outgoing.topic) or PRODUCER_BYTES, PRODUCER_BYTES)
    size = record_bytes(outgoing.key, outgoing.value, outgoing.headers)
    return (size, limit) if size > limit else None


def are_small(block: Block, limits: MessageLimits) -> bool:
    """Return True if a topic takes all messages of a block, without counting them exactly."""
    values = [value for _, value, _ in block.rows if value]
    return max(map(len, values), default=0) < SMALL_BYTES and are_roomy(limits)


def are_roomy(limits: MessageLimits) -> bool:
    """Return True if no topic has a low limit."""
    return (limits.smallest or PRODUCER_BYTES) > LOW_BYTES


def dead_letter_of(outgoing: Outgoing, size_bytes: int, limit_bytes: int | None) -> Outgoing:
    """The dead letter that names topic, key, size and limit; without the output itself."""
    key = printable((outgoing.key or b"").decode(errors="replace"))[:MAX_SHOWN]
    limit = f"at most {limit_bytes}" if limit_bytes else "less"
    reason = (
        f"{outgoing.topic}: the output for key {key} has {size_bytes} bytes, the topic takes "
        f"{limit}; raise its max.message.bytes"
    )
    headers: Headers = [
        (topics.HEADER_CODE, CODE.encode()),
        (topics.HEADER_REASON, reason.encode()),
        (topics.HEADER_TOPIC, outgoing.topic.encode()),
    ]
    value = outgoing.value or b""
    described = description(sha256(value).hexdigest(), len(value))
    short = outgoing.key if len(outgoing.key or b"") <= MAX_KEY_BYTES else None
    return Outgoing(topics.EVENTS_REJECTED, short, b"", [*headers, *described])


def reason_in(dead_letter: Outgoing) -> str:
    """The reason in the headers of a letter."""
    return (dict(dead_letter.headers)[topics.HEADER_REASON] or b"").decode()
