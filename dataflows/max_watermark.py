"""The furthest that the clock of any slot has come."""

from broker.clock import NOTHING_READ
from dataflows.watermarks import NO_PARTITIONS


class Furthest:
    """Shared by the slots of a process, on several threads; no shard's clock is ahead of it.

    A partition that is found while others have been read brings events whose append times the
    shards' clocks may have passed. They arrive when they are found: after everything said so far.
    """

    def __init__(self) -> None:
        """Nothing has been said."""
        self.by_slot: dict[int, int] = {}

    def say(self, slot: int, through: int) -> None:
        """A slot's clock has come this far."""
        if through != NO_PARTITIONS:
            self.by_slot[slot] = through

    @property
    def through(self) -> int:
        """An instant in ms; -1 before the first."""
        return max(list(self.by_slot.values()), default=NOTHING_READ)
