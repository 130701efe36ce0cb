"""Deadlines of many orders in the memory of one process, for systems without timers of their own.

One heap entry an order: a later deadline isn't pushed, it is armed again when the entry comes up.
Only the standard library, as in `order`.
"""

import heapq
from collections.abc import Iterator


class Agenda:
    """The armed deadlines, in ms.

    `clock_at` is the least of what the partitions have come to: one that is read ahead of another
    would else make deadlines fall due whose end is still to be read.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.due_at: dict[str, int] = {}
        self.heap: list[tuple[int, str]] = []
        self.clocks = [0] * partitions
        self.clock_at = 0

    def arm(self, order_id: str, due_at: int) -> None:
        """Set an order's deadline; 0 ends it."""
        if not due_at:
            self.due_at.pop(order_id, None)
        else:
            if order_id not in self.due_at:
                heapq.heappush(self.heap, (due_at, order_id))
            self.due_at[order_id] = due_at

    def advance(self, clock_at: int, partition: int = 0) -> Iterator[tuple[str, int]]:
        """Move a partition's clock on; every order with a deadline before `clock_at`, once."""
        self.clocks[partition] = max(self.clocks[partition], clock_at)
        self.clock_at = min(self.clocks)
        while self.heap and self.heap[0][0] < self.clock_at:
            came_up_at, order_id = heapq.heappop(self.heap)
            due_at = self.due_at.get(order_id, 0)
            if due_at == came_up_at or 0 < due_at < self.clock_at:
                del self.due_at[order_id]
                yield order_id, due_at
            elif due_at:
                heapq.heappush(self.heap, (due_at, order_id))
