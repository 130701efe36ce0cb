"""Topics: how many partitions one has, and making those that are missing."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from broker.clients import Admin, Consumer, Producer
from broker.connect import LOGGER, Connection
from broker.errors import MISSING, PASSING, TopicMissing, missing_topic, refusal, worded
from broker.interrupts import answer_of, result_of
from broker.topic_settings import replicas_for, wanted_config
from schemas.errors import Busy
from schemas.topics import TOPICS, TopicSettings

ANSWER_TIMEOUT_S = 10.0

Client = Consumer | Producer | AdminClient


def partition_count(connection: Connection, topic: str) -> int:
    """Number of partitions of `topic`.

    Raises:
        TopicMissing: there is no such topic.
        Busy: the broker is unavailable.
    """
    # A consumer, because a producer's or admin's question makes the topic where brokers allow it.
    config = {**connection.config("consumer"), "group.id": connection.client_id}
    with Consumer(config) as client:
        return count_partitions(client, topic)


def wait_for_topics(
    connection: Connection, names: Iterable[str], waiting: Callable[[str], bool]
) -> bool:
    """Return True once all of the topics exist; their creator may be starting at this moment.

    `waiting` is called with what is missing, pauses, and returns False to give up; then False is
    returned. An embedded broker creates topics on first use: nothing to wait for.

    Raises:
        Busy: the broker is unavailable.
    """
    for name in () if connection.embedded else names:
        while is_missing(connection, name):
            if not waiting(f"topic {name} is missing: 'ordertide track' creates it"):
                return False
    return True


def is_missing(connection: Connection, topic: str) -> bool:
    """Return True if there is no such topic."""
    try:
        partition_count(connection, topic)
    except TopicMissing:
        return True
    return False


def count_partitions(client: Client, topic: str, timeout_s: float = ANSWER_TIMEOUT_S) -> int:
    """Number of partitions, queried through an existing client; see `partition_count`."""
    try:
        found = answer_of(lambda: client.list_topics(topic, timeout=timeout_s)).topics[topic]
    except KafkaException as error:
        raise Busy(f"topic {topic}: the broker is unavailable: {worded(error)}") from error
    if found.error is None:
        return len(found.partitions)
    if found.error.name() in MISSING:
        raise missing_topic(topic)
    if found.error.name() in PASSING:
        raise Busy(f"topic {topic}: {found.error.str()}")
    raise refusal(f"topic {topic}", found.error)


def ensure_topics(
    connection: Connection,
    partitions: int,
    replication_factor: int | None = None,
    topics: Iterable[TopicSettings] = TOPICS,
) -> list[str]:
    """Create the topics that are missing, with their settings; return the names created.

    Without `replication_factor` it is 3, or as many as there are brokers. Existing topics are left
    unchanged (`broker.topic_settings.check_topics` lists their differences). An embedded broker
    creates topics on first use and takes no administration: there this creates nothing.

    Raises:
        Busy: the broker is unavailable. BrokerFailed: it refuses.
    """
    with Admin(connection.config("admin")) as admin:
        try:
            there = answer_of(lambda: admin.client.list_topics(timeout=ANSWER_TIMEOUT_S))
        except KafkaException as error:
            raise Busy(f"topics: the broker is unavailable: {worded(error)}") from error
        if str(there.cluster_id).startswith("mockCluster"):
            return []
        missing = [t for t in topics if t.name not in there.topics]
        if not missing:
            return []
        replicas = replication_factor or replicas_for(len(there.brokers))
        asked = admin.client.create_topics([to_new_topic(t, partitions, replicas) for t in missing])
        return [name for name, answer in asked.items() if was_created(name, answer)]


def to_new_topic(topic: TopicSettings, partitions: int, replicas: int) -> NewTopic:
    """The request that creates `topic`."""
    return NewTopic(
        topic.name,
        num_partitions=topic.partitions or partitions,
        replication_factor=replicas,
        config=wanted_config(topic, replicas),
    )


def was_created(name: str, answer: "Future[None]") -> bool:
    """Wait for the broker's answer; False where another process was first."""
    try:
        result_of(answer, ANSWER_TIMEOUT_S)
    except KafkaException as failed:
        error = failed.args[0]
        if error.name() == "TOPIC_ALREADY_EXISTS":
            return False
        if error.name() in PASSING:
            raise Busy(f"topic {name}: {error.str()}") from failed
        raise refusal(f"topic {name}", error) from failed
    LOGGER.info("topic %s: created", name)
    return True
