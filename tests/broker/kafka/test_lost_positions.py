"""A position that the topic no longer has, or that belongs to another topic, is a clear error."""

import time
from collections.abc import Callable

import pytest

from broker.connect import Connection
from broker.consume import GroupReader, PartitionReader, read_all
from broker.errors import OffsetLost, TopicMissing
from broker.layout import LayoutWatch, check_topic_id
from schemas.topics import TopicSettings
from tests.broker.kafka.topics import PATIENCE_S, cut_off, delete, grow, make_anew, write
from tests.broker.reading import read_count, read_until


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.05)


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


def test_a_topic_made_anew_under_its_name_is_told_by_its_id(kafka: Connection, topic: str) -> None:
    watch = LayoutWatch(kafka, topic, every_s=0.0)
    before = watch.now().topic_id
    assert before
    check_topic_id(topic, before, watch.now().topic_id)
    make_anew(kafka, TopicSettings(topic))
    wait_until(lambda: watch.now().topic_id != before)
    with pytest.raises(OffsetLost, match=f"topic {topic}: was deleted and made anew"):
        check_topic_id(topic, before, watch.now().topic_id)


def test_a_topic_that_is_deleted_while_it_is_watched_is_missing(
    kafka: Connection, topic: str
) -> None:
    watch = LayoutWatch(kafka, topic, every_s=0.0)
    delete(kafka, topic)
    with pytest.raises(TopicMissing, match=topic):
        wait_until(lambda: watch.now().partitions == 0)
    with pytest.raises(TopicMissing, match=topic):
        LayoutWatch(kafka, topic)


def test_added_partitions_are_found(kafka: Connection, topic: str) -> None:
    watch = LayoutWatch(kafka, topic, every_s=0.0)
    assert watch.now().partitions == 1
    grow(kafka, topic, 3)
    wait_until(lambda: watch.now().partitions == 3)


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
