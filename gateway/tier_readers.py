"""Tier readers: the tiers of look-ups, asked from threads beside the event loop."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from schemas.errors import Busy
from storage_tiering.pool import OpenTiers, TierPool
from storage_tiering.tier import Search, Tier

THREADS = 4
Result = TypeVar("Result")


class TierReaders:
    """Runs look-ups until `close`; `names` and `open_tiers` are those of a `TierPool`."""

    def __init__(
        self, names: Sequence[str], open_tiers: OpenTiers, *, threads: int = THREADS
    ) -> None:
        """Create readers whose tiers are opened at their first use."""
        self._pool = TierPool(names, open_tiers)
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
                raise Busy(f"search: none of the tiers {self._names} can search yet")
            return work(found[0])

        return await self.run(over)

    @contextmanager
    def taken(self) -> Iterator[list[Tier]]:
        """The tiers that can be opened, hottest first, for a thread of one's own."""
        with self._pool.taken() as tiers:
            yield tiers

    def close(self) -> None:
        """End the threads and close their tiers."""
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()

    @property
    def _names(self) -> str:
        return ", ".join(self._pool.names)

    def _run(self, work: Callable[[list[Tier]], Result]) -> Result:
        with self._pool.taken() as tiers:
            if not tiers:
                raise Busy(
                    f"tiers: nothing was written to {self._names} yet; start "
                    "'ordertide write' for them"
                )
            return work(tiers)
