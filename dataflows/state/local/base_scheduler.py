"""Scheduler of bases: a few an epoch, in the order of their requests.

A base is the whole shard, so writing it takes as long as thousands of changes do, and the barrier
waits for it. Unscheduled, shards that fill alike need their bases at about the same time.
"""

from typing import NamedTuple

# What the bases of one epoch may have together, as stored; one is let through whatever its size.
BASES_BYTES = 4_000_000
LAPSES_AFTER = 2  # commits: a shard that stays idle in its turn has to request another


class Turn(NamedTuple):
    """A base that may be written; `commit` counts from the store's opening."""

    commit: int
    size_bytes: int


class BaseTurns:
    """The shards that may write a base now, and those that wait. Not thread-safe."""

    def __init__(self) -> None:
        """Create a scheduler without requests."""
        self.commit = 0
        self.given: dict[str, Turn] = {}
        self.waiting: dict[str, int] = {}
        self.written_bytes = 0  # of turns that were used in this epoch

    def ask(self, shard: str, size_bytes: int) -> bool:
        """Return True if the shard may write its base of about `size_bytes` now; else queue it."""
        if shard in self.given:
            return True
        if self.has_room(size_bytes):
            self.given[shard] = Turn(self.commit, size_bytes)
            return True
        self.waiting[shard] = size_bytes  # one that waits already keeps its place
        return False

    def has_room(self, size_bytes: int) -> bool:
        """Return True if a base of this size fits into the epoch beside those scheduled."""
        taken = self.written_bytes + sum(turn.size_bytes for turn in self.given.values())
        return not taken or taken + size_bytes <= BASES_BYTES

    def wrote(self, shard: str, size_bytes: int) -> None:
        """The shard has written a base."""
        self.leave(shard)
        self.written_bytes += size_bytes

    def leave(self, shard: str) -> None:
        """Withdraw the shard's request."""
        self.given.pop(shard, None)
        self.waiting.pop(shard, None)

    def end_epoch(self) -> None:
        """A commit: those who wait longest have their turn."""
        self.commit += 1
        self.written_bytes = 0
        lapsed_before = self.commit - LAPSES_AFTER
        self.given = {s: turn for s, turn in self.given.items() if turn.commit > lapsed_before}
        while self.waiting:
            shard, size_bytes = next(iter(self.waiting.items()))
            if not self.has_room(size_bytes):
                return
            del self.waiting[shard]
            self.given[shard] = Turn(self.commit, size_bytes)
