"""A member of a group goes back in its partitions, and spans are read again outside a group."""

from collections.abc import Iterable

import pytest

from broker.connect import Connection
from broker.consume import GroupReader, Message
from broker.errors import OffsetLost
from broker.span import committed_offsets, read_span
from tests.support.kafka.topics import cut_off, write
from tests.support.reading import read_count


def values(messages: Iterable[Message]) -> list[int]:
    return [int(message.value or b"") for message in messages]


def test_what_was_committed_comes_with_a_partition_once(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(10))
    with GroupReader(kafka, topic, [topic]) as reader:
        read_count(reader, 10)
        assert reader.take_assigned() == {(topic, 0): 0}
        reader.commit()
    committed = committed_offsets(kafka, topic, [topic])[topic, 0]
    assert committed >= 10
    write(kafka, topic, [10])
    with GroupReader(kafka, topic, [topic]) as reader:
        assert values(read_count(reader, 1)) == [10]
        assert reader.take_assigned() == {(topic, 0): committed}
        assert reader.take_assigned() == {}


def test_a_member_reads_again_from_where_it_goes_back_to(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(10))
    with GroupReader(kafka, topic, [topic]) as reader:
        read_count(reader, 10)
        reader.commit()
        assert reader.rewind({(topic, 0): 4, ("another", 0): 1}) == {(topic, 0): 4}
        assert reader.positions() == {}
        assert values(read_count(reader, 6)) == [4, 5, 6, 7, 8, 9]
        reader.commit()
        cut_off(kafka, topic, before=7)
        assert reader.rewind({(topic, 0): 0}) == {(topic, 0): 7}
        assert values(read_count(reader, 3)) == [7, 8, 9]
        reader.rewind({(topic, 0): 8})
        read_count(reader, 1)
        reader.commit()
    assert committed_offsets(kafka, topic, [topic])[topic, 0] in (9, 10)


def test_a_span_is_read_whole_or_not_at_all(kafka: Connection, topic: str) -> None:
    write(kafka, topic, range(10))
    assert values(read_span(kafka, topic, 0, 3, 7)) == [3, 4, 5, 6]
    cut_off(kafka, topic, before=5)
    assert values(read_span(kafka, topic, 0, 5, 10)) == [5, 6, 7, 8, 9]
    with pytest.raises(OffsetLost, match="holds the offsets 5 to 9, not all of 3 to 6"):
        list(read_span(kafka, topic, 0, 3, 7))
    with pytest.raises(OffsetLost, match="not all of 8 to 11"):
        list(read_span(kafka, topic, 0, 8, 12))
