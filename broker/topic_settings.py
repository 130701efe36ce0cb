"""Settings of topics: the recommended ones, and the differences of an existing topic."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType, TopicDescription

from broker.clients import Admin
from broker.connect import Connection
from broker.errors import PASSING, refusal
from broker.interrupts import answer_of, result_of
from schemas.errors import Busy
from schemas.topics import TOPICS, TopicSettings

ANSWER_TIMEOUT_S = 10.0
REPLICAS = 3
FOR_EVER = -1
AT_LEAST = {"retention.ms", "delete.retention.ms", "min.insync.replicas", "replication factor"}
AT_MOST = {"segment.bytes", "segment.ms"}

Rule = Literal["is", "at least", "at most"]


class Finding(msgspec.Struct, frozen=True):
    """A setting of an existing topic that isn't as it should be; `str()` is a sentence."""

    topic: str
    setting: str
    found: str
    wanted: str
    rule: Rule
    way_out: str

    def __str__(self) -> str:
        return (
            f"topic {self.topic}: {self.problem}; nothing was changed, do it with: {self.way_out}"
        )

    @property
    def problem(self) -> str:
        """Value of the setting, and the one that it should have."""
        should = "" if self.rule == "is" else f"{self.rule} "
        return f"{self.setting} is {self.found}, should be {should}{self.wanted}"


def replicas_for(brokers: int) -> int:
    """The replication factor on so many brokers."""
    return max(1, min(REPLICAS, brokers))


def wanted_config(topic: TopicSettings, replicas: int) -> dict[str, str]:
    """A topic's configuration. One replica may be away without writes having to wait."""
    keeps = "delete.retention.ms" if topic.cleanup_policy == "compact" else "retention.ms"
    segments = {"segment.bytes": topic.segment_bytes, "segment.ms": topic.segment_ms}
    return {
        "message.timestamp.type": topic.timestamp_type,
        "cleanup.policy": topic.cleanup_policy,
        keeps: str(topic.keep_ms),
        "min.insync.replicas": str(max(1, replicas - 1)),
        **{name: str(limit) for name, limit in segments.items() if limit is not None},
    }


def check_topics(connection: Connection, topics: Iterable[TopicSettings] = TOPICS) -> list[Finding]:
    """Differences of existing topics from the recommended settings; missing topics are left out.

    An embedded broker has no settings: nothing is found there.

    Raises:
        Busy: the broker is unavailable. BrokerFailed: it refuses the request.
    """
    if connection.embedded:
        return []
    try:
        with Admin(connection.config("admin")) as admin:
            there = answer_of(lambda: admin.client.list_topics(timeout=ANSWER_TIMEOUT_S))
            known = [topic for topic in topics if topic.name in there.topics]
            replicas = replicas_for(len(there.brokers))
            return list(findings(admin.client, known, replicas)) if known else []
    except KafkaException as failed:
        error = failed.args[0]
        if error.name() in PASSING:
            raise Busy(f"topics: the broker gives no settings: {error.str()}") from failed
        raise refusal("topics: settings", error) from failed


def retention_ms(connection: Connection, topic: str) -> float:
    """Retention of `topic` by time alone; infinity for ever.

    NaN for an embedded broker, which keeps what it has room for and reports no limit.

    Raises:
        Busy: the broker is unavailable. BrokerFailed: it refuses the request.
    """
    if connection.embedded:
        return math.nan
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        with Admin(connection.config("admin")) as admin:
            asked = admin.client.describe_configs([resource], request_timeout=ANSWER_TIMEOUT_S)
            entries = result_of(asked[resource], ANSWER_TIMEOUT_S)
    except KafkaException as failed:
        error = failed.args[0]
        if error.name() in PASSING:
            raise Busy(f"topic {topic}: the broker gives no settings: {error.str()}") from failed
        raise refusal(f"topic {topic}", error) from failed
    keeps_ms = int(str(entries["retention.ms"].value))
    return math.inf if keeps_ms == FOR_EVER else float(keeps_ms)


def findings(admin: AdminClient, topics: list[TopicSettings], replicas: int) -> Iterator[Finding]:
    """Compare the topics, all of which exist, with what a cluster of this size should have."""
    names = [topic.name for topic in topics]
    described = admin.describe_topics(TopicCollection(names), request_timeout=ANSWER_TIMEOUT_S)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configured = {
        resource.name: answer
        for resource, answer in admin.describe_configs(
            resources, request_timeout=ANSWER_TIMEOUT_S
        ).items()
    }
    for topic in topics:
        entries = result_of(configured[topic.name], ANSWER_TIMEOUT_S)
        found = {name: str(entry.value) for name, entry in entries.items()}
        found["replication factor"] = str(fewest_replicas(result_of(described[topic.name])))
        wanted = wanted_config(topic, replicas) | {"replication factor": str(replicas)}
        yield from differences(topic.name, found, wanted)


def fewest_replicas(topic: TopicDescription) -> int:
    """Replicas of the partition that has the fewest."""
    return min(len(partition.replicas) for partition in topic.partitions)


def differences(
    topic: str, found: Mapping[str, str], wanted: Mapping[str, str]
) -> Iterator[Finding]:
    """Settings that differ; longer retention, more replicas, shorter segments are as good."""
    for setting, value in wanted.items():
        rule = rule_of(setting)
        if not suits(found[setting], value, rule):
            yield Finding(
                topic, setting, found[setting], value, rule, way_out(topic, setting, value)
            )


def rule_of(setting: str) -> Rule:
    """The comparison by which a setting meets the recommendation."""
    if setting in AT_MOST:
        return "at most"
    return "at least" if setting in AT_LEAST else "is"


def suits(found: str, wanted: str, rule: Rule) -> bool:
    """Return True if a setting meets the recommendation."""
    if rule == "is":
        return found == wanted
    if rule == "at most":
        return int(found) <= int(wanted)
    return int(found) == FOR_EVER or int(found) >= int(wanted)


def way_out(topic: str, setting: str, wanted: str) -> str:
    """The command that puts a setting right."""
    if setting == "replication factor":
        return f"kafka-reassign-partitions.sh, {wanted} replicas for each partition of {topic}"
    return (
        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
        f"--add-config {setting}={wanted}"
    )
