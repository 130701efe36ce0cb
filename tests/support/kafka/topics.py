"""Topics on real brokers: made, looked at, grown, cut off and deleted."""

import subprocess
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from broker.connect import Connection
from broker.produce import Producer, Record
from broker.topics import ensure_topics, to_new_topic
from deploy.stack.java import java
from deploy.stack.kafka import LOGGING, Kafka
from deploy.stack.library import POMS, copy_jars, installed
from schemas.topics import TopicSettings
from tests.support.waiting import wait_until

PATIENCE_S = 60.0
TOOLS = "kafka-tools"


def make(kafka: Connection, *topics: TopicSettings, partitions: int = 1) -> None:
    ensure_topics(kafka, partitions, topics=topics)
    settle(kafka, *topics)


def settle(kafka: Connection, *topics: TopicSettings) -> None:
    """Wait until every broker knows the topics; one that was just started learns late."""
    names = {topic.name for topic in topics}
    for address in kafka.bootstrap.split(","):
        wait_until(partial(are_known, Connection(address), names), f"{names} at {address}")


def are_known(kafka: Connection, names: set[str]) -> bool:
    return names <= set(admin(kafka).list_topics(timeout=PATIENCE_S).topics)


def make_anew(kafka: Connection, *topics: TopicSettings, partitions: int = 1) -> None:
    """Delete those that are there, and make them all; whatever some broker still believes."""
    client = admin(kafka)
    there = client.list_topics(timeout=PATIENCE_S).topics
    old = [topic.name for topic in topics if topic.name in there]
    if old:
        done(client.delete_topics(old))
    done(client.create_topics([to_new_topic(topic, partitions, 3) for topic in topics]))
    settle(kafka, *topics)


def admin(kafka: Connection) -> AdminClient:
    return AdminClient(kafka.config("admin"))


def done(asked: dict[Any, "Future[Any]"]) -> None:
    for answer in asked.values():
        answer.result(PATIENCE_S)


def write(kafka: Connection, topic: str, values: Sequence[int], partition: int = 0) -> None:
    with Producer(kafka) as producer:
        producer.send_many(
            topic, [Record(b"%d" % n, b"%d" % n, partition=partition) for n in values]
        )


def delete(kafka: Connection, topic: str) -> None:
    client = admin(kafka)
    done(client.delete_topics([topic]))


def cut_off(kafka: Connection, topic: str, before: int, partition: int = 0) -> None:
    """Drop everything before an offset, as retention would."""
    client = admin(kafka)
    done(client.delete_records([TopicPartition(topic, partition, before)]))


def grow(kafka: Connection, topic: str, partitions: int) -> None:
    client = admin(kafka)
    done(client.create_partitions([NewPartitions(topic, partitions)]))
    for address in kafka.bootstrap.split(","):  # a broker without the metadata refuses messages
        has_grown = partial(has_partitions, Connection(address), topic, partitions)
        wait_until(has_grown, f"{partitions} partitions at {address}")


def has_partitions(kafka: Connection, topic: str, count: int) -> bool:
    return partitions_of(kafka, topic) == count


def partitions_of(kafka: Connection, topic: str) -> int:
    return len(admin(kafka).list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions)


def leader_of(kafka: Connection, cluster: Sequence[Kafka], topic: str) -> Kafka:
    """The broker that leads partition 0, once one does."""
    client = admin(kafka)

    def led() -> list[Kafka]:
        described = client.describe_topics(TopicCollection([topic]))[topic].result(PATIENCE_S)
        leader = described.partitions[0].leader
        return [cluster[int(leader.id) - 1]] if leader is not None else []

    return wait_until(led, f"a leader of {topic}")[0]


def kafka_tool(
    kafka: Connection, folder: Path, program: str, *options: str, stdin: str = ""
) -> str:
    """One of Kafka's own command-line programs, by its Java class; what it printed."""
    home = installed(
        TOOLS,
        [POMS / TOOLS / "pom.xml"],
        lambda place: copy_jars(TOOLS, f"-DoutputDirectory={place}/lib"),
    )
    command = [
        *java(folder, 96),
        *(f"-Dlog4j2.configurationFile={LOGGING}", "-Dordertide.level=error"),
        *("-cp", f"{home}/lib/*", program, "--bootstrap-server", kafka.bootstrap, *options),
    ]
    ran = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
