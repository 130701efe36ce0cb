"""Metrics of the dataflow, as a port: `commands/wiring/track_metrics.py` fills them."""

from collections.abc import Mapping
from typing import Protocol

from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.set_aside import Fault


class DataflowMetrics(Protocol):
    """Receives what the dataflow does; every method returns at once."""

    def restored(self, waiting: int) -> None:
        """A shard was restored with events that an earlier run had read and that still wait."""

    def seen(self, read: int, ticks: int, rejected: dict[str, int]) -> None:
        """A source task read messages; those rejected by code."""

    def dropped(self, names: list[str]) -> None:
        """These fields (`carrier`, `location.lat`) were left out of an event that was taken."""

    def unknown_code(self, source: str, code: str) -> None:
        """The lifecycle doesn't have the code of an event that was taken as a sign of life."""

    def refuted(self, messages: int) -> None:
        """Messages of recorded history were far ahead of what followed: they wait."""

    def claiming(self, task: int, partitions: int) -> None:
        """So many partitions of a task have read recorded times that nothing confirms yet."""

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages of a partition are still to be read."""

    def advanced(self, shard: str, out: Output, watermark: int, orders: int, waiting: int) -> None:
        """An order shard's watermark advanced; so many orders live, so many facts wait for it."""

    def set_aside(self, shard: str, count: int, faults: list[Fault]) -> None:
        """So many orders of a shard are set aside; `faults` are those of this epoch."""

    def resolved(self, shard: str, answers: Answers, waiting: int) -> None:
        """A resolver shard resolved numbers; so many events wait for theirs."""

    def filled(self, shard: str, bounds: Mapping[str, float]) -> None:
        """Set how full a shard's bounds are, by name; 1 is full."""

    def unsendable(self, topic: str, reason: str) -> None:
        """An output is larger than its topic takes; it became a dead letter."""

    def barrier(self, flush_s: float, commit_s: float) -> None:
        """An epoch ended: the output is acknowledged and the state is on the disk."""
