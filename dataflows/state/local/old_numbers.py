"""The numbers of a resolver shard as they were before version 3 of the blobs: whole, by their text.

Then a number was never forgotten, so the arrival of its last event wasn't kept. The event's time
and the number's first arrival come closest to it.
"""

import msgspec

from dataflows.core.numbers import Mapping, hash_of, pack
from dataflows.core.resolve import Question, ResolverSnapshot
from dataflows.core.routing import SHARDS
from schemas.instants import DAY_MS


class OldMapping(msgspec.Struct, array_like=True):
    """One order of a number; instants in ms."""

    order_id: str
    carrier: str
    valid_from: int
    last_used: int
    arrival_at: int


class OldSnapshot(msgspec.Struct, array_like=True):
    """The numbers that changed, or all, and everything that waited."""

    through: int
    numbers: list[tuple[str, list[OldMapping]]]
    waiting: list[Question]


decode = msgspec.msgpack.Decoder(OldSnapshot).decode
encode = msgspec.msgpack.Encoder().encode


def holds_numbers(shard: str) -> bool:
    """Whether a shard is one of the resolver's: they are called like the orders', but with n."""
    return f"s{shard[1:]}" in SHARDS and shard[:1] == "n"


def packed(blob: bytes) -> bytes:
    """The blob of version 3 of a resolver's blob of version 2, base or delta alike."""
    old = decode(blob)
    waiting: dict[str, list[Question]] = {}
    for asked in old.waiting:
        waiting.setdefault(asked.number, []).append(asked)
    return encode(
        ResolverSnapshot(
            through=old.through,
            pages=[],
            count=0,
            days={},
            changed=[
                (hash_of(number), pack(list(map(renewed, found)))) for number, found in old.numbers
            ],
            waiting=list(waiting.items()),
            is_all_waiting=True,
        )
    )


def renewed(old: OldMapping) -> Mapping:
    """The same mapping as it is kept now."""
    heard_at = max(old.last_used, old.arrival_at)
    return Mapping(
        old.order_id,
        old.carrier,
        old.valid_from,
        old.arrival_at,
        old.last_used // DAY_MS,
        heard_at // DAY_MS,
    )
