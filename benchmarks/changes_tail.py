"""orders.changes after compaction: the last document of every order, and the tombstones."""

import json
from typing import Any

from confluent_kafka import TopicPartition

from broker.connect import Connection
from broker.fetcher import BATCH_MESSAGES, Fetcher
from broker.topics import partition_count
from schemas.topics import CLOCK_KEY, ORDERS_CHANGES

WAIT_S = 0.5
FINAL = "COMPLETED"

Json = dict[str, Any]


class Topic:
    """Orders that have a document, the last status of all there ever were, and those recalled."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.milestones: dict[str, Json] = {}  # of orders that have retired completed
        self.recalled: dict[str, Json] = {}  # with the milestones that they had
        self.last: dict[str, Json] = {}
        self.tombstones = 0

    @property
    def recalled_count(self) -> int:
        return len(self.recalled)

    def take(self, key: str, value: bytes | None) -> None:
        """A message."""
        if value is None:
            self.tombstones += 1
            self.alive.discard(key)
            milestones = self.last.pop(key, {})
            if self.statuses.get(key) == FINAL:
                self.milestones[key] = milestones
            return
        document = json.loads(value)
        self.alive.add(key)
        self.statuses[key] = document["status"]
        self.last[key] = document["milestones"]

    def to_recall(self, count: int) -> list[str]:
        """Some that retired completed, each once."""
        keys = sorted(self.milestones)[:count]
        for key in keys:
            self.recalled[key] = self.milestones.pop(key)
        return keys

    @property
    def problems(self) -> list[str]:
        """Recalled orders that are not as they have to be."""
        lost = sum(self.statuses[key] != "REFUNDED" for key in self.recalled)
        short = sum(
            not before.items() <= self.last[key].items()
            for key, before in self.recalled.items()
            if key in self.last
        )
        found = {"recalled orders were not refunded": lost, "came back without their past": short}
        return [f"{count:,} {what}" for what, count in found.items() if count]


class ChangesTail:
    """Reads the topic in bits."""

    def __init__(self, connection: Connection) -> None:
        self.topic = Topic()
        self.counted = 0
        self.fetcher = Fetcher(connection, "changes-tail")
        count = partition_count(connection, ORDERS_CHANGES)
        self.fetcher.client.assign([TopicPartition(ORDERS_CHANGES, p, 0) for p in range(count)])

    def read_all(self) -> None:
        """All that is there."""
        while messages := self.fetcher.fetch(BATCH_MESSAGES, WAIT_S):
            for message in messages:
                key = (message.key or b"").decode()
                if not key.startswith(CLOCK_KEY):
                    self.topic.take(key, message.value)

    def tombstones_since(self) -> int:
        """Number of tombstones since the last call."""
        before, self.counted = self.counted, self.topic.tombstones
        return self.counted - before

    def close(self) -> None:
        self.fetcher.client.close()
