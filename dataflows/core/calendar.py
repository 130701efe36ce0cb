"""A calendar queue: which orders have a deadline in which minute.

A heap entry per order would be 96 bytes (tuple, int, slot); a slot in its minute's list is 8. The
exact time lies in the order itself. (Brown, "Calendar queues", CACM 31(10), 1988.)
"""

from heapq import heapify, heappop, heappush

from schemas.instants import MINUTE_MS


class Calendar:
    """Keys by the minute in which they are due; a key can stand in several minutes."""

    def __init__(self) -> None:
        """No appointments."""
        self.minutes: dict[int, list[str]] = {}
        self.order: list[int] = []

    def add(self, due_at: int, key: str) -> None:
        """Note that `key` is due at `due_at` ms."""
        minute = due_at // MINUTE_MS
        keys = self.minutes.get(minute)
        if keys is None:
            self.minutes[minute] = [key]
            heappush(self.order, minute)
        else:
            keys.append(key)

    def has_come(self, through: int) -> bool:
        """Whether some minute has begun by `through`."""
        return bool(self.order) and self.order[0] * MINUTE_MS <= through

    def past(self, through: int) -> list[tuple[int, list[str]]]:
        """Take out the minutes that have begun by `through`: (minute, its keys), soonest first.

        Of the last of them some may not be due yet: those are to be added again.
        """
        found = []
        while self.has_come(through):
            minute = heappop(self.order)
            found.append((minute, self.minutes.pop(minute)))
        return found

    def fill(self, due: list[tuple[int, str]]) -> None:
        """Note many at once, into an empty calendar."""
        for due_at, key in due:
            self.minutes.setdefault(due_at // MINUTE_MS, []).append(key)
        self.order = list(self.minutes)
        heapify(self.order)
