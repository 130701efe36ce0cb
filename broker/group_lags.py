"""Lags of consumer groups, as the usual tools see them: end offsets less committed offsets."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
from confluent_kafka import TopicPartition

from broker.clients import Consumer
from broker.committed import committed
from broker.connect import Connection
from broker.consume import held_offsets

TIMEOUT_S = 5.0


class GroupLag(msgspec.Struct, frozen=True):
    """Messages that a group has processed and committed (`done`), and those `behind` that."""

    done: int = 0
    behind: int = 0


class GroupLags:
    """Lags of `groups` (group → its topics), as of the last `look`."""

    def __init__(self, connection: Connection, groups: Mapping[str, Sequence[str]]) -> None:
        """Open a client for each group; nothing is known until `look`."""
        self.groups = groups
        self.of = dict.fromkeys(groups, GroupLag())
        # The ends of what is committed would stand still until the coordinator has written the
        # markers of a transaction, which takes a busy broker half a minute.
        config = {**connection.config("consumer"), "isolation.level": "read_uncommitted"}
        self._clients = {group: Consumer({**config, "group.id": group}) for group in groups}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def look(self) -> None:
        """Query the positions of every group.

        Raises:
            Busy: the broker is unavailable. TopicMissing, BrokerFailed: it refuses.
        """
        names = {topic for topics in self.groups.values() for topic in topics}
        client = next(iter(self._clients.values()))
        ends = {topic: held_offsets(client, topic, TIMEOUT_S) for topic in names}
        for group, topics in self.groups.items():
            self.of[group] = self._lag(group, {t: ends[t] for t in topics})

    def _lag(self, group: str, ends: Mapping[str, Mapping[int, tuple[int, int]]]) -> GroupLag:
        places = [TopicPartition(topic, number) for topic in ends for number in ends[topic]]
        client = self._clients[group]
        stored = committed(client, group, places, TIMEOUT_S)
        done = behind = 0
        for place in stored:
            first, end = ends[place.topic][place.partition]
            done += max(place.offset, 0)
            behind += max(0, end - max(place.offset, first))
        return GroupLag(done, behind)
