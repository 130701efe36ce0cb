"""The furthest that the clock of any slot has come."""

from broker.clock import NOTHING_READ
from dataflows.watermarks import NO_PARTITIONS


class Furthest:
    """Maximum of the watermarks of a process's slots, thread-safe; no shard's is ahead of it.

    A newly found partition may bring events whose append times the shards' watermarks have passed.
    They arrive when they are found: after everything emitted so far.
    """

    def __init__(self) -> None:
        """Create a maximum without a value."""
        self.by_slot: dict[int, int] = {}

    def say(self, slot: int, through: int) -> None:
        """A slot's clock has come this far."""
        if through != NO_PARTITIONS:
            self.by_slot[slot] = through

    @property
    def through(self) -> int:
        """An instant in ms; -1 before the first."""
        return max(list(self.by_slot.values()), default=NOTHING_READ)
