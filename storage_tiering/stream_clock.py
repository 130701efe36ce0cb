"""How far the stream has come, as a tier's writer sees it."""

from collections.abc import Iterable

from schemas.topics import ORDERS_CHANGES
from storage_tiering.records import Message, clock_of


class StreamClock:
    """The least of the clocks of the partitions of orders.changes that were read.

    Heartbeats keep each of them going when its orders are quiet. Events carry clocks too, but no
    heartbeat: they don't hold the others back, and count only for a writer that reads no changes.
    """

    def __init__(self, changes_topic: str = ORDERS_CHANGES) -> None:
        self._changes_topic = changes_topic
        self._clocks: dict[tuple[str, int], int] = {}

    def see(self, message: Message) -> None:
        """Take the clock of a message; a clock never goes back."""
        clock = clock_of(message)
        if clock is not None:
            partition = message.topic, message.partition
            self._clocks[partition] = max(clock, self._clocks.get(partition, clock))

    def revoked(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Forget partitions that went to another writer: theirs would stand still here.

        What was read of them may still be written: both write the same.
        """
        for partition in partitions:
            self._clocks.pop(partition, None)

    @property
    def through(self) -> int | None:
        """Everything up to this instant (ms) was read; None before the first clock."""
        changes = [at for (topic, _), at in self._clocks.items() if topic == self._changes_topic]
        return min(changes or self._clocks.values(), default=None)
