"""Identity of a group's topics: an offset is valid only in the topic that it was committed in.

A topic that was deleted and recreated under its name has offsets of its own: the group's earlier
offsets mean nothing in it, and would skip its first messages silently. Kafka forgets the offsets of
a topic that it deletes, but not in a group that continues to commit, nor where a topic was restored
or copied. So each commit carries the topic's id as its metadata, which the usual tools leave empty,
and reading resumes only in the topic with that id.
"""

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from broker.connect import Connection
from broker.topic_identity import check_topic_id
from broker.topic_ids import TopicIds


class GroupTopics:
    """The topics that a member reads. An embedded broker has no ids: nothing is checked there."""

    def __init__(self, connection: Connection, group: str) -> None:
        """Create the check; nothing is queried yet."""
        self._ids = TopicIds(connection)
        self._way_out = (
            "restore the former topic, or check what the new one lacks and reset the group: "
            f"kafka-consumer-groups.sh --delete --group {group}"
        )

    def close(self) -> None:
        """End the connections."""
        self._ids.close()

    def committable(self, topic: str, partition: int, offset: int) -> TopicPartition:
        """A position as it is to be committed."""
        return TopicPartition(topic, partition, offset, self._ids.known(topic))

    def check_committed(self, stored: Iterable[TopicPartition]) -> None:
        """Check that committed offsets are those of the existing topics.

        Raises:
            OffsetLost: one is of a former topic. TopicMissing, Busy, BrokerFailed: no answer.
        """
        for part in stored:
            found = self._ids.of(part.topic)
            if part.offset >= 0:
                check_topic_id(part.topic, part.metadata or "", found, self._way_out)

    def check(self) -> None:
        """Check that the topics are still those of the positions.

        Raises:
            OffsetLost: one was recreated. TopicMissing: one was deleted.
        """
        self._ids.check(self._way_out)
