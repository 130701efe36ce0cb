"""The consumer loop: no commit covers an unprocessed message, whatever is busy and for how long."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.consumer_loop import ConsumerLoop, Handler, Interrupted, LoopSettings, Reader
from schemas.errors import Busy

SETTINGS = LoopSettings(batch_messages=3, read_timeout_s=0.0, max_wait_s=0.001)


class Numbered(NamedTuple):
    """A message."""

    offset: int
    topic: str = "t"
    partition: int = 0


class Counting(Reader[Numbered]):
    """Gives out numbers in order, with `leaks` so many even while it is paused.

    A member may be given messages while it is paused, as its partitions have just changed.
    """

    def __init__(self, count: int, leaks: int = 0) -> None:
        self.count = count
        self.leaks = leaks
        self.next = self.committed = 0
        self.is_paused = False
        self.resumed = 0
        self.refusals = 0
        self.on_read: Callable[[], None] = lambda: None

    def read(self, max_messages: int, timeout_s: float) -> Sequence[Numbered]:
        self.on_read()
        if self.is_paused:
            if not self.leaks:
                return []
            self.leaks -= 1
        first, self.next = self.next, min(self.next + max_messages, self.count)
        return [Numbered(offset) for offset in range(first, self.next)]

    def commit(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Busy("the group is being rebalanced")
        self.committed = self.next

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False
        self.resumed += 1


class Processing(Handler[Numbered]):
    """Notes what it is given; busy as often as `moods` says, one for each batch."""

    def __init__(self, moods: Sequence[int] = ()) -> None:
        self.moods = [*moods]
        self.loop: ConsumerLoop[Numbered]
        self.processed: list[int] = []
        self.is_durable = True
        self.deferred = self.noted = self.polls = 0
        self.waits: list[str] = []

    def submit(self, batch: Sequence[Numbered]) -> int:
        left = [self.moods.pop(0) if self.moods else 0]

        def process() -> None:
            if left[0]:
                left[0] -= 1
                raise Busy("overloaded", 0.0001)
            self.processed += [message.offset for message in batch]

        self.loop.retry(process)
        return len(batch)

    def committable(self, *, force: bool) -> bool:
        return self.is_durable or force

    def committed(self) -> None:
        self.noted += 1

    def poll(self) -> None:
        self.polls += 1

    def waiting(self, busy: Busy, wait_s: float) -> None:
        assert wait_s > 0
        self.waits.append(busy.reason)

    def commit_deferred(self, busy: Busy) -> None:
        self.deferred += 1


def loop_of(reader: Counting, handler: Processing) -> ConsumerLoop[Numbered]:
    handler.loop = ConsumerLoop(reader, handler, threading.Event(), SETTINGS)
    return handler.loop


@given(
    count=st.integers(0, 20),
    leaks=st.integers(0, 10),
    moods=st.lists(st.integers(0, 3), max_size=8),
    refusals=st.integers(0, 3),
)
def test_every_message_is_processed_once_in_order_and_only_then_committed(
    count: int, leaks: int, moods: list[int], refusals: int
) -> None:
    reader, handler = Counting(count, leaks), Processing(moods)
    reader.refusals = refusals
    loop = loop_of(reader, handler)
    rounds = 0
    while reader.committed < count or rounds < 2:
        before = len(handler.processed)
        assert loop.step() == len(handler.processed) - before
        assert reader.committed <= len(handler.processed)
        rounds += 1
        assert rounds < 100
    assert handler.processed == [*range(count)]
    assert handler.polls == rounds
    assert not reader.is_paused


def test_a_busy_handler_is_retried_with_the_reader_paused_and_polled() -> None:
    reader, handler = Counting(3), Processing([2])
    paused: list[bool] = []
    reader.on_read = lambda: paused.append(reader.is_paused)
    loop_of(reader, handler).step()
    assert handler.waits == ["overloaded"] * 2
    assert paused == [False, True, True]


def test_a_stop_while_something_is_busy_commits_nothing() -> None:
    reader, handler = Counting(3), Processing([1_000_000])
    loop = loop_of(reader, handler)
    loop.stop.set()
    with pytest.raises(Interrupted):
        loop.step()
    assert reader.committed == 0
    assert not reader.is_paused


def test_what_is_not_durable_is_not_committed_unless_it_is_forced() -> None:
    reader, handler = Counting(3), Processing()
    handler.is_durable = False
    loop = loop_of(reader, handler)
    loop.step()
    assert (reader.committed, handler.noted) == (0, 0)
    loop.commit(force=True)
    assert (reader.committed, handler.noted) == (3, 1)


def test_a_commit_that_the_broker_refuses_is_made_in_the_next_round() -> None:
    reader, handler = Counting(6), Processing()
    reader.refusals = 1
    loop = loop_of(reader, handler)
    loop.step()
    assert (reader.committed, handler.deferred, handler.noted) == (0, 1, 0)
    loop.step()
    assert (reader.committed, handler.deferred, handler.noted) == (6, 1, 1)


def test_pauses_within_a_pause_resume_the_reader_once() -> None:
    reader, handler = Counting(0), Processing()
    loop = loop_of(reader, handler)
    with loop.paused():
        loop.wait(Busy("away"), 0.0001)
        assert reader.is_paused
    assert (reader.is_paused, reader.resumed) == (False, 1)


def test_messages_that_came_ahead_are_dropped_with_their_partition_and_others_are_kept() -> None:
    reader, handler = Counting(2, leaks=2), Processing()
    loop = loop_of(reader, handler)
    with loop.paused():
        loop.keep_membership()
        # A revocation is noted inside the read that brings the next message.
        reader.on_read = lambda: loop.drop_ahead([("t", 0)])
        loop.keep_membership()
    assert [message.offset for message in loop.ahead] == [1]
    loop.drop_ahead([("t", 1), ("other", 0)])
    assert [message.offset for message in loop.ahead] == [1]


def test_a_loop_runs_until_it_is_stopped() -> None:
    reader, handler = Counting(9), Processing()
    loop = loop_of(reader, handler)
    reader.on_read = lambda: loop.stop.set() if reader.next == 6 else None
    loop.run()
    assert reader.committed == 9
