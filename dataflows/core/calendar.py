"""A calendar queue: which orders have a deadline in which hour, and minute once that has begun.

A heap entry per order would be 96 bytes (tuple, int, slot), a slot in a list of keys is 8. A list
for each minute to come was 110 an order all the same, as a shard has few orders to share one: hence
the hours. The exact time lies in the order itself. (Brown, "Calendar queues", CACM 31(10), 1988;
Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.)
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from schemas.instants import HOUR_MS, MINUTE_MS


class Spans:
    """Keys by the span of time (an hour, say) in which they are due; soonest first."""

    def __init__(self, width_ms: int) -> None:
        """No appointments."""
        self.width_ms = width_ms
        self.keys: dict[int, list[str]] = {}
        self.order: list[int] = []

    def add(self, due_at: int, key: str) -> None:
        """Note that `key` is due at `due_at` ms."""
        span = due_at // self.width_ms
        keys = self.keys.get(span)
        if keys is None:
            self.keys[span] = [key]
            heappush(self.order, span)
        else:
            keys.append(key)

    def fill(self, due: Iterable[tuple[int, str]]) -> None:
        """Note many at once, where there are none."""
        # Not `setdefault`: it makes a list for each of a restart's million orders.
        spans, width_ms = self.keys, self.width_ms
        for due_at, key in due:
            span = due_at // width_ms
            keys = spans.get(span)
            if keys is None:
                spans[span] = [key]
            else:
                keys.append(key)
        self.order = list(self.keys)
        heapify(self.order)

    def have_begun(self, watermark: int) -> bool:
        """Whether some span has begun by `watermark`."""
        return bool(self.order) and self.order[0] * self.width_ms <= watermark

    def begun(self, watermark: int) -> list[tuple[int, list[str]]]:
        """Take out the spans that have begun by `watermark`: (span, its keys)."""
        found = []
        while self.have_begun(watermark):
            span = heappop(self.order)
            found.append((span, self.keys.pop(span)))
        return found


class Calendar:
    """Keys by when they are due. A key can stand here several times; its order has the last word.

    `armed_at` says for when an order is armed now, in ms; for one that isn't, something far ahead.
    """

    def __init__(self, armed_at: Callable[[str], int]) -> None:
        """No appointments."""
        self.armed_at = armed_at
        self.hours = Spans(HOUR_MS)
        self.minutes = Spans(MINUTE_MS)  # of the hours that have begun
        self.begun_at = -1

    def add(self, due_at: int, key: str) -> None:
        """Note that `key` is due at `due_at` ms."""
        (self.hours if due_at > self.begun_at else self.minutes).add(due_at, key)

    def fill(self, due: Iterable[tuple[int, str]]) -> None:
        """Note many at once, into an empty calendar."""
        self.hours.fill(due)

    def has_come(self, watermark: int) -> bool:
        """Whether some hour or minute has begun by `watermark`."""
        return self.minutes.have_begun(watermark) or self.hours.have_begun(watermark)

    def due(self, watermark: int) -> list[str]:
        """Take out the keys that are due by `watermark`, soonest first, each once."""
        for hour, keys in self.hours.begun(watermark):
            self.begun_at = (hour + 1) * HOUR_MS - 1
            for key in keys:
                at = self.armed_at(key)
                if at // HOUR_MS == hour:  # else it was armed for another time meanwhile
                    self.minutes.add(at, key)
        found: dict[str, None] = {}
        for minute, keys in self.minutes.begun(watermark):
            for key in keys:
                at = self.armed_at(key)
                if at // MINUTE_MS != minute:
                    continue
                if at <= watermark:
                    found[key] = None
                else:
                    self.minutes.add(at, key)
        return list(found)
