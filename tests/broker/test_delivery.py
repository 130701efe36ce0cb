"""A message is delivered, or its loss raises an error."""

import pytest

from broker.connect import Connection
from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from broker.errors import DeliveryFailed
from broker.fetcher import Headers
from broker.produce import Producer, Record, Row
from schemas.errors import Busy, Rejected

TOPIC_AUTHORIZATION_FAILED = 29
NOT_ENOUGH_REPLICAS = 19


def test_a_message_too_large_is_rejected_alone(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send("orders", b"a", b"before")
        with pytest.raises(Rejected, match="too_large: orders"):
            producer.send("orders", b"a", bytes(2_000_000))
        producer.send("orders", b"a", b"after")
        producer.flush()
    assert [m.value for m in read_all(connection, "orders")] == [b"before", b"after"]


def test_rows_too_large_are_given_back_and_the_others_sent(connection: Connection) -> None:
    large: Row = ("a", bytes(2_000_000), None)
    with Producer(connection, message_max_bytes=100_000) as producer:
        clock: Headers = [("clock", b"7")]
        rows: list[Row] = [("a", b"1", clock), large, ("a", None, None), ("a", b"2", None)]
        assert producer.send_rows("orders", rows) == [large]
        producer.flush()
    sent = [(m.key, m.value, m.headers) for m in read_all(connection, "orders")]
    assert sent == [(b"a", b"1", clock), (b"a", None, []), (b"a", b"2", [])]


def test_rows_wait_while_the_queue_is_full(connection: Connection) -> None:
    with Producer(connection, queue_buffering_max_messages=10) as producer:
        assert producer.send_rows("orders", [("a", b"%d" % n, None) for n in range(500)]) == []
        producer.flush()
    assert [m.value for m in read_all(connection, "orders")] == [b"%d" % n for n in range(500)]


def test_a_refused_delivery_surfaces_at_flush_and_stays(broker: EmbeddedBroker) -> None:
    producer = Producer(broker.connection)
    broker.refuse_writes(TOPIC_AUTHORIZATION_FAILED)
    producer.send("orders", b"A-1", b"x")
    with pytest.raises(DeliveryFailed, match=r"orders \[\d\]: message with key b'A-1'"):
        producer.flush()
    with pytest.raises(DeliveryFailed):
        producer.flush()
    producer.close()


def test_a_partition_that_is_not_there_surfaces(connection: Connection) -> None:
    producer = Producer(connection)
    producer.send("orders", b"A-1", b"x", partition=99)
    with pytest.raises(DeliveryFailed, match="_UNKNOWN_PARTITION"):
        producer.flush()
    producer.close()


def test_a_passing_refusal_is_tried_again(broker: EmbeddedBroker) -> None:
    with Producer(broker.connection) as producer:
        broker.refuse_writes(NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS)
        producer.send("orders", b"A-1", b"x")
        producer.flush()
    assert [m.value for m in read_all(broker.connection, "orders")] == [b"x"]


def test_an_outage_is_busy_and_loses_nothing(broker: EmbeddedBroker) -> None:
    with Producer(broker.connection) as producer:
        producer.send("orders", b"A-1", b"before")
        producer.flush()
        broker.go_down()
        producer.send_many("orders", [Record(b"A-1", b"%d" % n) for n in range(500)])
        with pytest.raises(Busy, match="500 messages undelivered"):
            producer.flush(timeout_s=0.2)
        broker.come_up()
        producer.flush()
    values = [m.value for m in read_all(broker.connection, "orders")]
    assert values == [b"before", *(b"%d" % n for n in range(500))]


def test_a_full_local_queue_waits_and_loses_nothing(connection: Connection) -> None:
    with Producer(connection, queue_buffering_max_messages=100) as producer:
        producer.send_many("orders", [Record(b"%d" % n, b"x") for n in range(5_000)])
        producer.flush()
    assert len(list(read_all(connection, "orders"))) == 5_000


def test_leaving_a_producer_flushes_it(connection: Connection) -> None:
    with Producer(connection) as producer:
        producer.send("orders", b"A-1", b"x")
    assert [m.value for m in read_all(connection, "orders")] == [b"x"]


def test_leaving_a_producer_with_an_error_does_not_wait_for_the_broker(
    broker: EmbeddedBroker,
) -> None:
    def fail_in_an_outage() -> None:
        with Producer(broker.connection) as producer:
            broker.go_down()
            producer.send("orders", b"A-1", b"y")
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_an_outage()


def test_partitions_are_counted_again_after_a_minute_and_remembered_in_an_outage(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.topics.ANSWER_TIMEOUT_S", 0.2)
    broker.create("orders", 3)
    producer = Producer(broker.connection)
    assert producer.partition_count("orders") == 3
    monkeypatch.setattr("broker.produce.COUNTED_FOR_S", 0.0)
    broker.go_down()
    assert producer.partition_count("orders") == 3
    with pytest.raises(Busy, match="topic events"):
        producer.partition_count("events")
    producer.close()
