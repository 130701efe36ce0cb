"""Chain of a shard's stored blobs, without their bytes: the resume points, and the obsolete blobs.

A base and the deltas after it are a chain. A commit appends to it; a resume may name any blob of
the last three commits and needs the chain from the base before it. Older blobs are removed.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from dataflows.state.local.base_scheduler import BaseTurns
from dataflows.state.local.frame import REMEDY
from dataflows.state.store import Pointer
from schemas.errors import StateError

KEPT_COMMITS = 3
SMALL_BYTES = 65_536  # up to here a new base isn't worth writing
ROW_BYTES = 128  # what a delta costs beside its bytes, in the file and on resume
MAX_DELTAS = 4_000  # resuming reads them one by one: 64 shards with this many take about a second


class BlobInfo(NamedTuple):
    """One blob; `committed` is the number of the commit that it came with."""

    sequence: int
    run: str
    committed: int
    base: bool
    size_bytes: int


class Retention(NamedTuple):
    """A chain after a commit: the first sequence of each commit that is kept, and its bases."""

    commits: list[int]
    bases: list[int]

    @property
    def floor(self) -> int:
        """The oldest sequence that a resume may name; 0 without any."""
        return self.commits[0] if self.commits else 0

    @property
    def first(self) -> int:
        """The oldest sequence that a resume needs; 0 without any."""
        return self.bases[0] if self.bases else 0


class Chain:
    """The chain of one shard, with what is staged on top of it. Not thread-safe."""

    def __init__(self, links: Sequence[BlobInfo] = (), floor: int = 0) -> None:
        """Create the chain of committed `links`, in order; those before `floor` are only read."""
        self.has_base = False
        self.base_bytes = 0
        self.delta_bytes = 0
        self.deltas = 0
        first_of = {link.committed: link.sequence for link in reversed(links)}
        commits = sorted(sequence for sequence in first_of.values() if sequence >= floor)
        self.kept = Retention(commits, [link.sequence for link in links if link.base])
        for link in links:
            self.grow(link.size_bytes, base=link.base)

    def grow(self, size_bytes: int, *, base: bool) -> None:
        """Count a blob that is stored or staged."""
        if base:
            self.has_base = True
            self.base_bytes = size_bytes
            self.delta_bytes = self.deltas = 0
        else:
            self.delta_bytes += size_bytes + ROW_BYTES
            self.deltas += 1

    def check_base(self, shard: str, *, base: bool) -> None:
        """Check that a blob can be staged.

        Raises:
            StateError: it is a delta, and there is no base for it.
        """
        if not base and not self.has_base:
            raise StateError(f"shard {shard}: a delta without a base; stage a base first")

    @property
    def next_base_bytes(self) -> int:
        """About how large a base would be now: at most twice this, and mostly this."""
        return max(self.base_bytes, self.delta_bytes)

    def may_write_base(self, shard: str, turns: BaseTurns) -> bool:
        """Return True if the next blob should be a base: needed, or requested and scheduled now."""
        if not self.has_base:
            return True
        return self.wants_base(shard) and turns.ask(shard, self.next_base_bytes)

    def wants_base(self, shard: str) -> bool:
        """Return True if the deltas have outgrown the base, each shard at another point."""
        share = stagger(shard)
        outgrown = self.delta_bytes > max(self.base_bytes, SMALL_BYTES) * share
        return outgrown or self.deltas >= MAX_DELTAS * share

    def after(self, staged: Sequence[tuple[int, bool]]) -> Retention:
        """The chain once `staged`, (sequence, is base) of at least one blob, is committed."""
        commits = [*self.kept.commits, staged[0][0]][-KEPT_COMMITS:]
        bases = [*self.kept.bases, *(sequence for sequence, base in staged if base)]
        while len(bases) > 1 and bases[1] <= commits[0]:
            del bases[0]
        return Retention(commits, bases)


def stagger(shard: str) -> float:
    """0.5 to 1.5: shards that began together must not all write their base in the same epoch."""
    return 0.5 + crc32(shard.encode()) % 1024 / 1024


def links_to(pointer: Pointer, links: Sequence[BlobInfo], floor: int, shard: str) -> list[BlobInfo]:
    """The links of a shard up to the one that `pointer` names.

    Raises:
        StateError: it names a blob that is no longer kept, or never came to be.
    """
    name = f"shard {shard}, sequence {pointer.sequence}"
    if pointer.sequence < floor:
        kept = f"{floor} to {links[-1].sequence} are" if links else "nothing is"
        raise StateError(f"{name}: no longer kept ({kept}); resume from a newer recovery folder")
    for index, link in enumerate(links):
        if (link.sequence, link.run) == (pointer.sequence, pointer.run):
            return list(links[: index + 1])
    last = f"the last is {links[-1].sequence}" if links else "it holds nothing of this shard"
    reason = f"the store doesn't hold it as written by run {pointer.run} ({last})"
    raise StateError(f"{name}: {reason}; is one of state and recovery folder a copy? {REMEDY}")
