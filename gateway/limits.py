"""Limits of requests, in two layers: a rate for each caller, and slots for all requests in flight.

Rates alone don't protect look-ups in one process: a hundred carriers within their rates can take
all of it. So half of the slots are never given to what feeds events. Both are judged by what this
process holds, so that a refusal costs microseconds: no body is read for it, and no server is asked.
Counts of rates are shared with other processes a moment later (rates.py), slots never.
"""

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Literal, NamedTuple

from limits import parse

from gateway.problems import Problem
from gateway.rates import Rate, SharedCounts, Windows
from gateway.turns import Turns
from schemas.errors import OrdertideError, SettingsError

LOGGER = logging.getLogger("ordertide.gateway")

Class = Literal[
    "query", "search", "page", "sign_in", "ingest", "callback", "stream", "write", "report"
]

SLOTS = 64
WAIT_S = 0.25
RETRY_AFTER_S = 1.0
SHARE_EVERY_S = 0.25
RATE = re.compile(r"(?P<window>[^,;|]+)(,\s*(?P<at_once>[1-9]\d*) at once\s*)?")

# A burst is a longer window: 100 a second, of which 200 may come at once. Carriers push for
# seconds what an outage has held back: their long window lets it through, but a hundred at once,
# as each takes half a millisecond in which no query is served.
RATES: Mapping[Class, str] = {
    "query": "200 per 2 second",
    "search": "20 per 1 second",
    "page": "100 per 2 second",
    "ingest": "50 per 1 second",
    "callback": "1000 per 5 second, 100 at once",
    "write": "20 per 1 second",
    "report": "2 per 1 second",
    "stream": "30 per 1 minute",
    "sign_in": "5 per 1 minute",
}
# Slots that a group of classes may have at most; the others may have all.
GROUPS: Mapping[Class, str] = {
    "ingest": "feed",
    "callback": "feed",
    "search": "search",
    "report": "report",
    "write": "write",  # one may wait ten seconds for its verdict
}
SHARES = {"feed": SLOTS // 2, "search": SLOTS // 4, "write": SLOTS // 4, "report": 4}


class Standing(NamedTuple):
    """A caller's standing in its class: requests at once, those left, seconds until more are."""

    limit: int
    remaining: int
    reset_s: float

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(max(0, round(self.reset_s + 0.5))),
        }

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The same as an answer has them."""
        return [(name.encode(), value.encode()) for name, value in self.headers.items()]


class Limits:
    """Rates and slots of a process. `rates` are those of the settings, by class.

    Between `start` and `close` the rates are shared through `counts`, if there are any.
    `is_shared` unless they were unavailable the last time.
    """

    def __init__(
        self, rates: Mapping[str, str] | None = None, counts: SharedCounts | None = None
    ) -> None:
        """Create limits that nobody has used yet.

        Raises:
            SettingsError: no such class, or no rate.
        """
        self._rates = {name: rate_of(name, text) for name, text in RATES.items()}
        for name, text in (rates or {}).items():
            self._rates[class_of(name)] = rate_of(name, text)
        self._windows = Windows()
        self._counts = counts
        self.is_shared = counts is not None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._share_on, name="rates", daemon=True)
        self._slots = asyncio.Semaphore(SLOTS)
        self._turns = Turns()
        self._shares = {group: asyncio.Semaphore(share) for group, share in SHARES.items()}

    def start(self) -> None:
        """Begin to share the rates."""
        if self._counts:
            self._thread.start()

    def close(self) -> None:
        """End the sharing."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._counts:
            self._counts.close()

    def share(self) -> None:
        """Share what was counted since the last time; while that fails, count alone."""
        with self._lock:
            counts = self._windows.unshared()
        if not counts or self._counts is None:
            return
        try:
            sums = self._counts.add(counts)
        except OrdertideError as error:
            if self.is_shared:
                LOGGER.warning("rates are counted by this process alone: %s", error)
            self.is_shared = False
            return
        with self._lock:
            self._windows.shared(counts, sums)
        if not self.is_shared:
            LOGGER.info("rates are shared with other processes again")
        self.is_shared = True

    def _share_on(self) -> None:
        while not self._stop.wait(SHARE_EVERY_S):
            self.share()

    def take(self, cls: Class, caller: str, now_s: float) -> Standing:
        """Count a request of a caller.

        Raises:
            Problem: `limited`, with the seconds to wait.
        """
        rate = self._rates[cls]
        with self._lock:
            is_within, left, reset_s = self._windows.hit(f"{cls} {caller}", rate, now_s)
        standing = Standing(rate.limit, left, reset_s)
        if is_within:
            return standing
        problem = Problem(
            "limited",
            f"{cls}: over {rate}; send fewer, or wait",
            retry_after_s=standing.reset_s,
        )
        problem.headers |= standing.headers
        raise problem

    @asynccontextmanager
    async def slot(self, cls: Class) -> AsyncIterator[None]:
        """A slot while a request is served.

        Raises:
            Problem: `busy`, none came free within a quarter of a second.
        """
        needed = [self._shares[GROUPS[cls]], self._slots] if cls in GROUPS else [self._slots]
        if any(each.locked() for each in needed):
            await self._wait(cls, needed)
        else:
            for each in needed:
                await each.acquire()  # at once: nothing has run since it was looked at
        try:
            if GROUPS.get(cls) == "feed":
                await self._turns.next()
            yield
        finally:
            for each in needed:
                each.release()

    async def _wait(self, cls: Class, needed: Sequence[asyncio.Semaphore]) -> None:
        """Take all that a request needs.

        Raises:
            Problem: `busy`.
        """
        async with AsyncExitStack() as taken:
            try:
                async with asyncio.timeout(WAIT_S):
                    for each in needed:
                        await taken.enter_async_context(each)
            except TimeoutError as error:
                text = f"{cls}: all of its requests in flight are taken; retry"
                raise Problem("busy", text, retry_after_s=RETRY_AFTER_S) from error
            taken.pop_all()


def class_of(name: str) -> Class:
    """The class of a name in the settings."""
    for each in RATES:
        if each == name:
            return each
    raise SettingsError(f"serve.limits.{name}: no such class; write one of {', '.join(RATES)}")


def rate_of(name: str, text: str) -> Rate:
    """The rate that a text names: `200 per 2 second`, `1000 per 5 second, 100 at once`."""
    parts = RATE.fullmatch(text)
    with suppress(ValueError):
        if parts:
            window = parse(parts["window"])
            at_once = int(parts["at_once"]) if parts["at_once"] else None
            return Rate(window.amount, window.get_expiry(), at_once)
    raise SettingsError(
        f"serve.limits.{name}: {text!r} is no rate; write it like 200 per 2 second, or like "
        "1000 per 5 second, 100 at once"
    )
