"""The run's own Kafka on a core of its own, its topics, and what it holds."""

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from benchmarks.compare.contender import BROKER_CORE, on_core
from benchmarks.compare.job import PARTITIONS, Ready
from broker.clients import Admin, Consumer
from broker.connect import Connection
from broker.topics import ensure_topics
from deploy.stack.kafka import Kafka
from schemas.topics import LEASE, TOPICS

ANSWER_TIMEOUT_S = 30.0
HELD_MS = "86400000"
# Recorded time is long ago, and nothing may go while it is still to be checked.
KEPT = {"retention.ms": "-1", "retention.bytes": "-1"}


class Broker:
    """The broker's topics; each topic's messages are counted by its end offsets."""

    def __init__(self, bootstrap: str) -> None:
        self.connection = Connection(bootstrap)
        self.client = Consumer({**self.connection.config("consumer"), "group.id": "compare"})

    @cached_property
    def admin(self) -> Admin:
        return Admin(self.connection.config("admin"))

    def create(self, systems: list[Ready]) -> None:
        """ordertide's topics and those of the other systems."""
        ensure_topics(self.connection, PARTITIONS, topics=(*TOPICS, LEASE))
        names = {t for ready in systems for t in (ready.counted, ready.changes, ready.alerts)}
        fresh = names - {topic.name for topic in TOPICS}
        wanted = [NewTopic(name, PARTITIONS, 1, config=dict(KEPT)) for name in sorted(fresh)]
        for made in self.admin.client.create_topics(wanted).values() if wanted else ():
            made.result(ANSWER_TIMEOUT_S)

    def written(self, topic: str) -> int:
        """Number of messages in a topic."""
        return sum(self.end(part) for part in self.parts(topic))

    def parts(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]

    def end(self, part: TopicPartition) -> int:
        """The end offset of a partition."""
        end: int = self.client.get_watermark_offsets(part, timeout=ANSWER_TIMEOUT_S)[1]
        return end

    def close(self) -> None:
        self.client.close()


def kafka(folder: Path) -> Kafka:
    """Not started yet; its address is known."""
    held = {"group.max.session.timeout.ms": HELD_MS}
    return Kafka(folder / "kafka", heap_mb=512, properties=held)


@contextlib.contextmanager
def running(server: Kafka) -> Iterator[Broker]:
    """The broker, answering."""
    with contextlib.ExitStack() as stack:
        with on_core(BROKER_CORE):
            server.start()
        stack.callback(server.stop)
        server.wait()
        broker = Broker(server.address["bootstrap"])
        stack.callback(broker.close)
        yield broker
