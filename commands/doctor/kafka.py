"""The doctor on Kafka: reachable, authorised, its version, the topics, its clock."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ClusterMetadata

from broker.clients import Admin
from broker.connect import Connection
from broker.errors import plain
from broker.interrupts import answer_of
from broker.topic_settings import check_topics
from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.doctor.kafka_clock import clock
from commands.wiring.broker import connection_of
from schemas.display import count_of
from schemas.errors import OrdertideError
from schemas.topics import CONTROL, EVENTS, GENERATIONS, TOPICS

OLDEST_FETCH = 10
# Brokers don't report their release, only the supported versions of requests. FetchRequest.json
# in Kafka's sources names the KIP behind each version of Fetch, and a KIP its release. A bound, no
# more: 4.4 speaks 18 as well (seen). The others are by the KIPs alone, not tried on such brokers.
RELEASES = {
    10: "2.1",
    11: "2.3",
    12: "2.7",
    13: "3.1",
    14: "3.5",
    15: "3.5",
    16: "3.7",
    17: "3.9",
    18: "4.1",
}
FETCH = re.compile(r"ApiKey Fetch \(1\) Versions \d+\.\.(\d+)")
# Without these orders would be wrong; the other settings are about how long things last.
DECISIVE = {"message.timestamp.type", "cleanup.policy"}
NEEDED = {
    EVENTS: (AclOperation.READ, AclOperation.DESCRIBE),
    **{t.name: (AclOperation.READ, AclOperation.WRITE) for t in TOPICS if t.name != EVENTS},
}


class Cluster(NamedTuple):
    """A cluster that answered, and librdkafka's log lines meanwhile."""

    connection: Connection
    admin: AdminClient
    metadata: ClusterMetadata
    log_lines: list[str]
    context: CheckContext


class Collected(logging.Handler):
    """Keeps what librdkafka logs: the reason of a refusal stands nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more line."""
        self.lines.append(record.getMessage())


def check(context: CheckContext) -> Iterator[Finding]:
    """Can it be reached; and if so, everything else."""
    connection = connection_of(context.settings.broker)
    if connection.embedded:
        yield warning("broker", "the embedded broker", "it is for the demo and for tests only")
        return
    logger, collected = collecting()
    config = {**connection.config("admin"), "debug": "feature", "logger": logger}
    with Admin(config) as admin:
        yield from check_cluster(connection, admin.client, collected.lines, context)


def check_cluster(
    connection: Connection, admin: AdminClient, log_lines: list[str], context: CheckContext
) -> Iterator[Finding]:
    """Check the cluster through an open client, whose log lines arrive in `log_lines`."""
    try:
        metadata = answer_of(lambda: admin.list_topics(timeout=context.timeout_s))
    except KafkaException as error:
        admin.poll(0)
        yield unreachable(connection, error, log_lines)
        return
    admin.poll(0)
    brokers = len(metadata.brokers)
    yield ok(
        "reachable",
        f"{connection.bootstrap}: cluster {metadata.cluster_id}, {count_of(brokers, 'broker')}",
    )
    cluster = Cluster(connection, admin, metadata, log_lines, context)
    for each in CHECKS:
        yield from each(cluster)


def collecting() -> tuple[logging.Logger, Collected]:
    """A logger of its own for one client; debug lines stay out of our log."""
    logger = logging.Logger("ordertide.doctor", logging.DEBUG)  # noqa: LOG001 - not for others
    collected = Collected()
    logger.addHandler(collected)
    return logger, collected


def unreachable(connection: Connection, error: KafkaException, log_lines: list[str]) -> Finding:
    """The error, with the client's own last word on why."""
    failures = [line.partition("]: ")[2] for line in log_lines if line.startswith("FAIL")]
    reason = plain(failures[-1] if failures else error.args[0].str())
    remedy = (
        "check [broker] bootstrap and the brokers' advertised.listeners, then user, password, "
        "security.protocol and the CA: a wrong password may look like a lost connection"
    )
    return problem("reachable", f"{connection.bootstrap}: {reason}", remedy)


def version(cluster: Cluster) -> Iterator[Finding]:
    """The oldest of the brokers, by what it speaks."""
    spoken = [int(found[1]) for line in cluster.log_lines if (found := FETCH.search(line))]
    if not spoken:
        yield warning("version", "the broker reports no versions", "check its release")
        return
    oldest = min(spoken)
    if oldest < OLDEST_FETCH:
        yield problem("version", f"older than {RELEASES[OLDEST_FETCH]}", "upgrade the brokers")
        return
    release = RELEASES.get(oldest, RELEASES[max(RELEASES)])
    yield ok("version", f"speaks like Kafka {release} or later (Fetch {oldest})")


def topics_exist(cluster: Cluster) -> Iterator[Finding]:
    """All or, before the first start, none."""
    missing = [topic.name for topic in TOPICS if topic.name not in cluster.metadata.topics]
    if len(missing) == len(TOPICS):
        remedy = "start 'ordertide track' once: it makes them"
        yield warning("topics", "none of ours is there yet", remedy)
    for name in missing if len(missing) < len(TOPICS) else []:
        remedy = "restart 'ordertide track', which makes it; find out who deleted it"
        yield problem(f"topic {name}", "it does not exist", remedy)
    for name in existing(cluster):
        count = len(cluster.metadata.topics[name].partitions)
        yield ok(f"topic {name}", count_of(count, "partition"))


def existing(cluster: Cluster) -> list[str]:
    """Those of our topics that are there."""
    return [topic.name for topic in TOPICS if topic.name in cluster.metadata.topics]


def topic_settings(cluster: Cluster) -> Iterator[Finding]:
    """Report the differences from the settings with which topics are created."""
    try:
        differences = check_topics(cluster.connection, (*TOPICS, GENERATIONS, CONTROL))
    except OrdertideError as error:
        yield problem("topic settings", str(error), "allow DescribeConfigs on the topics")
        return
    for each in differences:
        made = problem if each.setting in DECISIVE else warning
        yield made(f"topic {each.topic}", each.problem, each.way_out)


def authorised(cluster: Cluster) -> Iterator[Finding]:
    """May we read and write what we have to?"""
    names = existing(cluster)
    if not names:
        return
    asked = cluster.admin.describe_topics(
        TopicCollection(names),
        include_authorized_operations=True,
        request_timeout=cluster.context.timeout_s,
    )
    lacking = 0
    for name, answer in asked.items():
        try:
            allowed = answer.result(cluster.context.timeout_s).authorized_operations
        except KafkaException as error:
            lacking += 1
            yield problem(f"topic {name}", error.args[0].str(), "allow Describe in its ACL")
            continue
        missing = [each.name for each in NEEDED[name] if allowed and each not in allowed]
        if missing:
            lacking += 1
            found = f"we may not {', '.join(missing)}"
            yield problem(f"topic {name}", found, f"kafka-acls.sh --add --topic {name} …")
    if not lacking:
        yield ok("authorised", f"reading and writing {len(names)} topics is allowed")


def check_clock(cluster: Cluster) -> Iterator[Finding]:
    """See `doctor_kafka_clock`."""
    yield from clock(cluster.connection, cluster.admin, cluster.metadata, cluster.context)


Check = Callable[[Cluster], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (version, topics_exist, topic_settings, authorised, check_clock)
