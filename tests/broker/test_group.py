"""A group resumes at its committed offset: everything at least once, in order, nothing skipped."""

import subprocess
import sys
from collections import Counter

import pytest

from broker.connect import Connection
from broker.consume import GroupReader, Message, read_all
from broker.embedded import EmbeddedBroker
from broker.errors import TopicMissing
from broker.produce import Producer, Record
from schemas.errors import Busy
from tests.support.reading import read_count, read_until


def write(connection: Connection, first: int, count: int, topic: str = "orders") -> None:
    with Producer(connection) as producer:
        records = [Record(b"%d" % n, b"%d" % n) for n in range(first, first + count)]
        producer.send_many(topic, records)
        producer.flush()


def numbers(messages: list[Message]) -> list[int]:
    return sorted(int(message.value or b"") for message in messages)


def test_a_new_group_starts_at_the_beginning(connection: Connection) -> None:
    write(connection, 0, 100)
    with GroupReader(connection, "hot", ["orders"]) as reader:
        assert numbers(read_count(reader, 100)) == list(range(100))
        assert len(reader.partitions) == 4


def test_a_group_resumes_after_its_last_commit(connection: Connection) -> None:
    write(connection, 0, 100)
    with GroupReader(connection, "hot", ["orders"]) as reader:
        read_count(reader, 100)
        reader.commit()
    write(connection, 100, 50)
    with GroupReader(connection, "hot", ["orders"]) as reader:
        assert numbers(read_count(reader, 50)) == list(range(100, 150))
        # This member ends without a commit: the next one reads the same again.
    with GroupReader(connection, "hot", ["orders"]) as reader:
        assert numbers(read_count(reader, 50)) == list(range(100, 150))


def test_a_commit_covers_what_was_read_and_no_more(connection: Connection) -> None:
    write(connection, 0, 100)
    with GroupReader(connection, "hot", ["orders"]) as reader:
        reader.commit()  # nothing was read: nothing to store
        read_until(lambda: bool(reader.partitions), reader)
    with GroupReader(connection, "warm", ["orders"]) as reader:
        done: list[Message] = []
        while len(done) < 30:
            done += reader.read(max_messages=10)
        reader.commit()
    with GroupReader(connection, "warm", ["orders"]) as reader:
        rest = read_count(reader, 100 - len(done))
        assert Counter(numbers(done) + numbers(rest)) == Counter(range(100))


def test_a_member_that_joins_takes_partitions_and_the_uncommitted_comes_again(
    connection: Connection,
) -> None:
    write(connection, 0, 200)
    revoked: list[tuple[str, int]] = []
    with GroupReader(connection, "hot", ["orders"], revoked.extend) as first:
        read_count(first, 200)
        with GroupReader(connection, "hot", ["orders"]) as second:
            again: list[Message] = []

            def is_shared() -> bool:
                # A set: a group that rebalances twice reads the uncommitted twice.
                shares = len(first.partitions), len(second.partitions)
                return set(numbers(again)) == set(range(200)) and shares == (2, 2)

            read_until(is_shared, _Both(first, second), again)
    assert len(set(revoked)) == 4


class _Both:
    """Two members read in turn."""

    def __init__(self, *readers: GroupReader) -> None:
        self._readers = readers

    def read(self, max_messages: int = 500, timeout_s: float = 0.1) -> list[Message]:
        return [m for r in self._readers for m in r.read(max_messages, timeout_s)]


MEMBER_PROGRAM = """
import sys
from broker.embedded import embedded_connection
from broker.consume import GroupReader

with GroupReader(embedded_connection(sys.argv[1]), "hot", ["orders"]) as reader:
    while True:
        if messages := reader.read():
            reader.commit()
            print(*(int(message.value) for message in messages), flush=True)
"""


def test_the_work_of_a_killed_member_goes_to_the_next_and_no_message_is_missing(
    connection: Connection,
) -> None:
    write(connection, 0, 100)
    command = [sys.executable, "-c", MEMBER_PROGRAM, connection.bootstrap]
    done: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as member:
        assert member.stdout is not None
        while len(done) < 100:
            done += [int(word) for word in member.stdout.readline().split()]
        member.kill()
    write(connection, 100, 100)
    with GroupReader(connection, "hot", ["orders"]) as successor:
        assert numbers(read_count(successor, 100)) == list(range(100, 200))
    assert sorted(done) == list(range(100))


