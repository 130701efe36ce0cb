"""Compaction by the archive's writer: in a thread beside it, of the partitions that it has."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from schemas.errors import OrdertideError, Stopped
from schemas.settings.model import Settings
from storage_tiering.archive.compaction import Compaction
from storage_tiering.archive.opening import open_compaction
from storage_tiering.tier import Partition

LOGGER = logging.getLogger("ordertide.storage_tiering")
# Days end seldom; what another writer has left is taken up within this time.
EVERY_S = 600.0
FIRST_AFTER_S = 30.0
ENDS_IN_S = 10.0  # beyond that it waits for a server; being killed there does no harm


class WriterCompaction:
    """Compaction beside a writer. Two writers that merge one partition lose work, and no rows."""

    def __init__(
        self, compaction: Compaction, partitions: Callable[[], Collection[Partition]]
    ) -> None:
        """Create it; `partitions` gives those of the writer at any time."""
        self._compaction = compaction
        self._partitions = partitions
        self._stop = threading.Event()

    def run(self) -> None:
        """Merge what is due, now and then, until `stop`."""
        wait_s = FIRST_AFTER_S
        while not self._stop.wait(wait_s):
            wait_s = EVERY_S
            try:
                self.step()
            except Stopped:
                return
            except (OrdertideError, OSError) as error:  # the next one may succeed
                LOGGER.warning("archive writer: not compacted: %s", error)

    def step(self) -> None:
        """Merge what is due.

        Raises:
            Stopped: it was stopped amid a merge, which leaves nothing behind.
            Busy: the store is unavailable.
        """
        self._compaction.settle()
        for done in self._compaction.run(self._compaction.plan(self._partitions()), self._go_on):
            if done.damage:
                LOGGER.error("archive %s: not merged: %s", done.merge, done.damage)
            elif done.size_bytes is not None:
                LOGGER.info("archive %s: merged into one", done.merge)
        self._compaction.forget_replaced()

    def stop(self) -> None:
        """End `run` within a batch of rows."""
        self._stop.set()

    def _go_on(self, _: int) -> None:
        if self._stop.is_set():
            raise Stopped("archive writer: a merge was interrupted, the next one begins it again")


@contextmanager
def compacting(
    settings: Settings, partitions: Callable[[], Collection[Partition]]
) -> Iterator[None]:
    """Compact in the background until the end of the block, unless the settings say otherwise."""
    if not settings.archive.compact:
        yield
        return
    compaction = WriterCompaction(open_compaction(settings), partitions)
    thread = threading.Thread(target=compaction.run, name="compaction", daemon=True)
    thread.start()
    try:
        yield
    finally:
        compaction.stop()
        thread.join(ENDS_IN_S)
