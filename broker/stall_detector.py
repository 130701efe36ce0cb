"""Noticing that a partition has more, but doesn't give it."""

from collections.abc import Callable

from broker.connect import LOGGER

STUCK_AFTER_MS = 60_000


class Stuck:
    """Says so once when a position stands still for a minute although the partition goes on.

    Only committed messages are read, so an open transaction hides itself and what follows. The
    clock rightly waits for it: its messages have their append times already.
    """

    def __init__(self, name: str, now: Callable[[], int], after_ms: int = STUCK_AFTER_MS) -> None:
        """Watch the partition `name` on the steady clock `now`, in ms."""
        self._name = name
        self._now = now
        self._after_ms = after_ms
        self._position = -1
        self._since_at = 0
        self._is_told = False

    def moved(self, position: int) -> None:
        """The position is `position`, and all is well."""
        if self._is_told:
            LOGGER.warning("%s: goes on, after it stood still at %d", self._name, self._position)
        self._position, self._since_at, self._is_told = position, self._now(), False

    def is_stuck(self, position: int, end_offset: int, asked_at: int) -> bool:
        """Whether to ask anew, because the position hasn't moved for so long.

        `end_offset` was asked for at `asked_at`. Only a question asked after the position had stood
        still for so long shows that the broker is there and doesn't give what it has.
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
