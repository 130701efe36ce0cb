"""Pacing: when a source task is asked for its next batch, on a grid that all workers share.

bytewax compares the instant of `next_awake` with the wall clock as it was before the batch, and
sleeps for the difference. A clock that is set ahead by hours in the middle of a batch (a virtual
machine that goes on after a pause) would be hours of sleep: such a jump asks for a batch at once.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

NS_PER_MS = 1_000_000


def wall_ms() -> int:
    """Wall clock (ms), as bytewax reads it."""
    return time.time_ns() // NS_PER_MS


def monotonic_ms() -> int:
    """Clock (ms) that nobody sets."""
    return time.monotonic_ns() // NS_PER_MS


class Pacing:
    """Instants of the batches of a source task."""

    def __init__(
        self,
        grid_ms: int,
        wall: Callable[[], int] = wall_ms,
        monotonic: Callable[[], int] = monotonic_ms,
    ) -> None:
        """Create it before bytewax first asks; `grid_ms` is the length of an epoch."""
        self._grid_ms = grid_ms
        self._wall, self._monotonic = wall, monotonic
        self._ahead_ms = wall() - monotonic()

    def next_awake(self, *, is_busy: bool) -> datetime:
        """Return now while there is much to read, else the next point of the grid."""
        now, elapsed_ms = self._wall(), self._monotonic()
        awake_at = now if is_busy else (now // self._grid_ms + 1) * self._grid_ms
        if now - elapsed_ms > self._ahead_ms + self._grid_ms:
            awake_at = elapsed_ms + self._ahead_ms  # now, by the clock before the jump
        self._ahead_ms = now - elapsed_ms
        return datetime.fromtimestamp(awake_at / 1000, UTC)
