"""Stream clock of a tier's writer."""

from collections.abc import Iterable

from schemas.topics import ORDERS_CHANGES
from storage_tiering.records import Message, clock_of

Partition = tuple[str, int]


class StreamClock:
    """The minimum of the watermarks of the partitions of orders.changes that this writer reads.

    Heartbeats advance each of them when its orders are quiet. A newly assigned partition without a
    message holds the clock: its first one may be older than anything. Events carry watermarks too,
    but no heartbeat: they don't hold the others back, and count only for a writer that reads no
    changes. A reader without a group assigns nothing; then the partitions read count.
    """

    def __init__(self, changes_topic: str = ORDERS_CHANGES) -> None:
        self._changes_topic = changes_topic
        self._clocks: dict[Partition, int] = {}
        self._silent: set[Partition] = set()  # assigned, without a message yet

    def see(self, message: Message) -> None:
        """Take the clock of a message; a clock never goes back."""
        clock = clock_of(message)
        if clock is not None:
            partition = message.topic, message.partition
            self._clocks[partition] = max(clock, self._clocks.get(partition, clock))
            self._silent.discard(partition)

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """Partitions came to this writer."""
        changes = {each for each in partitions if each[0] == self._changes_topic}
        self._silent |= changes - self._clocks.keys()

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that went to another writer: theirs would stand still here.

        What was read of them may still be written: both write the same.
        """
        for partition in partitions:
            self._clocks.pop(partition, None)
            self._silent.discard(partition)

    @property
    def watermark(self) -> int | None:
        """Everything up to this instant (ms) was read; None while that isn't known."""
        if self._silent:
            return None
        changes = [at for (topic, _), at in self._clocks.items() if topic == self._changes_topic]
        return min(changes or self._clocks.values(), default=None)
