"""Latest version of every order read from orders.changes: older documents never replace it.

Sinks are at least once, with versions: after a crash the same documents come again, and a writer
that was replaced may append an older one. An order's tombstone has the version of its last
document, and wins over that document. Tombstones are remembered as long as the topic keeps them, so
that a restarted process has the same versions as one that continued. About 150 bytes an order.

Pure: no clock, no broker.
"""

from collections import deque

from schemas.topics import ORDERS_CHANGES, TOPICS
from sinks.delivery.entries import OrderKey

KEEP_TOMBSTONES_MS = next(topic.keep_ms for topic in TOPICS if topic.name == ORDERS_CHANGES)


class Versions:
    """Versions by partition and order key."""

    def __init__(self, keep_tombstones_ms: int = KEEP_TOMBSTONES_MS) -> None:
        """Create an empty record."""
        self.keep_tombstones_ms = keep_tombstones_ms
        self._ranks: dict[int, dict[str, int]] = {}
        self._retired: dict[int, deque[tuple[int, str, int]]] = {}  # came at, key, rank

    def is_stale(
        self, order: OrderKey, version: int | None, *, is_tombstone: bool, came_at: int
    ) -> bool:
        """Return whether a newer version was read before; record this one otherwise.

        `came_at` is the message's time in ms. A tombstone without a version is never stale.
        """
        ranks = self._ranks.setdefault(order.partition, {})
        latest = ranks.get(order.key, -1)
        rank = max(latest, 0) | 1 if version is None else 2 * version + is_tombstone
        if rank < latest:
            return True
        ranks[order.key] = rank
        if is_tombstone:
            retired = self._retired.setdefault(order.partition, deque())
            retired.append((came_at, order.key, rank))
            self._forget_tombstones(ranks, retired, came_at - self.keep_tombstones_ms)
        return False

    def has(self, order: OrderKey) -> bool:
        """Return True for an order of which a document or a tombstone was read."""
        return order.key in self._ranks.get(order.partition, {})

    def drop(self, partition: int) -> None:
        """Forget a partition that another process owns now."""
        self._ranks.pop(partition, None)
        self._retired.pop(partition, None)

    def __len__(self) -> int:
        return sum(map(len, self._ranks.values()))

    @staticmethod
    def _forget_tombstones(
        ranks: dict[str, int], retired: deque[tuple[int, str, int]], before: int
    ) -> None:
        while retired and retired[0][0] < before:
            _, key, rank = retired.popleft()
            if ranks.get(key) == rank:  # else it was recalled, or retired again later
                del ranks[key]
