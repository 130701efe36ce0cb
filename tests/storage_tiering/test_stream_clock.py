"""A writer's stream clock waits for every partition that it was given."""

from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.stream_clock import StreamClock
from tests.support.tiers.orders import START, LogMessage


def beat(partition: int, at: int, topic: str = ORDERS_CHANGES) -> LogMessage:
    return LogMessage(topic, partition, 0, b"k", None, [("clock", b"%d" % at)])


def test_an_assigned_partition_that_was_not_heard_of_holds_the_clock() -> None:
    clock = StreamClock()
    clock.assigned([(ORDERS_CHANGES, 0), (ORDERS_CHANGES, 1), (ORDERS_EVENTS, 0)])
    clock.see(beat(0, START + 5))
    assert clock.watermark is None
    clock.see(beat(1, START))
    assert clock.watermark == START


def test_partitions_that_come_and_go_count_while_they_are_here() -> None:
    clock = StreamClock()
    clock.assigned([(ORDERS_CHANGES, 0)])
    clock.see(beat(0, START))
    clock.assigned([(ORDERS_CHANGES, 1)])
    assert clock.watermark is None
    clock.revoked([(ORDERS_CHANGES, 1)])
    assert clock.watermark == START
    clock.assigned([(ORDERS_CHANGES, 0)])
    assert clock.watermark == START, "one that is here already is known already"


def test_partitions_of_events_hold_nobody_back() -> None:
    clock = StreamClock()
    clock.assigned([(ORDERS_EVENTS, 0), (ORDERS_EVENTS, 1)])
    clock.see(beat(0, START, ORDERS_EVENTS))
    assert clock.watermark == START
