"""Topics are made with the settings that ordertide's promises rest on, and never changed."""

import math

import msgspec
import pytest
from confluent_kafka.admin import ConfigResource, ResourceType

from broker.connect import Connection
from broker.errors import TopicMissing
from broker.topic_settings import check_topics, retention_ms
from broker.topics import ensure_topics, partition_count
from schemas.instants import DAY_MS, HOUR_MS
from schemas.topics import CONTROL, ORDERS_CHANGES, SEGMENT_BYTES, TOPICS, TopicSettings
from tests.support.kafka.topics import admin, make, settle
from tests.support.stack import namespace


def config_of(kafka: Connection, topic: str) -> dict[str, str]:
    client = admin(kafka)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = client.describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in entries.items()}


def test_a_topic_has_append_time_retention_and_three_replicas_of_which_one_may_be_away(
    kafka: Connection,
) -> None:
    events = TopicSettings(namespace(), keep_ms=3 * DAY_MS)
    assert ensure_topics(kafka, 5, topics=[events]) == [events.name]
    settle(kafka, events)
    config = config_of(kafka, events.name)
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["retention.ms"] == str(3 * DAY_MS)
    assert config["min.insync.replicas"] == "2"
    assert partition_count(kafka, events.name) == 5
    assert check_topics(kafka, [events]) == []


def test_a_compacted_topic_keeps_tombstones_for_readers_that_are_away(kafka: Connection) -> None:
    changes = TopicSettings(namespace(), cleanup_policy="compact", partitions=1)
    make(kafka, changes, partitions=8)
    config = config_of(kafka, changes.name)
    assert config["cleanup.policy"] == "compact"
    assert config["delete.retention.ms"] == str(changes.keep_ms)
    assert partition_count(kafka, changes.name) == 1
    assert check_topics(kafka, [changes]) == []


@pytest.mark.parametrize("topic", [ORDERS_CHANGES, CONTROL.name])
def test_what_is_read_from_the_beginning_at_each_start_is_compacted_within_hours(
    kafka: Connection, topic: str
) -> None:
    (shipped,) = [each for each in (*TOPICS, CONTROL) if each.name == topic]
    wanted = msgspec.structs.replace(shipped, name=namespace())
    make(kafka, wanted)
    config = config_of(kafka, wanted.name)
    assert (config["segment.bytes"], config["segment.ms"]) == (str(64 * 1024 * 1024), str(HOUR_MS))
    assert check_topics(kafka, [wanted]) == []


def test_longer_segments_are_found_and_shorter_ones_are_as_good(kafka: Connection) -> None:
    name = namespace()
    compacted = TopicSettings(name, cleanup_policy="compact")
    shorter = msgspec.structs.replace(compacted, segment_bytes=32 * 1024 * 1024)
    make(kafka, msgspec.structs.replace(shorter, segment_ms=2 * HOUR_MS))
    wanted = msgspec.structs.replace(compacted, segment_bytes=SEGMENT_BYTES, segment_ms=HOUR_MS)
    (finding,) = check_topics(kafka, [wanted])
    assert finding.problem == f"segment.ms is {2 * HOUR_MS}, should be at most {HOUR_MS}"
    assert f"--add-config segment.ms={HOUR_MS}" in finding.way_out


def test_other_settings_of_a_topic_that_exists_are_told_with_the_way_out_and_stay(
    kafka: Connection,
) -> None:
    name = namespace()
    ensure_topics(kafka, 1, 1, [TopicSettings(name, timestamp_type="CreateTime", keep_ms=DAY_MS)])
    settle(kafka, TopicSettings(name))
    wanted = TopicSettings(name, keep_ms=2 * DAY_MS)
    before = config_of(kafka, name)
    assert ensure_topics(kafka, 1, topics=[wanted]) == []
    findings = {finding.setting: str(finding) for finding in check_topics(kafka, [wanted])}
    assert set(findings) == {
        *("message.timestamp.type", "retention.ms", "min.insync.replicas", "replication factor")
    }
    assert f"topic {name}: retention.ms is {DAY_MS}, should be at least" in findings["retention.ms"]
    assert f"--add-config retention.ms={2 * DAY_MS}" in findings["retention.ms"]
    assert "kafka-reassign-partitions" in findings["replication factor"]
    assert config_of(kafka, name) == before


def test_a_topic_that_keeps_more_than_it_must_is_as_good(kafka: Connection) -> None:
    name = namespace()
    make(kafka, TopicSettings(name, keep_ms=9 * DAY_MS))
    assert check_topics(kafka, [TopicSettings(name, keep_ms=DAY_MS)]) == []


def test_a_topic_that_is_missing_is_no_finding(kafka: Connection) -> None:
    assert check_topics(kafka, [TopicSettings(namespace())]) == []


def test_how_long_events_are_kept_is_asked_of_the_broker(kafka: Connection) -> None:
    some_days, for_ever = (TopicSettings(namespace(), keep_ms=ms) for ms in (3 * DAY_MS, -1))
    make(kafka, some_days, for_ever)
    assert retention_ms(kafka, some_days.name) == 3 * DAY_MS
    assert retention_ms(kafka, for_ever.name) == math.inf
    with pytest.raises(TopicMissing, match="topic nowhere: the broker has no such topic"):
        retention_ms(kafka, "nowhere")
