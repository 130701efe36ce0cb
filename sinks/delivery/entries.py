"""Ledger entries: open alerts of an order as delivery keeps them, and the queue of due posts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from schemas.order import Lane
from sinks.channels.alert_message import Identity, Notice

AT_ONCE = 0


class OrderKey(NamedTuple):
    """An order: its partition of orders.changes and its key."""

    partition: int
    key: str


@dataclass(eq=False, slots=True)
class LedgerEntry:
    """One notice of one order. Instants are ms of the wall clock.

    `came_at`: when its document was written; None if it was loaded at the start.
    `desired`: the alert is open. `offered`: the receiver may have it. `settled`: the receiver has
    the current state. `due_at`: when to post it; None while it is in flight or refused.
    """

    notice: Notice
    order: OrderKey
    came_at: int | None = None
    desired: bool = True
    offered: bool = False
    settled: bool = False
    due_at: int | None = None

    @property
    def kind(self) -> tuple[str, str]:
        """The alert's rule and severity."""
        return self.notice.labels["rule"], self.notice.labels["lane"]


@dataclass(slots=True)
class OrderEntries:
    """The entries of one order."""

    lane: Lane
    entries: dict[Identity, LedgerEntry] = field(default_factory=dict)


class DueQueue:
    """Entries by `due_at`; of those due at once, first come, first served."""

    def __init__(self) -> None:
        """Create an empty queue."""
        self._heap: list[tuple[int, int, LedgerEntry]] = []
        self._turn = count()

    def put(self, entry: LedgerEntry, due_at: int) -> None:
        """Schedule the post at `due_at`, replacing any earlier schedule."""
        entry.due_at = due_at
        heappush(self._heap, (due_at, next(self._turn), entry))

    def take(self, now_at: int, limit: int) -> Iterable[LedgerEntry]:
        """Remove and yield the entries that are due now, at most `limit`."""
        while limit and self._heap and self._heap[0][0] <= now_at:
            due_at, _, entry = heappop(self._heap)
            if entry.due_at == due_at:  # else it was put elsewhere since, or cancelled
                entry.due_at = None
                limit -= 1
                yield entry
