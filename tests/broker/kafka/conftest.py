"""Three real brokers for all tests of this folder; those that kill one start it again."""

from collections.abc import Iterator

import pytest

from broker.connect import Connection
from deploy.stack.kafka import Kafka, cluster_of
from schemas.topics import TopicSettings
from tests.support.kafka.topics import make
from tests.support.servers import need_kafka
from tests.support.stack import namespace

BROKERS = 3


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Kafka]]:
    need_kafka()
    brokers = cluster_of(BROKERS, tmp_path_factory.mktemp("kafka"))
    try:
        for broker in brokers:
            # Sessions of two seconds, so that a dead member is noticed sooner than after ten.
            broker.properties["group.min.session.timeout.ms"] = "2000"
            broker.start()
        for broker in brokers:
            broker.wait(120)
        yield brokers
    finally:
        for broker in brokers:
            broker.kill()


@pytest.fixture
def kafka(cluster: list[Kafka]) -> Connection:
    """Reached through any of the three."""
    return Connection(",".join(broker.address["bootstrap"] for broker in cluster))


@pytest.fixture
def topic(kafka: Connection) -> str:
    """One partition, append time."""
    name = namespace()
    make(kafka, TopicSettings(name, timestamp_type="LogAppendTime", partitions=1))
    return name
