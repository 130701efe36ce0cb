"""Output messages: a shard's outcomes, which the compiled core encoded, for the topics."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from broker.produce import Row
from dataflows.core.output import Output
from dataflows.exchange import Dead, dead_fact
from schemas import topics

# Sealed, an original grows by a third.
MAX_ORIGINAL_BYTES = 700_000
MAX_KEY_BYTES = 10_000
CLOCK_EVERY = 16

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


class Block(NamedTuple):
    """Messages of one topic, in their sequence."""

    topic: str
    rows: list[Row]

    def singly(self) -> Iterator[Outgoing]:
        """The messages one by one."""
        for key, value, headers in self.rows:
            yield Outgoing(self.topic, key.encode(), value, headers or [])


def messages(out: Output, watermark: int) -> list[Block | Outgoing]:
    """Everything of one advance: facts before what follows from them.

    A header costs 0.5 to 1.4 µs. So a document has its version inside alone, and only every
    `CLOCK_EVERY`th event has the clock: a reader that reads no changes needs one now and then.
    """
    written = out.written
    clock: Headers = [(topics.HEADER_CLOCK, b"%d" % watermark)]
    events: list[Row] = [(key, value, None) for key, value in written.accepted]
    events[::CLOCK_EVERY] = [(key, value, clock) for key, value, _ in events[::CLOCK_EVERY]]
    changes: list[Row] = [
        (key, data, clock if data else tombstone_headers(watermark, version))
        for key, version, data in written.changes
    ]
    blocks = [
        Block(topics.ORDERS_EVENTS, events),
        Block(topics.ORDERS_AUDIT, [(key, value, clock) for key, value in written.audit]),
        Block(topics.ORDERS_ACTIONS, [(key, value, clock) for key, value in written.actions]),
        Block(topics.ORDERS_CHANGES, changes),
    ]
    rejected = [dead_letter(dead_fact(each.fact, each.reason)) for each in out.rejected]
    return [*(block for block in blocks if block.rows), *rejected]


def singly(messages: Iterable[Block | Outgoing]) -> Iterator[Outgoing]:
    """All messages one by one."""
    for each in messages:
        yield from each.singly() if isinstance(each, Block) else (each,)


def tombstone_headers(watermark: int, version: int) -> Headers:
    """Headers of an order that retired."""
    return [(topics.HEADER_CLOCK, b"%d" % watermark), (topics.HEADER_VERSION, b"%d" % version)]


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
