"""Start offsets of newly assigned partitions, from a lookup that may be temporarily unavailable."""

import time
from collections.abc import Callable, Iterator

from confluent_kafka import OFFSET_BEGINNING

from broker.connect import LOGGER
from schemas.errors import Busy

Partition = tuple[str, int]
StartOf = Callable[[str, int], int | None]
OnWaiting = Callable[[Busy | None], None]


def ignore_waiting(_: Busy | None) -> None:
    """For readers whose `start_of` is never busy."""


class Places:
    """Start offsets by `start_of(topic, partition)`; partitions it was `Busy` for are `waiting`.

    `on_waiting` is called with the reason at each failed lookup, and with None once no partition
    waits any more.
    """

    def __init__(self, start_of: StartOf, on_waiting: OnWaiting = ignore_waiting) -> None:
        self.waiting: set[Partition] = set()
        self._start_of = start_of
        self._on_waiting = on_waiting
        self._ask_again_at_s = 0.0

    def start(self, topic: str, partition: int) -> int:
        """The start offset; the beginning for a partition that has to wait and isn't read yet.

        Raises:
            OrdertideError: the lookup fails for good.
        """
        # One question in vain is enough: each may take seconds, and the group waits for us.
        at = None if self.waiting else self._ask((topic, partition))
        if at is None:
            self.waiting.add((topic, partition))
        return OFFSET_BEGINNING if at is None else at

    def answers(self) -> Iterator[tuple[Partition, int]]:
        """Waiting partitions whose offset is known now. Looks up when it is due, else yields none.

        A partition that is returned waits until it is `settled`.

        Raises:
            OrdertideError: the lookup fails for good.
        """
        if not self.waiting or time.monotonic() < self._ask_again_at_s:
            return
        for partition in sorted(self.waiting):
            at = self._ask(partition)
            if at is None:
                return
            yield partition, at

    def settled(self, partition: Partition) -> None:
        """The partition is read from its offset on."""
        self.waiting.discard(partition)
        if not self.waiting:
            self._on_waiting(None)

    def gone(self, partitions: list[Partition]) -> None:
        """Drop partitions that were revoked."""
        if self.waiting:
            self.waiting -= set(partitions)
            if not self.waiting:
                self._on_waiting(None)

    def later(self, busy: Busy) -> None:
        """Retry when `busy` is likely to be over."""
        self._ask_again_at_s = time.monotonic() + busy.retry_after_s
        LOGGER.warning("a partition waits to be read: %s", busy.reason)
        self._on_waiting(busy)

    def _ask(self, partition: Partition) -> int | None:
        try:
            at = self._start_of(*partition)
        except Busy as busy:
            self.later(busy)
            return None
        return OFFSET_BEGINNING if at is None else at
