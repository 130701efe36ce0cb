"""Results of the demo: the documents of the dataflow, and the progress of the tiers."""

import time
from collections.abc import Sequence
from typing import Self

from broker.connect import Connection
from broker.consume import GroupReader
from broker.group_lags import GroupLags
from commands.demo.feed import LAST_ORDERS
from commands.demo.topic_counter import TOPICS, TopicCounter
from schemas.topics import EVENTS, ORDERS_CHANGES, ORDERS_EVENTS

UPDATE_EVERY_S = 0.3
PAST_LOOKS = 10


class DemoResults:
    """Results of the dataflow (group `track`) and the `writers`' groups; `update` reads them.

    `update` is for one thread; the rest is safe from any.
    """

    def __init__(self, connection: Connection, track: str, writers: Sequence[str]) -> None:
        written = [ORDERS_CHANGES, ORDERS_EVENTS]
        self.counter = TopicCounter()
        self.track = track
        self.writers = writers
        self.lags = GroupLags(connection, {track: [EVENTS], **dict.fromkeys(writers, written)})
        self._reader = GroupReader(connection, "ordertide-demo", TOPICS)
        self._written: set[str] = set()
        self._past: list[tuple[float, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._reader.close()
        finally:
            self.lags.close()

    def update(self) -> None:
        """Read new documents for as long as a picture stays; then query the groups' positions."""
        until_s = time.monotonic() + UPDATE_EVERY_S
        while (left_s := until_s - time.monotonic()) > 0:
            for message in self._reader.read(timeout_s=min(left_s, 0.1)):
                self.counter.take(message)
        self.lags.look()
        self._past = [*self._past[-PAST_LOOKS:], (time.monotonic(), self.consumed)]
        if not self.behind():
            self._written = {order_id for order_id in LAST_ORDERS if self.is_published(order_id)}

    @property
    def consumed(self) -> int:
        """Messages of `events` that the dataflow has read."""
        return self.lags.of[self.track].done

    @property
    def per_second(self) -> float:
        """Messages a second that it read lately."""
        (first_s, first), (last_s, last) = self._past[0], self._past[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    def behind(self) -> int:
        """Messages that the slowest writer has not written yet."""
        return max(self.lags.of[writer].behind for writer in self.writers)

    def has_reached(self, at: int) -> bool:
        """Return True once the stream's watermark has come to `at`."""
        return self.counter.clock_at is not None and self.counter.clock_at >= at

    def is_published(self, order_id: str) -> bool:
        """Return True once the dataflow has published an order."""
        return order_id in self.counter.orders

    def is_written(self, order_id: str) -> bool:
        """Return True once the tiers have written everything before it, too."""
        return order_id in self._written
