"""Shard store: each shard's changes as one blob an epoch, and a pointer that names them.

bytewax keeps only the pointer; the bytes lie here. A worker process has one store. Its threads
stage blobs as their shards end an epoch; the sink commits them all at its barrier, in one
transaction. On resume a shard opens at the pointer that bytewax gives back: the base blob before it
and the deltas since are the state, and blobs stored later are discarded.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from schemas.errors import Busy, StateError


class Pointer(msgspec.Struct, frozen=True):
    """Names what was staged: in which store, by which of its runs, and under which number.

    `sequence` grows with every blob staged in a store, over all of its shards. `run` is new each
    time a store is opened: a number that a crash took back can be given again, to something else.
    """

    store: str
    run: str
    sequence: int


class StoreFull(Busy):
    """The disk is full. What was staged is still staged: make room, then commit again."""


class ShardSummary(msgspec.Struct, frozen=True):
    """Summary of one shard; a resume can name `oldest` to `latest` (sequences)."""

    shard: str
    oldest: int
    latest: int
    blobs: int
    blob_bytes: int
    retired_rows: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of a store. Committed rows only; `shards` is the count it was created for."""

    store: str
    layout: int
    shards: int
    sequence: int
    size_bytes: int
    held: list[ShardSummary]


class ShardStore(Protocol):
    """Keeps the blobs and the retired rows of many shards. Thread-safe; a shard has one owner.

    Kept are the last three commits of each shard, with everything that a resume at one of their
    pointers needs. Every method raises StateError where what is stored can't be used.
    """

    @property
    def generation(self) -> int:
        """Generation of the state (schemas/versions.py): 0, raised by `track --begin-anew`."""

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        """The blobs of a shard at `pointer`: the base first, then the deltas in order.

        What was stored later goes, blobs and retired rows alike; so does what is staged. None is a
        fresh start: everything of this shard goes. A shard is opened before anything else.

        Raises:
            StateError: the pointer is another store's, or names what isn't here or is damaged.
        """

    def stage(
        self,
        shard: str,
        blob: bytes,
        *,
        base: bool,
        retired: Sequence[tuple[str, bytes | None]] = (),
    ) -> Pointer:
        """Hold a blob for the next commit, and rows of retired orders (None removes one).

        `base`: the blob is the whole shard, else the changes since the last one.

        Raises:
            StateError: the shard isn't open, or a delta comes before any base.
        """

    def wants_base(self, shard: str) -> bool:
        """Return True if the next blob should be a base: there is none, or it has been outgrown."""

    def retired(self, shard: str, key: str) -> bytes | None:
        """The last value put under `key`, staged or committed; None if there is none."""

    def retired_keys(self, shard: str) -> Iterator[str]:
        """The keys of retired orders, sorted. What is staged meanwhile may be among them."""

    def note(self, step: str, key: str, state: bytes, batches: int = 0) -> None:
        """Keep with the next commit what a step gives to bytewax for a key.

        `batches` is how many the step has seen since the run began, where it counts them: the same
        number for all processes at the end of an epoch. Only a store that others resume from, on
        other hosts, does anything with it.
        """

    def commit(self) -> None:
        """Make everything staged durable, all or nothing; when this returns it is on the disk.

        Raises:
            StoreFull: the disk is full; everything stays staged.
            StateError: the file can't be written; everything stays staged.
        """

    def inspect(self) -> Summary:
        """Summary of the content, for people."""

    def close(self) -> None:
        """Close the file; staged and uncommitted blobs are lost."""


def check_store(pointer: Pointer, store: str, shard: str, name: str) -> None:
    """Check that `pointer` points into the store with id `store`, called `name`.

    Raises:
        StateError: it is another store's.
    """
    if pointer.store != store:
        raise StateError(
            f"shard {shard}: its state lies in store {pointer.store}, and {name} is store {store}; "
            "resume with the state and the recovery folder that were written together, and with "
            "the same number of processes"
        )
