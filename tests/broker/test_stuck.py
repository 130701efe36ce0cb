"""A watermark that waits for an open transaction is reported, once."""

import logging
from concurrent.futures import Future

import pytest
from confluent_kafka import TopicPartition

from broker.clock import NO_WATERMARK, IdleAdvance, PartitionClock
from broker.end_offsets import Unsettled

NOW = 1_600_000_000_000


class Scene:
    """A partition that ends at `end_offset` and answers at once; `at` is the present."""

    def __init__(self) -> None:
        self.at = NOW
        self.end_offset = 9
        self.is_silent = False
        self.is_unsettled = False
        self.clock = PartitionClock("broker", lambda: self.at)
        self.proof = IdleAdvance(
            *(self.clock, self.ask, lambda: self.at), name="events [3]", steady=lambda: self.at
        )

    def ask(self) -> "Future[int]":
        answer: Future[int] = Future()
        if self.is_unsettled:
            answer.set_exception(Unsettled(TopicPartition("events", 3), self.end_offset))
        elif not self.is_silent:
            answer.set_result(self.end_offset)
        return answer

    def pass_time(self, seconds: int, position: int) -> None:
        for _ in range(seconds):
            self.at += 1_000
            self.proof.step(position)


def test_a_position_that_stands_still_before_the_end_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ordertide.broker")
    scene = Scene()
    scene.pass_time(60, position=5)
    assert not caplog.messages
    scene.pass_time(100, position=5)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("events [3]: stands still at 5 for 6")
    assert "a transaction open" in caplog.messages[0]
    assert scene.clock.watermark == NO_WATERMARK
    scene.pass_time(2, position=9)
    assert caplog.messages[1:] == ["events [3]: continues, after it stood still at 5"]
    assert scene.clock.watermark > NOW


def test_an_outage_is_not_taken_for_a_transaction(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ordertide.broker")
    scene = Scene()
    scene.pass_time(2, position=5)
    scene.is_silent = True
    scene.pass_time(600, position=5)
    assert not caplog.messages


def test_an_end_with_more_to_come_proves_nothing() -> None:
    scene = Scene()
    scene.is_unsettled = True
    scene.pass_time(10, position=9)
    assert scene.clock.watermark == NO_WATERMARK
    scene.is_unsettled = False
    scene.pass_time(2, position=9)
    assert scene.clock.watermark > NOW
