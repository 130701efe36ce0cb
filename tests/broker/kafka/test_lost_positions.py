"""A position that the topic no longer has, or that belongs to another topic, is a clear error."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from broker.connect import Connection
from broker.consume import GroupReader, PartitionReader, read_all
from broker.errors import OffsetLost, TopicMissing
from broker.topic_identity import LayoutWatch, check_topic_id
from broker.topic_ids import TopicIds
from schemas.topics import TopicSettings
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.records import order_record
from storage_tiering.tier import TopicPosition
from tests.support.kafka.topics import (
    PATIENCE_S,
    admin,
    cut_off,
    delete,
    done,
    grow,
    make_anew,
    write,
)
from tests.support.reading import read_count, read_until
from tests.support.tiers.orders import document
from tests.support.waiting import wait_until


def test_retention_that_overtook_a_stored_position_is_an_error(
    kafka: Connection, topic: str
) -> None:
    write(kafka, topic, range(10))
    cut_off(kafka, topic, before=5)
    with (
        PartitionReader(kafka, topic, 0, 3) as reader,
        pytest.raises(
            OffsetLost, match=r"offset 3: start offset overtook reader, 5 to 10 are held"
        ),
    ):
        read_count(reader, 1)
    assert [int(m.value or b"") for m in read_all(kafka, topic)] == [5, 6, 7, 8, 9]


def test_retention_that_overtakes_a_group_is_an_error(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(10))
    with GroupReader(kafka, topic, [topic]) as reader:
        while sum(len(reader.read(max_messages=2)) for _ in range(2)) == 0:
            pass
        reader.commit()
    write(kafka, topic, range(10, 20))
    cut_off(kafka, topic, before=15)
    with GroupReader(kafka, topic, [topic]) as reader, pytest.raises(OffsetLost, match=topic):
        read_count(reader, 20)


def test_a_position_past_the_end_is_not_taken_for_the_end(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(3))
    with (
        PartitionReader(kafka, topic, 0, 100) as reader,
        pytest.raises(OffsetLost, match="ends at 3, so it is not the one that was read before"),
    ):
        read_count(reader, 1)


@pytest.fixture
def watch(kafka: Connection, topic: str) -> Iterator[LayoutWatch]:
    with LayoutWatch(kafka, topic, every_s=0.0) as found:
        yield found


def test_a_topic_made_anew_under_its_name_is_told_by_its_id(
    kafka: Connection, topic: str, watch: LayoutWatch
) -> None:
    before = watch.now().topic_id
    assert before
    check_topic_id(topic, before, watch.now().topic_id)
    make_anew(kafka, TopicSettings(topic))
    wait_until(lambda: watch.now().topic_id != before, "the new topic's id")
    with pytest.raises(OffsetLost, match=f"topic {topic}: was deleted and recreated"):
        check_topic_id(topic, before, watch.now().topic_id)


def test_a_topic_that_is_deleted_while_it_is_watched_is_missing(
    kafka: Connection, topic: str, watch: LayoutWatch
) -> None:
    delete(kafka, topic)
    with pytest.raises(TopicMissing, match=topic):
        wait_until(lambda: watch.now().partitions == 0, "the end of the topic")
    with pytest.raises(TopicMissing, match=topic):
        LayoutWatch(kafka, topic)


def test_added_partitions_are_found(kafka: Connection, topic: str, watch: LayoutWatch) -> None:
    assert watch.now().partitions == 1
    grow(kafka, topic, 3)
    wait_until(lambda: watch.now().partitions == 3, "three partitions")


def test_a_reader_of_a_group_goes_where_it_is_told_whatever_the_group_has_committed(
    kafka: Connection, topic: str
) -> None:
    write(kafka, topic, range(10))
    with GroupReader(kafka, topic, [topic]) as reader:
        read_count(reader, 10)
        reader.commit()
    asked: list[tuple[str, int]] = []
    assigned: list[tuple[str, int]] = []

    def start_of(name: str, partition: int) -> int | None:
        asked.append((name, partition))
        return 7

    with GroupReader(
        kafka, topic, [topic], on_assigned=assigned.extend, start_of=start_of
    ) as reader:
        assert [m.offset for m in read_count(reader, 3)] == [7, 8, 9]
    assert asked == assigned == [(topic, 0)]
    with GroupReader(kafka, topic, [topic], start_of=lambda *_: None) as reader:
        assert [m.offset for m in read_count(reader, 10)] == list(range(10))
    with (
        GroupReader(kafka, topic, [topic], start_of=lambda *_: 99) as reader,
        pytest.raises(OffsetLost, match="99"),
    ):
        read_until(lambda: False, reader)


def read_and_commit(kafka: Connection, topic: str, count: int) -> None:
    with GroupReader(kafka, topic, [topic]) as reader:
        read_count(reader, count)
        reader.commit()


def test_a_group_whose_offsets_are_of_a_former_topic_does_not_go_on(
    kafka: Connection, topic: str
) -> None:
    write(kafka, topic, range(10))
    set_offset(kafka, topic, 5, "the-id-of-the-former")
    with (
        GroupReader(kafka, topic, [topic]) as reader,
        pytest.raises(OffsetLost, match=f"{topic}: was deleted and recreated.*--group {topic}"),
    ):
        read_count(reader, 1)
    with (
        GroupReader(kafka, topic, [topic], start_of=lambda *_: 5) as reader,
        pytest.raises(OffsetLost, match="was deleted and recreated"),
    ):
        read_count(reader, 1)


def test_a_topic_made_anew_is_read_from_its_beginning_by_a_group_of_which_kafka_knows_nothing(
    kafka: Connection, topic: str
) -> None:
    write(kafka, topic, range(5))
    read_and_commit(kafka, topic, 5)
    make_anew(kafka, TopicSettings(topic))
    write(kafka, topic, range(100, 110))
    with GroupReader(kafka, topic, [topic]) as reader:
        assert [int(m.value or b"") for m in read_count(reader, 10)] == [*range(100, 110)]


def test_the_files_of_an_archive_are_known_from_a_topic_that_was_made_anew(
    kafka: Connection, topic: str, tmp_path: Path
) -> None:
    settings = ArchiveSettings(changes_topic=topic)
    tier = ParquetTier(LocalFiles(tmp_path), settings)
    ids = TopicIds(kafka)
    tier.know_topics(ids.of)
    record = order_record(document(), TopicPosition(topic, 0, 4))
    tier.write_orders([record])
    assert tier.flush(force=True)
    assert tier.resume_offset(topic, 0) == 5
    make_anew(kafka, TopicSettings(topic))
    again = ParquetTier(LocalFiles(tmp_path), settings)
    ids.close()
    ids = TopicIds(kafka)
    again.know_topics(ids.of)
    with pytest.raises(OffsetLost, match=f"{topic}: was deleted and recreated.*another folder"):
        again.resume_offset(topic, 0)
    ids.close()


def test_a_member_that_reads_while_its_topic_is_made_anew_commits_nothing_of_it(
    kafka: Connection, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.topic_identity.ASK_EVERY_S", 0.1)
    write(kafka, topic, range(5))
    with GroupReader(kafka, topic, [topic]) as reader:
        read_count(reader, 5)
        reader.commit()
        make_anew(kafka, TopicSettings(topic))
        write(kafka, topic, range(100, 110))
        with pytest.raises((OffsetLost, TopicMissing)):
            read_and_commit_for(reader, PATIENCE_S)


def read_and_commit_for(reader: GroupReader, time_s: float) -> None:
    give_up_at = time.monotonic() + time_s
    while time.monotonic() < give_up_at:
        if reader.read():
            reader.commit()


def test_offsets_that_a_tool_has_set_are_taken(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(5))
    read_and_commit(kafka, topic, 5)
    set_offset(kafka, topic, 2)
    with GroupReader(kafka, topic, [topic]) as reader:
        assert [int(m.value or b"") for m in read_count(reader, 3)] == [2, 3, 4]


def set_offset(kafka: Connection, topic: str, offset: int, metadata: str = "") -> None:
    """As kafka-consumer-groups.sh does with --reset-offsets, where there is no metadata."""
    client = admin(kafka)
    wanted = [TopicPartition(topic, 0, offset, metadata)]
    done(client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(topic, wanted)]))
