"""Pool of tiers for threads that look orders up.

A tier's client blocks and isn't made for several threads at once. So each thread takes a set of
tiers out of the pool, or opens one; a tier whose folder is missing is tried again at the next call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from storage_tiering.tier import Tier

OpenTiers = Callable[[Sequence[str]], Mapping[str, Tier]]


class TierPool:
    """Sets of open tiers, which stay open until `close`.

    `names` are the tiers that look-ups ask, hottest first; `open_tiers` opens those of some names
    that can be opened now.
    """

    def __init__(self, names: Sequence[str], open_tiers: OpenTiers) -> None:
        """Create a pool whose tiers are opened at their first use."""
        self.names = list(names)
        self._open = open_tiers
        self._free = SimpleQueue[dict[str, Tier]]()

    @contextmanager
    def taken(self) -> Iterator[list[Tier]]:
        """The tiers that can be opened, hottest first; no other thread has them in the block."""
        tiers = self._free_set() or {}
        try:
            if missing := [name for name in self.names if name not in tiers]:
                tiers |= self._open(missing)
            yield [tiers[name] for name in self.names if name in tiers]
        finally:
            self._free.put(tiers)

    def close(self) -> None:
        """Close the tiers that are not in use."""
        while (tiers := self._free_set()) is not None:
            for tier in tiers.values():
                tier.close()

    def _free_set(self) -> dict[str, Tier] | None:
        try:
            return self._free.get_nowait()
        except Empty:
            return None
