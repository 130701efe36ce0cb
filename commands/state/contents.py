"""Contents of a shard's blobs: orders, or the numbers that lead to them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from dataflows.core.resolve import Resolver, ResolverSnapshot
from dataflows.core.snapshots import Snapshot, decode_snapshot
from dataflows.state.local.chain import BlobInfo
from dataflows.state.local.reader import StateReader
from dataflows.steps import decode_resolver
from dataflows.track import NUMBER_SHARDS
from schemas.decode_faults import packed_fault
from schemas.errors import StateError

Part = TypeVar("Part", Snapshot, ResolverSnapshot)


class Orders(NamedTuple):
    """The live orders of a shard, packed, and its last snapshot."""

    orders: dict[str, bytes]
    last: Snapshot


class Numbers(NamedTuple):
    """Counts of numbers that lead to orders, and of events that wait for one; what is damaged."""

    held: int
    waiting: int
    watermark: int
    faults: list[str]


def holds_numbers(shard: str) -> bool:
    """Return True if a shard is one of the resolver's."""
    return shard in NUMBER_SHARDS


def from_last_base(links: Sequence[BlobInfo]) -> Sequence[BlobInfo]:
    """The links that a resume at the last one reads; none without a base."""
    bases = [index for index, link in enumerate(links) if link.base]
    return links[bases[-1] :] if bases else []


def read_orders(reader: StateReader, shard: str, links: Sequence[BlobInfo]) -> Orders:
    """Orders of a shard resumed at the last of `links`, at least one.

    Raises:
        StateError: a blob is damaged.
    """
    orders: dict[str, bytes] = {}
    for last in parts(reader, shard, links, decode_snapshot):
        for key, data in last.orders:
            if data is None:
                orders.pop(key, None)
            else:
                orders[key] = data
    return Orders(orders, last)


def read_numbers(reader: StateReader, shard: str, links: Sequence[BlobInfo]) -> Numbers:
    """Numbers of a resolver shard resumed at the last of `links`, at least one.

    Raises:
        StateError: a blob is damaged.
    """
    resolver = Resolver()
    resolver.restore(parts(reader, shard, links, decode_resolver))
    faults = [f"number {name}: {error}" for name, error in resolver.numbers.take_unreadable()]
    return Numbers(len(resolver.numbers), resolver.waiting_count, resolver.watermark, faults)


def parts(
    reader: StateReader, shard: str, links: Sequence[BlobInfo], decode: Callable[[bytes], Part]
) -> Iterator[Part]:
    """The blobs of a chain, decoded one by one.

    Raises:
        StateError: a blob is damaged, or holds something else.
    """
    for link in from_last_base(links):
        blob = reader.blob(shard, link)
        try:
            yield decode(blob)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateError(
                f"shard {shard}, blob {link.sequence}: its checksum is right, and its content is "
                f"unreadable ({packed_fault(error)}); "
                "use the version that wrote it"
            ) from error
