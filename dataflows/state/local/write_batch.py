"""Write batch: everything staged for the next commit."""

from collections.abc import Sequence
from typing import NamedTuple


class StagedBlob(NamedTuple):
    """A blob as it will be stored."""

    sequence: int
    base: bool
    stored: bytes


class StagedRow(NamedTuple):
    """A row of the retired-order table as it will be stored; None takes the key out."""

    key: str
    sequence: int
    stored: bytes | None


class Staged:
    """The blobs and retired rows of each shard since the last commit."""

    def __init__(self) -> None:
        """Create an empty batch."""
        self.blobs: dict[str, list[StagedBlob]] = {}
        self.rows: dict[str, list[StagedRow]] = {}
        self.latest: dict[str, dict[str, StagedRow]] = {}

    def add(self, shard: str, blob: StagedBlob, rows: Sequence[StagedRow]) -> None:
        """Append a blob and what came with it."""
        self.blobs.setdefault(shard, []).append(blob)
        if rows:
            self.rows.setdefault(shard, []).extend(rows)
            self.latest.setdefault(shard, {}).update({row.key: row for row in rows})

    def row(self, shard: str, key: str) -> StagedRow | None:
        """The latest staged row of a key."""
        return self.latest.get(shard, {}).get(key)

    def drop(self, shard: str) -> None:
        """Forget what a shard has staged."""
        for held in (self.blobs, self.rows, self.latest):
            held.pop(shard, None)

    @property
    def size_bytes(self) -> int:
        """Of all blobs and rows together."""
        blobs = sum(len(blob.stored) for blobs in self.blobs.values() for blob in blobs)
        return blobs + sum(len(r.stored or b"") for rows in self.rows.values() for r in rows)

    def order(self, shard: str) -> list[tuple[int, bool]]:
        """(sequence, is base) of a shard's staged blobs, in order."""
        return [(blob.sequence, blob.base) for blob in self.blobs[shard]]
