"""Positions of the demo's parts, as their groups have committed them."""

from collections.abc import Mapping, Sequence
from functools import partial

from confluent_kafka import KafkaException, TopicPartition

from broker.clients import Consumer
from broker.connect import Connection
from broker.embedded import PARTITIONS
from broker.errors import worded
from broker.interrupts import answer_of
from schemas.errors import Busy

TIMEOUT_S = 5.0


class Positions:
    """`done` and `behind` in messages by group; `look` queries the broker."""

    def __init__(self, connection: Connection, groups: Mapping[str, Sequence[str]]) -> None:
        self.groups = groups
        self.done = dict.fromkeys(groups, 0)
        self.behind = dict.fromkeys(groups, 0)
        config = connection.config("consumer")
        self._clients = {group: Consumer({**config, "group.id": group}) for group in groups}

    def close(self) -> None:
        """Give up the connections."""
        for client in self._clients.values():
            client.close()

    def look(self) -> None:
        """Query the position of every group.

        Raises:
            Busy: the broker is unavailable.
        """
        try:
            ends = {
                topic: self._ends(topic)
                for topic in {topic for topics in self.groups.values() for topic in topics}
            }
            for group, topics in self.groups.items():
                at = self._committed(group, topics)
                self.done[group] = sum(at.values())
                end = sum(sum(ends[topic].values()) for topic in topics)
                self.behind[group] = end - self.done[group]
        except KafkaException as error:
            raise Busy(f"embedded broker: no positions: {worded(error)}") from error

    def _ends(self, topic: str) -> dict[int, int]:
        client = next(iter(self._clients.values()))
        return {
            part.partition: answer_of(
                partial(client.get_watermark_offsets, part, timeout=TIMEOUT_S)
            )[1]
            for part in partitions(topic)
        }

    def _committed(self, group: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        whole = [part for topic in topics for part in partitions(topic)]
        client = self._clients[group]
        stored = answer_of(lambda: client.committed(whole, timeout=TIMEOUT_S))
        return {(part.topic, part.partition): max(part.offset, 0) for part in stored}


def partitions(topic: str) -> list[TopicPartition]:
    """All of a topic."""
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
