"""Exponential backoff with jitter: the delay before the next attempt while something is busy.

Pure: it waits nowhere and reads no clock, so that a consumer can stay in its group meanwhile.
"""

import random

GROWTH = 2.0
JITTER = 0.5  # processes that fail together must not retry together


class Backoff:
    """Delays that double from `first_s` up to `longest_s`, each spread by half of it either way."""

    def __init__(self, longest_s: float, first_s: float = 0.0) -> None:
        """Create a backoff before its first failure; `longest_s` is the limit before jitter."""
        self.longest_s = longest_s
        self.first_s = first_s
        self._delay_s = 0.0

    @property
    def is_failing(self) -> bool:
        """Return True if an attempt has failed since the last `reset`."""
        return self._delay_s > 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The delay (s) after a failed attempt, at least the server's `at_least_s`."""
        wanted_s = max(at_least_s, self.first_s, self._delay_s * GROWTH)
        self._delay_s = min(wanted_s, self.longest_s)
        return self._delay_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - keeps no secret

    def reset(self) -> None:
        """Begin again with the first delay: an attempt has succeeded."""
        self._delay_s = 0.0


class Pause:
    """Pause after a failure, until an instant (ms) of the wall clock."""

    def __init__(self, longest_s: float) -> None:
        """Create it before the first failure; `longest_s` is the limit before jitter."""
        self._backoff = Backoff(longest_s)
        self._until = 0

    @property
    def is_failing(self) -> bool:
        """Return True if an attempt has failed since the last `reset`."""
        return self._backoff.is_failing

    def holds(self, now_at: int) -> bool:
        """Return True while nothing is to be attempted."""
        # A clock that was set back must not stretch the pause.
        return 0 < self._until - now_at <= 2 * self._backoff.longest_s * 1000

    def failed(self, now_at: int, at_least_s: float) -> None:
        """Begin a pause, unless one holds: then it was one more attempt that was under way."""
        if now_at >= self._until:
            self._until = now_at + round(1000 * self._backoff.next_s(at_least_s))

    def reset(self) -> None:
        """End it: an attempt has succeeded."""
        self._backoff.reset()
        self._until = 0
