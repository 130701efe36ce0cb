"""The watermark of a partition never decreases and never exceeds what was proven."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.clock import AHEAD_MS, NO_WATERMARK, ClockState, IdleAdvance, PartitionClock
from broker.consume import PartitionReader
from broker.embedded import EmbeddedBroker
from broker.end_offsets import EndOffsets
from broker.produce import Producer
from broker.recorded_clock import RecordedClock

NOW = 1_600_000_000_000
INSTANTS = st.integers(0, 2 * NOW)
NEAR = st.integers(NOW - 60_000, NOW + 2 * AHEAD_MS)


def at_now() -> int:
    return NOW


SAW = st.tuples(st.just("saw"), NEAR | INSTANTS)
TICK = st.tuples(st.just("tick"), NEAR | INSTANTS)
PROOF = st.tuples(st.just("proved"), NEAR, st.integers(0, 3), st.integers(0, 3))
STEPS = st.lists(SAW | TICK | PROOF, max_size=30)
Step = tuple[str, int] | tuple[str, int, int, int]


def apply(clock: PartitionClock, step: Step) -> int | None:
    match step:
        case ("saw", arrival_at):
            return clock.saw(arrival_at)
        case ("tick", at):
            clock.tick(at)
        case ("proved", request_at, position, end_offset):
            clock.proved(request_at, position, end_offset, margin_ms=500)
    return None


@given(STEPS, st.sampled_from(["broker", "recorded"]))
def test_the_clock_never_goes_back(steps: list[Step], kind: str) -> None:
    clock = PartitionClock("broker" if kind == "broker" else "recorded", at_now)
    for step in steps:
        before = clock.watermark
        apply(clock, step)
        assert clock.watermark >= before


ARRIVALS = st.lists(NEAR | INSTANTS | st.just(-1), max_size=12)


@given(st.lists(ARRIVALS, max_size=4), st.sampled_from(["broker", "recorded", "guarded"]))
def test_arrivals_taken_together_are_those_taken_one_by_one(
    batches: list[list[int]], kind: str
) -> None:
    def clock() -> PartitionClock:
        if kind == "guarded":
            return RecordedClock(AHEAD_MS, at_now)
        return PartitionClock("broker" if kind == "broker" else "recorded", at_now)

    together, singly = clock(), clock()
    for batch in batches:
        assert together.saw_all(batch) == [singly.saw(at) for at in batch]
        assert (together.state, together.claimed) == (singly.state, singly.claimed)


@given(STEPS, st.sampled_from(["broker", "recorded"]))
def test_no_event_arrives_behind_the_clock(steps: list[Step], kind: str) -> None:
    clock = PartitionClock("broker" if kind == "broker" else "recorded", at_now)
    for step in steps:
        before = clock.watermark
        counted_at = apply(clock, step)
        if counted_at is not None:
            assert before < counted_at
            assert clock.watermark < counted_at


@given(STEPS)
def test_a_broker_clock_says_no_more_than_arrivals_and_proofs(steps: list[Step]) -> None:
    clock = PartitionClock("broker", at_now)
    proven = NO_WATERMARK
    for step in steps:
        apply(clock, step)
        match step:
            case ("saw", arrival_at) if arrival_at <= NOW + AHEAD_MS:
                proven = max(proven, arrival_at - 1)
            case ("proved", request_at, position, end_offset) if position >= end_offset:
                proven = max(proven, request_at - 501)
        assert clock.watermark == proven


@given(STEPS)
def test_a_recorded_clock_is_moved_by_records_and_ticks_alone(steps: list[Step]) -> None:
    clock = PartitionClock("recorded", must_not_be_asked)
    proven = NO_WATERMARK
    for step in steps:
        apply(clock, step)
        match step:
            case ("saw", arrival_at):
                proven = max(proven, arrival_at - 1)
            case ("tick", at):
                proven = max(proven, at)
        assert clock.watermark == proven


def must_not_be_asked() -> int:
    pytest.fail("recorded history has its own time")


@given(STEPS, STEPS)
def test_a_clock_goes_on_from_its_snapshot(before: list[Step], after: list[Step]) -> None:
    whole = PartitionClock("broker", at_now)
    for step in before:
        apply(whole, step)
    resumed = PartitionClock("broker", at_now, whole.state)
    for step in after:
        assert apply(whole, step) == apply(resumed, step)
    assert resumed.state == whole.state


def test_an_arrival_proves_the_ms_before_it() -> None:
    clock = PartitionClock("broker", at_now)
    assert clock.watermark == NO_WATERMARK
    assert clock.saw(NOW) == NOW
    assert clock.watermark == NOW - 1
    assert clock.saw(NOW) == NOW  # another event of the same ms
    assert clock.saw(NOW - 5) == NOW  # create times aren't in order


def test_a_create_time_far_ahead_arrives_now_and_moves_nothing() -> None:
    clock = PartitionClock("broker", at_now)
    clock.saw(NOW - 1_000)
    assert clock.saw(NOW + AHEAD_MS + 1) == NOW
    assert clock.watermark == NOW - 1_001
    assert clock.saw(NOW + AHEAD_MS) == NOW + AHEAD_MS


def test_what_was_ahead_counts_once_its_time_has_come() -> None:
    present = [NOW]
    clock = PartitionClock("broker", lambda: present[0])
    clock.saw(NOW + 60_000)
    assert clock.watermark == NO_WATERMARK
    present[0] += 60_000
    clock.saw(NOW + 60_000)
    assert clock.watermark == NOW + 59_999


class Answers:
    """Ends of a partition: futures that the test completes."""

    def __init__(self) -> None:
        self.asked: list[Future[int]] = []

    def ask(self) -> Future[int]:
        self.asked.append(Future())
        return self.asked[-1]


def test_the_proof_counts_from_the_question_and_not_from_the_answer() -> None:
    present, answers = [NOW], Answers()
    clock = PartitionClock("broker", lambda: present[0])
    proof = IdleAdvance(
        *(clock, answers.ask, lambda: present[0]),
        margin_ms=500,
        every_ms=500,
        steady=lambda: present[0],
    )
    proof.step(position=7)
    present[0] += 3_000
    proof.step(position=7)
    assert len(answers.asked) == 1  # one question at a time
    assert clock.watermark == NO_WATERMARK
    answers.asked[0].set_result(7)
    proof.step(position=7)
    assert clock.watermark == NOW - 501


def test_an_answer_counts_once_the_position_has_reached_it() -> None:
    present, answers = [NOW], Answers()
    clock = PartitionClock("broker", lambda: present[0])
    proof = IdleAdvance(clock, answers.ask, lambda: present[0])
    proof.step(position=0)
    answers.asked[0].set_result(10)
    for position in range(10):
        proof.step(position)
        assert clock.watermark == NO_WATERMARK
    proof.step(10)
    assert clock.watermark == NOW - 501


def test_questions_are_asked_about_twice_a_second_whatever_broker_time_does() -> None:
    present, steady, answers = [NOW], [5_000], Answers()
    clock = PartitionClock("broker", lambda: present[0])
    proof = IdleAdvance(clock, answers.ask, lambda: present[0], steady=lambda: steady[0])
    proof.step(0)
    answers.asked[0].set_result(0)
    proof.step(0)
    steady[0] += 499
    present[0] += 3_600_000
    proof.step(0)
    assert len(answers.asked) == 1
    steady[0] += 1
    present[0] -= 7_200_000
    proof.step(0)
    assert len(answers.asked) == 2


def test_nothing_is_proven_while_broker_time_is_unknown_and_the_end_is_asked_for_anyway() -> None:
    steady, answers = [5_000], Answers()
    proven: list[int | None] = [None]
    clock = PartitionClock("broker", at_now)
    proof = IdleAdvance(clock, answers.ask, lambda: proven[0], steady=lambda: steady[0])
    proof.step(7)
    proven[0] = NOW
    answers.asked[0].set_result(7)
    proof.step(7)
    assert clock.watermark == NO_WATERMARK
    steady[0] += 500
    proof.step(7)
    answers.asked[1].set_result(7)
    proof.step(7)
    assert clock.watermark == NOW - 501


def carried_past(
    at: int, clock: PartitionClock, proof: IdleAdvance, reader: PartitionReader
) -> bool:
    """Read and prove until the clock is past `at`; False when that doesn't happen in 10 s."""
    give_up_at = time.monotonic() + 10
    while clock.watermark < at and time.monotonic() < give_up_at:
        for message in reader.read(timeout_s=0.01):
            clock.saw(message.timestamp_ms)
        proof.step(reader.position)
    return clock.watermark >= at


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def question(broker: EmbeddedBroker) -> Iterator[Callable[[], Future[int]]]:
    with EndOffsets(broker.connection) as ends:
        yield lambda: ends.ask("events", 0, timeout_s=0.5)


def test_an_outage_holds_the_clock_and_its_end_carries_it_on(
    broker: EmbeddedBroker, question: Callable[[], Future[int]]
) -> None:
    with Producer(broker.connection) as producer:
        producer.send("events", b"k", b"x", partition=0)
        producer.flush()
    clock = PartitionClock("broker", wall_clock)
    proof = IdleAdvance(clock, question, wall_clock, margin_ms=0, every_ms=50)
    with PartitionReader(broker.connection, "events", 0, 0) as reader:
        assert carried_past(wall_clock(), clock, proof, reader)
        broker.go_down()
        down_at = wall_clock()
        for _ in range(100):
            reader.read(timeout_s=0.01)
            proof.step(reader.position)
        assert clock.watermark < down_at
        broker.come_up()
        assert carried_past(wall_clock(), clock, proof, reader)


def test_a_snapshot_is_small() -> None:
    assert ClockState().watermark == NO_WATERMARK
    assert PartitionClock("recorded", at_now, ClockState(5)).watermark == 5
