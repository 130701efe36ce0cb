"""Tier readers: the tiers of look-ups, asked from threads beside the event loop."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from schemas.errors import Busy
from storage_tiering.find import Answer, find, find_many
from storage_tiering.pool import OpenTiers, TierPool
from storage_tiering.tier import Search, Tier

THREADS = 4
Result = TypeVar("Result")
Name = tuple[str, str]  # tenant, order id


class TierReaders:
    """Runs look-ups until `close`; `names` and `open_tiers` are those of a `TierPool`."""

    def __init__(
        self, names: Sequence[str], open_tiers: OpenTiers, *, threads: int = THREADS
    ) -> None:
        """Create readers whose tiers are opened at their first use."""
        self._pool = TierPool(names, open_tiers)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tiers")
        self._asked: list[tuple[Name, asyncio.Future[Answer]]] = []
        self._tasks = set[asyncio.Task[None]]()

    async def run(self, work: Callable[[list[Tier]], Result]) -> Result:
        """The result of `work` over the tiers, hottest first.

        Raises:
            Busy: none can be opened yet; and what `work` raises.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, work)

    async def find(self, tenant: str, order_id: str) -> Answer:
        """`storage_tiering.find.find`; look-ups of one turn of the loop share a query.

        Raises:
            UnknownOrder, Busy: as there; Busy also if no tier can be opened yet.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._query)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._asked.append(((tenant, order_id), answer))
        return await answer

    def _query(self) -> None:
        asked, self._asked = self._asked, []
        task = asyncio.get_running_loop().create_task(self._answer(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, asked: Sequence[tuple[Name, "asyncio.Future[Answer]"]]) -> None:
        names = [name for name, _ in asked]
        try:
            found = await self.run(lambda tiers: found_each(tiers, names))
        except Exception as error:  # noqa: BLE001 - raised again where each of them waits
            found = [error] * len(names)
        for (_, answer), each in zip(asked, found, strict=True):
            if answer.done():
                continue  # its caller has gone
            if isinstance(each, Exception):
                answer.set_exception(each)
            else:
                answer.set_result(each)

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


def found_each(tiers: list[Tier], names: Sequence[Name]) -> Sequence[Answer | Exception]:
    """Answers for orders; an error is that of its order alone."""
    try:
        return find_many(tiers, names)
    except Exception:  # noqa: BLE001 - one of them is damaged: which, each query of its own says
        return [found_or_error(tiers, name) for name in names]


def found_or_error(tiers: list[Tier], name: Name) -> Answer | Exception:
    """The answer for an order, or what it raises."""
    try:
        return find(tiers, *name)
    except Exception as error:  # noqa: BLE001 - raised again where it is waited for
        return error
