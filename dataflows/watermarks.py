"""A shard's clock: the minimum over the slots that feed it."""

NO_PARTITIONS = 1 << 60  # a slot without partitions holds nobody back


class Clocks:
    """How far each slot has come."""

    def __init__(self, slots: int, through: dict[int, int] | None = None) -> None:
        """Nothing is known of any slot, or what a snapshot says."""
        self.slots = slots
        self.by_slot = dict(through or {})

    def move(self, slot: int, through: int) -> None:
        """Take a slot's clock; it never goes back, unless the slot had no partitions until now."""
        if through >= 0:
            before = self.by_slot.get(slot, 0)
            self.by_slot[slot] = through if before == NO_PARTITIONS else max(through, before)

    @property
    def through(self) -> int:
        """The shard's clock in ms; 0 until every slot has said something, or if none ever reads."""
        if len(self.by_slot) < self.slots:
            return 0
        earliest = min(self.by_slot.values())
        return 0 if earliest >= NO_PARTITIONS else earliest
