"""Deadlines of whole requests, watched by one thread for all receivers.

A time-out of a socket is of each read and write, and a receiver that answers byte by byte never
meets it. A timer for each request would be a thread for each: 100 to 300 µs of CPU.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread


class Deadlines:
    """Deadlines of what is under way; used from several threads."""

    def __init__(self) -> None:
        """Create it without a thread, which starts with the first deadline."""
        self._changed = Condition()
        self._under_way: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes_at_s = math.inf
        self._thread: Thread | None = None

    @contextmanager
    def within(self, seconds: float, cut: Callable[[], None]) -> Iterator[None]:
        """Call `cut`, from another thread, if the block isn't over within so many seconds."""
        token, ends_at_s = object(), time.monotonic() + seconds
        with self._changed:
            self._under_way[token] = (ends_at_s, cut)
            # The thread wakes for what began first, mostly long over: it is seldom notified.
            if ends_at_s < self._wakes_at_s:
                self._wake()
        try:
            yield
        finally:
            with self._changed:
                self._under_way.pop(token, None)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._watch, name="deadlines", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now_s = time.monotonic()
                for token, (ends_at_s, cut) in [*self._under_way.items()]:
                    if ends_at_s <= now_s:
                        del self._under_way[token]
                        cut()
                ends = (ends_at_s for ends_at_s, _ in self._under_way.values())
                self._wakes_at_s = min(ends, default=math.inf)
                is_idle = self._wakes_at_s == math.inf
                self._changed.wait(None if is_idle else self._wakes_at_s - now_s)


DEADLINES = Deadlines()
