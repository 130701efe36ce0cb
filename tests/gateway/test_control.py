"""Control: a record is written, holds at once, and is read again by the next process."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker.confirm import ConfirmingProducer
from broker.embedded import EmbeddedBroker
from broker.fetcher import Message
from broker.partition import PartitionReader
from broker.produce import Producer
from gateway.control import Control
from schemas.errors import Busy
from schemas.topics import CONTROL
from tests.support.waiting import wait_until

Records = dict[str, bytes | None]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        yield embedded


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Iterator[ConfirmingProducer]:
    with closing(ConfirmingProducer(broker.connection, timeout_s=30.0)) as made:
        yield made


def following(broker: EmbeddedBroker, producer: ConfirmingProducer, into: Records) -> Control:
    def take(name: str, value: bytes | None) -> None:
        if value == b"broken":
            raise ValueError(value)
        into[name] = value

    control = Control(broker.connection, producer, {"note": take})
    control.start()
    wait_until(lambda: control.is_loaded, "the records are read")
    return control


def test_what_is_written_holds_at_once_and_for_the_next_process(
    broker: EmbeddedBroker, producer: ConfirmingProducer
) -> None:
    first: Records = {}
    second: Records = {}
    control = following(broker, producer, first)
    asyncio.run(control.put("note", "a", b"1"))
    assert first == {"a": b"1"}
    other = following(broker, producer, second)
    assert second == {"a": b"1"}
    asyncio.run(other.put("note", "a", None))
    wait_until(lambda: first == {"a": None}, "the other process has read it")
    control.close()
    other.close()


def test_a_record_that_cannot_be_read_costs_itself_only(
    broker: EmbeddedBroker, producer: ConfirmingProducer
) -> None:
    with Producer(broker.connection, linger_ms=0) as raw:
        for key, value in [(b"note/x", b"broken"), (b"other/y", b"1"), (b"note/z", b"2")]:
            raw.send(CONTROL.name, key, value)
    held: Records = {}
    following(broker, producer, held).close()
    assert held == {"z": b"2"}


def test_a_write_that_is_not_certain_is_not_held(broker: EmbeddedBroker) -> None:
    held: Records = {}
    with closing(ConfirmingProducer(broker.connection, timeout_s=1.0)) as impatient:
        control = following(broker, impatient, held)
        broker.go_down()
        with pytest.raises(Busy):
            asyncio.run(control.put("note", "a", b"1"))
        assert held == {}
        broker.come_up()
        control.close()


def test_an_older_record_never_undoes_what_was_written_here(
    broker: EmbeddedBroker, producer: ConfirmingProducer
) -> None:
    """A follower that lags behind its own writes would bring a revoked key back."""
    broker.create(CONTROL.name, 1)
    records: Records = {}
    control = Control(broker.connection, producer, {"note": records.__setitem__})

    for value in (b"1", None, b"1"):  # the same again: a record is known by more than its value
        asyncio.run(control.put("note", "a", value))
    written: list[Message] = []
    with closing(PartitionReader(broker.connection, CONTROL.name, 0, 0)) as reader:
        while len(written) < 3:
            written += wait_until(reader.read, "what was written")
    assert [message.value for message in written] == [b"1", None, b"1"]
    for message in written:
        control.take([message])
        assert records == {"a": b"1"}
    other = written[0]._replace(value=b"2", headers=[])  # of another process, after them
    control.take([other])
    assert records == {"a": b"2"}
