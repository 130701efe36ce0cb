"""Noticing that a partition has more, but doesn't give it."""

from collections.abc import Callable

from broker.connect import LOGGER

STUCK_AFTER_MS = 60_000


class Stuck:
    """Stall detector: reports once that a position stands still for a minute in a live partition.

    Only committed messages are read, so an open transaction hides itself and what follows. The
    watermark rightly waits for it: its messages have their append times already.
    """

    def __init__(self, name: str, now: Callable[[], int], after_ms: int = STUCK_AFTER_MS) -> None:
        """Create a detector for the partition `name` on the steady clock `now`, in ms."""
        self._name = name
        self._now = now
        self._after_ms = after_ms
        self._position = -1
        self._since_at = 0
        self._is_told = False

    def moved(self, position: int) -> None:
        """The position is `position`, and all is well."""
        if self._is_told:
            LOGGER.warning("%s: continues, after it stood still at %d", self._name, self._position)
        self._position, self._since_at, self._is_told = position, self._now(), False

    def is_stuck(self, position: int, end_offset: int, asked_at: int) -> bool:
        """Return True if the position hasn't moved for so long that a new request is due.

        `end_offset` was requested at `asked_at`. Only a request sent after the position had stood
        still for so long proves that the broker is available and doesn't return what it has.
        """
        if position != self._position:
            self.moved(position)
        if self._now() - self._since_at < self._after_ms:
            return False
        if asked_at - self._since_at >= self._after_ms and not self._is_told:
            self._is_told = True
            LOGGER.warning(
                "%s: stands still at %d for %d s, the end is %d: most likely a producer holds a "
                "transaction open, and the clock waits for it; kafka-transactions.sh "
                "--find-hanging names it, and the broker aborts it after its time-out",
                *(self._name, position, (self._now() - self._since_at) // 1000, end_offset),
            )
        return True
