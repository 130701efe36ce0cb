"""Holding producers back so that an embedded broker never drops what a reader still needs.

librdkafka's mock cluster keeps 5 MiB (compressed) or 100,000 batches a partition and silently drops
the oldest. A real broker has retention in hours and needs none of this.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from broker.clients import Consumer
from broker.connect import LOGGER, Connection
from broker.errors import worded
from broker.interrupts import answer_of
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from schemas.errors import Busy

# Half of what a partition keeps, uncompressed: the other half is for estimates that are off and for
# credit that another producer still holds.
ROOM_BYTES = 5 * 1024 * 1024 // 2
PAUSE_S = 0.01
COMPLAIN_EVERY_S = 10.0


class Throttle:
    """Credit in bytes for producers, by the slowest of the groups that read each topic.

    `readers`: topic → the groups whose committed (or reported) offsets count. A group that hasn't
    committed yet counts from the partition's beginning. Topics without readers aren't held back.
    Where several processes write to a topic, each gets its share by `producers`.
    """

    pause_s = PAUSE_S

    def __init__(
        self, connection: Connection, readers: Mapping[str, Sequence[str]], producers: int = 1
    ) -> None:
        self._readers = readers
        self._producers = producers
        self._credit_bytes = {topic: 0.0 for topic, groups in readers.items() if groups}
        self._sent = dict.fromkeys(self._credit_bytes, (0, 0))  # messages, bytes
        self._waiting_since: dict[str, float] = {}
        self._groups = {
            group: Consumer({**connection.config("consumer"), "group.id": group})
            for group in sorted({group for groups in readers.values() for group in groups})
        }

    def take(self, topic: str, size_bytes: int) -> bool:
        """Take the credit for one message; False: flush, `refresh`, and retry."""
        credit_bytes = self._credit_bytes.get(topic)
        if credit_bytes is None:
            return True
        if credit_bytes < size_bytes:
            return False
        self._credit_bytes[topic] = credit_bytes - size_bytes
        messages, sent_bytes = self._sent[topic]
        self._sent[topic] = (messages + 1, sent_bytes + size_bytes)
        return True

    def has_room(self, topic: str, size_bytes: int) -> bool:
        """Return True if `take` would succeed."""
        return self._credit_bytes.get(topic, size_bytes) >= size_bytes

    def refresh(self, topic: str) -> None:
        """Query the positions of the readers and renew the credit; without an answer there is none.

        Everything written so far has to be in the broker's log already (flush).
        """
        try:
            rooms = self._rooms_bytes(topic)
        except (KafkaException, Busy) as error:
            LOGGER.warning("throttle: %s: no offsets: %s", topic, worded(error))
            rooms = {}
        room_bytes = min(rooms.values(), default=0.0)
        self._credit_bytes[topic] = max(room_bytes, 0.0) / self._producers
        self._complain_when_stuck(topic, rooms)

    def close(self) -> None:
        """Give up the connections."""
        for client in self._groups.values():
            client.close()

    def _rooms_bytes(self, topic: str) -> dict[int, float]:
        """Partition → bytes that may be appended to it, were they all to land there."""
        client = next(iter(self._groups.values()))
        whole = [TopicPartition(topic, p) for p in range(count_partitions(client, topic))]
        slowest = self._slowest(topic, whole)
        rooms = {}
        for part in whole:
            low, high = answer_of(
                partial(client.get_watermark_offsets, part, timeout=ANSWER_TIMEOUT_S)
            )
            rooms[part.partition] = self._room_bytes(topic, low, high, slowest[part.partition])
        return rooms

    def _slowest(self, topic: str, whole: list[TopicPartition]) -> dict[int, int]:
        """Partition → the lowest offset that a group still has to read."""
        slowest: dict[int, int] = {}
        for group in self._readers[topic]:
            client = self._groups[group]
            for at in answer_of(partial(client.committed, whole, timeout=ANSWER_TIMEOUT_S)):
                offset = max(at.offset, 0)
                slowest[at.partition] = min(slowest.get(at.partition, offset), offset)
        return slowest

    def _room_bytes(self, topic: str, low: int, high: int, slowest: int) -> float:
        messages, sent_bytes = self._sent[topic]
        mean_bytes = sent_bytes / messages if messages else 0.0
        # By size, uncompressed; or by what the log is seen to hold at once, compression included.
        by_size = ROOM_BYTES - (high - slowest) * mean_bytes
        by_evidence = ((high - low) / 2 - (high - slowest)) * mean_bytes
        return max(by_size, by_evidence)

    def _complain_when_stuck(self, topic: str, rooms: dict[int, float]) -> None:
        if self._credit_bytes[topic] > 0:
            self._waiting_since.pop(topic, None)
            return
        now = time.monotonic()
        if now - self._waiting_since.setdefault(topic, now) >= COMPLAIN_EVERY_S:
            self._waiting_since[topic] = now
            LOGGER.warning(
                "throttle: %s: waiting for groups %s; room by partition %s",
                topic,
                list(self._readers[topic]),
                rooms,
            )