def test_a_paused_reader_stays_a_member_and_reads_nothing(connection: Connection) -> None:
    write(connection, 0, 10)
    with GroupReader(connection, "hot", ["orders"]) as reader:
        read_count(reader, 10)
        reader.pause()
        write(connection, 10, 10)
        assert [reader.read(timeout_s=0.05) for _ in range(5)] == [[]] * 5
        assert sum(reader.lag().values()) == 10
        reader.resume()
        assert numbers(read_count(reader, 10)) == list(range(10, 20))
        assert sum(reader.lag().values()) == 0


def test_a_partition_waits_while_nobody_can_say_where_to_go_on(connection: Connection) -> None:
    write(connection, 0, 100)
    is_away = True
    told: list[Busy | None] = []

    def start_of(_topic: str, partition: int) -> int | None:
        if is_away:
            raise Busy("the archive is away", 0.05)
        return 5 if partition == 0 else None

    with GroupReader(
        connection, "archive", ["orders"], start_of=start_of, on_waiting=told.append
    ) as reader:
        read_until(lambda: len(told) >= 3, reader)  # retried again and again, and a member
        assert len(reader.partitions) == 4
        assert {busy.reason for busy in told if busy} == {"the archive is away"}
        reader.pause()
        reader.resume()  # a pause that ends doesn't release what waits
        assert reader.read(timeout_s=0.2) == []
        is_away = False
        messages: list[Message] = []
        of_first = len([m for m in read_all(connection, "orders") if m.partition == 0])
        read_until(lambda: len(messages) >= 100 - 5, reader, messages)
    assert told[-1] is None
    by_partition = Counter(message.partition for message in messages)
    assert by_partition[0] == of_first - 5
    assert min(m.offset for m in messages if m.partition == 0) == 5
    assert len(messages) == len({(m.partition, m.offset) for m in messages})


def test_a_waiting_partition_that_goes_elsewhere_is_asked_for_no_more(
    connection: Connection,
) -> None:
    write(connection, 0, 10)
    asked: list[int] = []

    def start_of(_topic: str, partition: int) -> int | None:
        asked.append(partition)
        raise Busy("the archive is away", 0.0)

    with GroupReader(connection, "archive", ["orders"], start_of=start_of) as first:
        read_until(lambda: len(first.partitions) == 4, first)
        with GroupReader(connection, "archive", ["orders"]) as second:
            both = _Both(first, second)
            read_until(lambda: len(first.partitions) == len(second.partitions) == 2, both)
            asked.clear()
            read_until(lambda: len(asked) > 4, both)
            assert set(asked) <= {number for _, number in first.partitions}


def test_a_group_reads_several_topics(connection: Connection) -> None:
    write(connection, 0, 10, "orders.changes")
    write(connection, 10, 10, "orders.events")
    with GroupReader(connection, "hot", ["orders.changes", "orders.events"]) as reader:
        messages = read_count(reader, 20)
        assert {m.topic for m in messages} == {"orders.changes", "orders.events"}
        assert numbers(messages) == list(range(20))


def test_a_missing_topic_ends_the_reader_with_its_name(connection: Connection) -> None:
    strict = Connection(
        connection.bootstrap, {**connection.properties, "allow.auto.create.topics": "false"}
    )
    with (
        GroupReader(strict, "hot", ["absent"]) as reader,
        pytest.raises(TopicMissing, match="absent"),
    ):
        read_count(reader, 1)


def test_an_outage_holds_a_reader_up_and_no_more(broker: EmbeddedBroker) -> None:
    write(broker.connection, 0, 10)
    with GroupReader(broker.connection, "hot", ["orders"]) as reader:
        read_count(reader, 10)
        broker.go_down()
        with pytest.raises(Busy, match="lag unknown"):
            reader.lag(timeout_s=0.1)
        with pytest.raises(Busy, match="group hot"):
            reader.commit()
        assert reader.read() == []
        broker.come_up()
        write(broker.connection, 10, 10)
        seen: list[Message] = []
        read_until(lambda: set(range(10, 20)) <= set(numbers(seen)), reader, seen)
        assert len(list(read_all(broker.connection, "orders"))) == 20
