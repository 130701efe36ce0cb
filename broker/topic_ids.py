"""Ids of the topics that a process reads, compared with those at its start."""

from typing import Self

from broker.connect import Connection
from broker.topic_identity import LayoutWatch, check_topic_id


class TopicIds:
    """The ids of topics at their first query; empty for an embedded broker's."""

    def __init__(self, connection: Connection) -> None:
        """Create the table; nothing is queried yet."""
        self._connection = connection
        self._watches: dict[str, LayoutWatch] = {}
        self._ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        for watch in self._watches.values():
            watch.close()

    def of(self, topic: str) -> str:
        """The id of a topic.

        Raises:
            TopicMissing, Busy, BrokerFailed: there is no first answer.
        """
        if self._connection.embedded:
            return ""
        if topic not in self._watches:
            watch = self._watches[topic] = LayoutWatch(self._connection, topic)
            self._ids[topic] = watch.now().topic_id
        return self._ids[topic]

    def known(self, topic: str) -> str:
        """The same from memory; empty for a topic that wasn't queried."""
        return self._ids.get(topic, "")

    def check(self, way_out: str) -> None:
        """Check that none was recreated; the answer is some seconds old, and not waited for.

        Raises:
            OffsetLost: one was recreated. TopicMissing: one was deleted.
        """
        for topic, watch in self._watches.items():
            check_topic_id(topic, self._ids[topic], watch.now().topic_id, way_out)
