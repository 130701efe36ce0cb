"""A shard's clock: the minimum over the slots that feed it; and what all slots share."""

from broker.clock import NOTHING_READ

NO_PARTITIONS = 1 << 60  # a slot without partitions doesn't hold the watermark
NO_CLAIM = -2  # of a piece that isn't a slot's


class Clocks:
    """Watermark of each slot."""

    def __init__(self, slots: int, through: dict[int, int] | None = None) -> None:
        """Create the table, empty or from a snapshot."""
        self.slots = slots
        self.by_slot = dict(through or {})

    def move(self, slot: int, through: int) -> None:
        """Take a slot's clock; it never goes back, unless the slot had no partitions until now."""
        if through >= 0:
            before = self.by_slot.get(slot, 0)
            self.by_slot[slot] = through if before == NO_PARTITIONS else max(through, before)

    @property
    def through(self) -> int:
        """The shard's watermark in ms; 0 until every slot has one, or if none ever reads."""
        if len(self.by_slot) < self.slots:
            return 0
        earliest = min(self.by_slot.values())
        return 0 if earliest >= NO_PARTITIONS else earliest


class Claims:
    """Claimed watermarks of each slot's partitions in recorded history; shared by a process."""

    def __init__(self) -> None:
        """Create an empty table: nothing is known of any slot."""
        self.by_slot: dict[int, int] = {}

    def note(self, slot: int, claimed: int) -> None:
        """Take a slot's claim; it may go back, where one was refuted."""
        if claimed > NO_CLAIM:
            self.by_slot[slot] = claimed

    def others(self, slot: int, slots: int) -> int:
        """The earliest of the other slots in ms; -1 while nothing is known of one of them."""
        others = [self.by_slot.get(other, -1) for other in range(slots) if other != slot]
        return min(others, default=NO_PARTITIONS)


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
