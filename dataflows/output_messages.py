"""Output messages: a shard's outcomes, encoded for the topics."""

from hashlib import sha256
from typing import NamedTuple

import msgspec

from dataflows.core.output import Output
from dataflows.exchange import Dead, dead_fact
from schemas import topics

encode = msgspec.json.Encoder(order="deterministic").encode
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


def messages(out: Output, dead: list[Dead], watermark: int) -> list[Outgoing]:
    """Everything of one advance: facts before what follows from them."""
    clock = (topics.HEADER_CLOCK, b"%d" % watermark)
    found = [
        Outgoing(topics.ORDERS_EVENTS, key.encode(), encode(event), [clock])
        for key, event in out.accepted
    ]
    found += [
        Outgoing(topics.ORDERS_AUDIT, key.encode(), encode(entry), [clock])
        for key, entry in out.audit
    ]
    found += [
        Outgoing(topics.ORDERS_ACTIONS, key.encode(), encode(action), [clock])
        for key, action in out.actions
    ]
    for change in out.changes:
        version = (topics.HEADER_VERSION, b"%d" % change.version)
        value = encode(change.document) if change.document else None
        found.append(Outgoing(topics.ORDERS_CHANGES, change.key.encode(), value, [clock, version]))
    found += map(
        dead_letter, [*dead, *(dead_fact(refusal.fact, refusal.reason) for refusal in out.rejected)]
    )
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
