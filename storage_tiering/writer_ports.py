"""Ports of a writer: its reader, its dead letters, its metrics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from broker import consumer_loop
from storage_tiering.records import Message
from storage_tiering.tier import Partition

Audit = Callable[[], None]


def nothing() -> None:
    """For tiers that need no audit."""


# A member of a consumer group over the topics of orders. It says through callbacks
# which partitions came and went (`StreamClock.assigned`, `revoked`).
Reader: TypeAlias = consumer_loop.Reader[Message]


@runtime_checkable
class Rewinds(Protocol):
    """A reader that has its group's committed offsets, and can read partitions again."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """The partitions that are ours now."""
        ...

    def take_assigned(self) -> Mapping[Partition, int]:
        """The partitions that came since the last call, with the offset committed for each."""
        ...

    def positions(self) -> Mapping[Partition, int]:
        """Offsets that `commit` would store now; they may lie behind the last message."""
        ...

    def rewind(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Read those that are still ours again from these offsets on, or from the first one held.

        Returns where each continues. `Busy`: do it all again.
        """
        ...


class DeadLetters(Protocol):
    """Destination of messages that the tier can never take."""

    def put(self, message: Message, code: str, reason: str) -> None:
        """Keep the message and the reason; safe on return. `Busy`: retry."""
        ...


class WriterMetrics(Protocol):
    """Receives what a writer does; every method returns at once."""

    def written(self, tier: str, orders: int, events: int) -> None:
        """So many changes, and events and outcomes, were written."""
        ...

    def took(self, tier: str, seconds: float) -> None:
        """The tier took a batch of changes or events in this time, waits left out."""
        ...

    def waiting(self, tier: str, reason: str, wait_s: float) -> None:
        """The tier or the broker is busy; the same is tried again after `wait_s`."""
        ...

    def rejected(self, tier: str, code: str) -> None:
        """A message became a dead letter."""
        ...

    def watermark(self, tier: str, watermark_ms: int) -> None:
        """The tier has been written up to this instant of stream time."""
        ...

    def uncommitted(self, tier: str, since_ms: Mapping[str, int]) -> None:
        """{topic: when its earliest message was written that was read and isn't durable yet}."""
        ...

    def measured(self, tier: str, size_bytes: int) -> None:
        """The tier takes up so much."""
        ...

    def stale(self, tier: str, reason: str | None) -> None:
        """Why the tier can't be vouched for; None: it can."""
        ...

    def rewound(self, tier: str) -> None:
        """The tier has lost writes; topics are read again for it."""
        ...


class NoMetrics(WriterMetrics):
    """For writers without metrics."""

    def written(self, tier: str, orders: int, events: int) -> None:
        pass

    def took(self, tier: str, seconds: float) -> None:
        pass

    def waiting(self, tier: str, reason: str, wait_s: float) -> None:
        pass

    def rejected(self, tier: str, code: str) -> None:
        pass

    def watermark(self, tier: str, watermark_ms: int) -> None:
        pass

    def uncommitted(self, tier: str, since_ms: Mapping[str, int]) -> None:
        pass

    def measured(self, tier: str, size_bytes: int) -> None:
        pass

    def stale(self, tier: str, reason: str | None) -> None:
        pass

    def rewound(self, tier: str) -> None:
        pass
