"""Orders of our own whose deadline is known to the ms, and when their outcomes could be read.

Each is paid and promises to be shipped by an instant (`ship_by`). It is not, so the rule
`late_shipping` opens an alert then, shown by the order on orders.changes, and requests a
compensation on orders.actions. Both are timed from the deadline to when a consumer has them.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import TopicPartition

from broker.connect import Connection
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from broker.produce import Record
from broker.topics import partition_count
from schemas.instants import format_instant
from schemas.topics import ORDERS_ACTIONS, ORDERS_CHANGES

PREFIX = "due-"
SEEN_ON = (ORDERS_CHANGES, ORDERS_ACTIONS)
WAIT_S = 0.02
PERCENTILES = (50, 90, 99)


class Due(NamedTuple):
    """An order and when its deadline falls due, ms."""

    order_id: str
    at: int


class Lateness(NamedTuple):
    """Of a topic: ms from due to read, sorted; orders seen twice, too early, never."""

    found_ms: list[float]
    twice: int
    early: int
    missing: int

    @property
    def problems(self) -> str:
        parts = {"twice": self.twice, "too early": self.early, "never": self.missing}
        return ", ".join(f"{count:,} {name}" for name, count in parts.items() if count) or "none"

    def at(self, percentile: int) -> float:
        """The percentile; 100 is the most. Without any found it is infinite."""
        if not self.found_ms:
            return float("inf")
        place = min(len(self.found_ms) * percentile // 100, len(self.found_ms) - 1)
        return self.found_ms[place]


def due_orders(name: str, first_at: int, count: int, spread_ms: int) -> list[Due]:
    """`count` orders, due evenly over `spread_ms` from `first_at` on."""
    return [Due(f"{PREFIX}{name}-{n}", first_at + n * spread_ms // count) for n in range(count)]


def paid(due: Due, at: int) -> Record:
    """The event that such an order begins with."""
    said = {
        "event_id": f"{due.order_id}-paid",
        "source": "deadlines",
        "order_id": due.order_id,
        "status_code": "PAID",
        "timestamp": format_instant(at),
        "ship_by": format_instant(due.at),
    }
    return Record(due.order_id.encode(), json.dumps(said).encode())


class DueWatch:
    """Messages read about our orders, each with the time of its reading in s."""

    def __init__(self, connection: Connection) -> None:
        self.fetcher = Fetcher(connection, "due-watch")
        counts = {topic: partition_count(connection, topic) for topic in SEEN_ON}
        self.fetcher.client.assign(
            [TopicPartition(t, p, 0) for t, count in counts.items() for p in range(count)]
        )
        self.read: list[tuple[float, Message]] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        """Read until it is over. Nothing is decoded here: that would delay what comes next."""
        while not self.is_over.is_set():
            messages = self.fetcher.fetch(BATCH_MESSAGES, WAIT_S)
            now = time.time()
            self.read += [(now, message) for message in messages if is_ours(message)]

    def lateness(self, orders: Sequence[Due]) -> dict[str, Lateness]:
        """By topic."""
        first: dict[str, dict[str, float]] = {topic: {} for topic in SEEN_ON}
        times: Counter[tuple[str, str]] = Counter()
        for at, message in list(self.read):
            for key in keys_of(message):
                order_id = (message.key or b"").decode()
                first[message.topic].setdefault(order_id, at * 1000)
                times[message.topic, key] += message.topic == ORDERS_ACTIONS
        return {
            topic: lateness_of(
                orders, first[topic], [n for (t, _), n in times.items() if t == topic]
            )
            for topic in SEEN_ON
        }

    def is_complete(self, orders: Sequence[Due]) -> bool:
        """Return True once all were seen everywhere."""
        return not any(found.missing for found in self.lateness(orders).values())


def is_ours(message: Message) -> bool:
    return bool(message.value) and (message.key or b"").startswith(PREFIX.encode())


def keys_of(message: Message) -> Iterator[str]:
    """Ids of a deadline's outcomes in a message: its alerts, its action; mostly none."""
    value = json.loads(message.value or b"{}")
    if message.topic == ORDERS_CHANGES:
        yield from (a["alert_id"] for a in value["open_alerts"] if a["rule"] == "late_shipping")
    elif value["rule"] == "late_shipping":
        yield value["action_id"]


def lateness_of(orders: Sequence[Due], first: dict[str, float], times: Iterable[int]) -> Lateness:
    """From when each was first seen, and how often each action was."""
    found = sorted(first[due.order_id] - due.at for due in orders if due.order_id in first)
    twice = sum(count > 1 for count in times)
    early = sum(value < 0 for value in found)
    return Lateness(found, twice, early, len(orders) - len(found))


@contextmanager
def watching(connection: Connection) -> Iterator[DueWatch]:
    """Read beside what the caller does."""
    watch = DueWatch(connection)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(watch.run)
        try:
            yield watch
        finally:
            watch.is_over.set()
    running.result()  # raises what ended it
    watch.fetcher.client.close()
