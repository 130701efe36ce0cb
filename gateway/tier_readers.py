"""Tier readers: the tiers of look-ups, asked from threads beside the event loop.

A tier's client blocks and isn't made for several threads at once. So each thread has a set of tiers
of its own, which stays open; a tier whose folder is missing is tried again at the next call.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from schemas.errors import Busy
from storage_tiering.tier import Search, Tier

THREADS = 4
Result = TypeVar("Result")
OpenTiers = Callable[[Sequence[str]], Mapping[str, Tier]]


class TierReaders:
    """Runs look-ups until `close`.

    `names` are the tiers that look-ups ask, hottest first; `open_tiers` opens those of some names
    that can be opened now.
    """

    def __init__(
        self, names: Sequence[str], open_tiers: OpenTiers, *, threads: int = THREADS
    ) -> None:
        """Create readers whose tiers are opened at their first use."""
        self.names = list(names)
        self._open = open_tiers
        self._free = SimpleQueue[dict[str, Tier]]()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tiers")

    async def run(self, work: Callable[[list[Tier]], Result]) -> Result:
        """The result of `work` over the tiers, hottest first.

        Raises:
            Busy: none can be opened yet; and what `work` raises.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, work)

    async def search(self, work: Callable[[Search], Result]) -> Result:
        """The result of `work` over the hottest tier that can search.

        Raises:
            Busy: none can be opened yet; and what `work` raises.
        """

        def over(tiers: list[Tier]) -> Result:
            found = [tier for tier in tiers if isinstance(tier, Search)]
            if not found:
                raise Busy(f"search: none of the tiers {', '.join(self.names)} can search yet")
            return work(found[0])

        return await self.run(over)

    def close(self) -> None:
        """End the threads and close their tiers."""
        self._threads.shutdown(cancel_futures=True)
        while (tiers := self._taken()) is not None:
            for tier in tiers.values():
                tier.close()

    def _taken(self) -> dict[str, Tier] | None:
        try:
            return self._free.get_nowait()
        except Empty:
            return None

    def _run(self, work: Callable[[list[Tier]], Result]) -> Result:
        tiers = self._taken() or {}
        try:
            missing = [name for name in self.names if name not in tiers]
            if missing:
                tiers |= self._open(missing)
            if not tiers:
                raise Busy(
                    f"tiers: nothing was written to {', '.join(self.names)} yet; start "
                    "'ordertide write' for them"
                )
            return work([tiers[name] for name in self.names if name in tiers])
        finally:
            self._free.put(tiers)
