"""Output messages: a shard's outcomes, which the compiled core encoded, for the topics."""

from hashlib import sha256
from typing import NamedTuple

from dataflows.core.output import Output
from dataflows.exchange import Dead, dead_fact
from schemas import topics

# Sealed, an original grows by a third.
MAX_ORIGINAL_BYTES = 700_000
MAX_KEY_BYTES = 10_000

Headers = list[tuple[str, bytes | None]]


class Outgoing(NamedTuple):
    """One message; no value is a tombstone.

    A heartbeat names its shard: the sink makes sure that each partition gets one from some shard.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    heartbeat_of: int | None = None


def messages(out: Output, watermark: int) -> list[Outgoing]:
    """Everything of one advance: facts before what follows from them."""
    clock = (topics.HEADER_CLOCK, b"%d" % watermark)
    written = out.written
    found = [
        Outgoing(topic, key.encode(), value, [clock])
        for topic, values in (
            (topics.ORDERS_EVENTS, written.accepted),
            (topics.ORDERS_AUDIT, written.audit),
            (topics.ORDERS_ACTIONS, written.actions),
        )
        for key, value in values
    ]
    for change in out.changes:
        version = (topics.HEADER_VERSION, b"%d" % change.version)
        found.append(
            Outgoing(topics.ORDERS_CHANGES, change.key.encode(), change.data, [clock, version])
        )
    found += map(dead_letter, (dead_fact(each.fact, each.reason) for each in out.rejected))
    return found


def dead_letter(dead: Dead) -> Outgoing:
    """A rejected message with its reason and origin; of a large one its size and where it lies."""
    headers: Headers = [
        (topics.HEADER_CODE, dead.code.encode()),
        (topics.HEADER_REASON, dead.reason.encode(errors="replace")),
        (topics.HEADER_TOPIC, dead.topic.encode()),
        (topics.HEADER_PARTITION, b"%d" % dead.partition),
        (topics.HEADER_OFFSET, b"%d" % dead.offset),
    ]
    key = dead.key if len(dead.key or b"") <= MAX_KEY_BYTES else None
    if dead.data is None:
        described = description(dead.sha256, dead.size_bytes)
        return Outgoing(topics.EVENTS_REJECTED, key, b"", [*headers, *described])
    size_bytes = len(dead.data) + sum(len(name) + len(v or b"") for name, v in dead.headers)
    if size_bytes > MAX_ORIGINAL_BYTES:
        described = description(sha256(dead.data).hexdigest(), len(dead.data))
        return Outgoing(topics.EVENTS_REJECTED, key, b"", [*headers, *described])
    return Outgoing(topics.EVENTS_REJECTED, key, dead.data, [*headers, *dead.headers])


def description(digest: str, size_bytes: int) -> Headers:
    """Hash and size in place of an original that isn't sent again."""
    return [(topics.HEADER_SHA256, digest.encode()), (topics.HEADER_SIZE, b"%d" % size_bytes)]
