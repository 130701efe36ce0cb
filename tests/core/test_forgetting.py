"""A used number is forgotten 180 days after its last event, another after three years: by days and
arrivals, not by the clock.
"""

import random
from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.compiled import LOOKED_AT_ONCE
from dataflows.core.fact import Fact
from dataflows.core.questions import (
    Answers,
    Question,
    Registration,
    decode_registrations,
    number_key,
)
from dataflows.core.resolve import (
    FORGET_AFTER_MS,
    FORGET_UNUSED_AFTER_MS,
    WAITS_AT_MOST_MS,
    Resolver,
    ResolverSnapshot,
)
from schemas.instants import DAY_MS
from schemas.keys import event_hash
from tests.support.stage import START_AT

FORGET_DAYS = FORGET_AFTER_MS // DAY_MS
UNUSED_DAYS = FORGET_UNUSED_AFTER_MS // DAY_MS
Input = Registration | Question


def registered(
    day: float,
    order_id: str = "o1",
    number: str = "W1",
    lag_days: float = 0,
    *,
    kind: str = "waybill",
    carrier: str = "",
) -> Input:
    at = START_AT + round(day * DAY_MS)
    arrival_at = at + round(lag_days * DAY_MS)
    return Registration(number_key("default", kind, number), order_id, carrier, at, arrival_at)


def scanned(
    day: float,
    number: str = "W1",
    lag_days: float = 0,
    *,
    kind: str = "waybill",
    carrier: str = "",
) -> Input:
    at = START_AT + round(day * DAY_MS)
    name = f"{number}@{day}+{lag_days}"
    arrival_at = at + round(lag_days * DAY_MS)
    fact = Fact(
        "", arrival_at, at, 6, number, "carrier:sf", name, event_hash("carrier:sf", name), b"{}"
    )
    return Question(number_key("default", kind, number), "default", carrier, fact)


def arrival_of(item: Input) -> int:
    return item.arrival_at if isinstance(item, Registration) else item.fact.arrival_at


def read(resolver: Resolver, item: Input) -> None:
    if isinstance(item, Registration):
        resolver.offer([item], [])
    else:
        resolver.offer([], [item])


def told(
    inputs: Sequence[Input],
    clocks: Sequence[int | None] = (),
    forget_after_ms: int = FORGET_AFTER_MS,
) -> Answers:
    """Answers to events read one after another, the watermark advanced after some of them."""
    resolver, answers = Resolver(forget_after_ms), Answers()
    for index, each in enumerate(inputs):
        read(resolver, each)
        clock = clocks[index] if index < len(clocks) else None
        if clock is not None:
            resolver.advance(clock, answers)
    resolver.advance(START_AT + 10_000 * DAY_MS, answers)
    return answers


def outcome(answers: Answers) -> tuple[list[tuple[str, str, int, bool]], list[str]]:
    facts = [(f.key, f.event_id, f.arrival_at, f.counted) for f in answers.facts]
    return sorted(facts), sorted(given_up.fact.event_id for given_up in answers.rejected)


@pytest.mark.parametrize("days", [FORGET_DAYS, FORGET_DAYS + 1])
@pytest.mark.parametrize("clock_first", [False, True])
def test_a_number_counts_for_180_days_after_its_last_event_whenever_the_clock_moves(
    days: int, *, clock_first: bool
) -> None:
    inputs = [registered(0), scanned(100), scanned(100 + days)]
    clock = START_AT + (100 + days) * DAY_MS - 1 if clock_first else None
    facts, given_up = outcome(told(inputs, [None, clock]))
    assert len(facts) == (2 if days == FORGET_DAYS else 1)
    assert len(given_up) == (0 if days == FORGET_DAYS else 1)


def test_what_a_lifecycle_says_is_how_long_a_number_is_known() -> None:
    inputs = [registered(0), scanned(30), scanned(61)]
    assert len(told(inputs, forget_after_ms=30 * DAY_MS).facts) == 1


def test_events_of_long_ago_that_come_late_meet_a_number_only_while_it_is_known() -> None:
    late = [registered(0), scanned(1, lag_days=170), scanned(2, lag_days=400)]
    assert [fact.at for fact in told(late).facts] == [START_AT + DAY_MS]


def test_a_number_registered_anew_after_it_was_forgotten_begins_anew() -> None:
    """Also where the clock had no time to forget it: an old scan doesn't mean it any more."""
    first, use, again = registered(0), scanned(10), registered(200)
    inputs = [first, use, again, scanned(5, lag_days=201), scanned(199, lag_days=8)]
    for clocks in ([], [None, None, START_AT + 200 * DAY_MS - 1], [None, START_AT + 195 * DAY_MS]):
        found = [fact.at for fact in told(inputs, clocks).facts]
        assert found == [START_AT + 10 * DAY_MS, START_AT + 199 * DAY_MS]


@pytest.mark.parametrize("kind", ["waybill", "erp"])
@pytest.mark.parametrize("clock_first", [False, True])
@pytest.mark.parametrize("days", [UNUSED_DAYS, UNUSED_DAYS + 1])
def test_a_number_that_no_event_has_come_by_is_kept_for_three_years(
    days: int, kind: str, *, clock_first: bool
) -> None:
    inputs = [registered(0, kind=kind), scanned(days, kind=kind)]
    clock = START_AT + days * DAY_MS - 1 if clock_first else None
    facts, given_up = outcome(told(inputs, [clock]))
    assert (len(facts), len(given_up)) == ((1, 0) if days == UNUSED_DAYS else (0, 1))


@pytest.mark.parametrize("kind", ["waybill", "erp"])
def test_a_number_is_kept_for_180_days_from_its_first_use_on(kind: str) -> None:
    inputs = [registered(0, kind=kind), scanned(900, kind=kind)]
    for after, count in ((FORGET_DAYS, 2), (FORGET_DAYS + 1, 1)):
        later = [*inputs, scanned(900 + after, kind=kind)]
        assert len(told(later, [None, START_AT + 901 * DAY_MS]).facts) == count


def test_of_orders_that_share_a_number_those_it_was_used_for_are_forgotten_first() -> None:
    """The number comes again with carrier sf, whose order had it; then without one."""
    both = [registered(0, "o1", carrier="sf"), registered(0, "o2", carrier="sto")]
    inputs = [*both, scanned(1, carrier="sf"), scanned(182)]
    assert [fact.key for fact in told(inputs).facts] == ["o1", "o2"]


def test_a_used_number_leaves_memory_180_days_after_its_use() -> None:
    resolver, answers = Resolver(), Answers()
    for number in range(3):
        read(resolver, registered(0, f"o{number}", f"W{number}"))
    for day in range(0, 500, 20):
        resolver.advance(START_AT + day * DAY_MS, answers)
    read(resolver, scanned(490, "W1"))
    resolver.advance(START_AT + (490 + FORGET_DAYS + 1) * DAY_MS - 1, answers)
    assert len(resolver.numbers) == 3
    resolver.advance(START_AT + (490 + FORGET_DAYS + 1) * DAY_MS, answers)
    assert len(resolver.numbers) == 2
    for day in range(700, 1_098, 20):
        resolver.advance(START_AT + day * DAY_MS, answers)
    assert len(resolver.numbers) == 2
    resolver.advance(START_AT + 1_098 * DAY_MS, answers)
    assert len(resolver.numbers) == 0


def test_a_use_that_comes_late_closes_the_gap_it_would_have_closed() -> None:
    in_time = [registered(0), scanned(150), registered(300), scanned(10, lag_days=300)]
    expected = outcome(told(in_time))
    assert len(expected[0]) == 2
    for order in permutations(in_time):
        assert outcome(told(order)) == expected


def test_a_scan_that_waits_is_asked_again_when_a_use_closes_the_gap() -> None:
    in_time = [registered(0), scanned(150), scanned(300)]
    assert len(told(in_time).facts) == 2
    assert outcome(told([in_time[0], in_time[2], in_time[1]])) == outcome(told(in_time))


def test_news_of_a_number_does_not_answer_what_has_waited_its_time() -> None:
    """A scan after the number's last use waits, and its order names the number 13 days later."""
    used = [registered(0, lag_days=100), scanned(0, lag_days=101)]
    inputs = [*used, scanned(181), registered(187, lag_days=7)]
    for clocks in ([], [None, None, START_AT + 194 * DAY_MS - 1]):
        facts, given_up = outcome(told(inputs, clocks))
        assert (len(facts), given_up) == (1, ["W1@181+0"])


def test_an_answer_after_a_wait_does_not_answer_what_had_waited_its_time_by_then() -> None:
    """The news of day 189 answers the scan of 188, but not by it that of 181, over since 188."""
    used = [registered(0, lag_days=100), scanned(0, lag_days=101)]
    inputs = [*used, scanned(181), scanned(188), registered(8, lag_days=181)]
    for clocks in ([], [None, None, None, START_AT + 189 * DAY_MS - 1]):
        facts, given_up = outcome(told(inputs, clocks))
        assert [(f[1], f[2]) for f in facts] == [
            ("W1@0+101", START_AT + 101 * DAY_MS),
            ("W1@188+0", START_AT + 189 * DAY_MS),
        ]
        assert given_up == ["W1@181+0"]


DAYS = st.sampled_from([0, 0.4, 6, 7, 8, 90, 179, 180, 181, 187, 188, 270, 360, 361, 541, 800])
LAGS = st.sampled_from([0, 0, 0, 0, 0.5, 7, 100, 181])
EVENTS = st.one_of(
    st.builds(registered, DAYS, st.sampled_from(["o1", "o2"]), lag_days=LAGS),
    st.builds(scanned, DAYS, lag_days=LAGS),
    st.builds(scanned, DAYS, lag_days=LAGS),
)


@given(st.lists(EVENTS, max_size=12), st.data())
def test_how_often_the_clock_moves_changes_nothing(
    inputs: list[Input], data: st.DataObject
) -> None:
    in_time = sorted(inputs, key=arrival_of)
    moves = [data.draw(st.booleans()) for _ in in_time]
    arrivals = [arrival_of(each) for each in in_time]
    following = [*arrivals[1:], *arrivals[-1:]]
    proven = [after - 1 if moved else None for moved, after in zip(moves, following, strict=True)]
    assert outcome(told(in_time, proven)) == outcome(told(in_time))


@given(st.lists(EVENTS, max_size=9), st.data())
def test_answers_are_the_same_in_whatever_sequence_partitions_are_read(
    inputs: list[Input], data: st.DataObject
) -> None:
    """The watermark stands before what is still to be read, and moves as it likes."""
    expected = outcome(told(sorted(inputs, key=arrival_of)))
    resolver, answers = Resolver(), Answers()
    left = data.draw(st.permutations(inputs))
    while left:
        read(resolver, left[0])
        left = left[1:]
        if data.draw(st.booleans()):
            earliest = min(map(arrival_of, left), default=START_AT + 900 * DAY_MS)
            resolver.advance(earliest - data.draw(st.sampled_from([1, 1, DAY_MS])), answers)
        if data.draw(st.booleans()):
            resolver = restored([resolver.snapshot(base=True)])
    resolver.advance(START_AT + 10_000 * DAY_MS, answers)
    assert outcome(answers) == expected


def test_numbers_leave_memory_some_at_each_step_of_the_clock(rng: random.Random) -> None:
    resolver, answers = Resolver(forget_unused_after_ms=FORGET_AFTER_MS), Answers()
    count = 5 * LOOKED_AT_ONCE
    for number in range(count):
        read(resolver, registered(rng.random(), f"o{number}", f"W{number}"))
    resolver.advance(START_AT + (FORGET_DAYS + 1) * DAY_MS - 1, answers)
    assert len(resolver.numbers) == count
    over_at = START_AT + (FORGET_DAYS + 1) * DAY_MS
    lengths = []
    for clock in range(over_at, over_at + 3):
        resolver.advance(clock, answers)
        lengths.append(len(resolver.numbers))
    assert lengths == [4 * LOOKED_AT_ONCE, 3 * LOOKED_AT_ONCE, 2 * LOOKED_AT_ONCE]
    for number in range(LOOKED_AT_ONCE // 2):  # for each that comes two more are looked at
        read(resolver, registered(FORGET_DAYS + 1, "new", f"N{number}"))
    resolver.advance(over_at + 3, answers)
    assert len(resolver.numbers) == LOOKED_AT_ONCE // 2
    assert list(resolver.numbers.days()) == [over_at // DAY_MS + FORGET_DAYS]


def restored(snapshots: list[ResolverSnapshot]) -> Resolver:
    resolver = Resolver()
    resolver.restore(snapshots)
    return resolver


Held = tuple[dict[bytes, bytes], dict[str, list[Question]], list[Input], int]


def held(resolver: Resolver) -> Held:
    registrations = decode_registrations(resolver.numbers.held())
    registrations.sort(key=msgspec.structs.astuple)
    queue: list[Input] = [*registrations, *resolver.questions.questions]
    return dict(resolver.numbers.records()), resolver.waiting, queue, resolver.waiting_count


@given(st.lists(EVENTS, max_size=14), st.data())
def test_a_base_and_what_changed_since_is_the_resolver(
    inputs: list[Input], data: st.DataObject
) -> None:
    resolver, answers = Resolver(), Answers()
    snapshots: list[ResolverSnapshot] = []
    for each in sorted(inputs, key=arrival_of):
        read(resolver, each)
        if data.draw(st.booleans()):
            resolver.advance(arrival_of(each) - 1, answers)
        if data.draw(st.booleans()):
            base = not snapshots or data.draw(st.booleans())
            snapshots = [*([] if base else snapshots), resolver.snapshot(base=base)]
            assert held(restored(snapshots)) == held(resolver)
            assert not resolver.has_changed
    if snapshots:
        again = restored([*snapshots, resolver.snapshot(base=False)])
        for one in (resolver, again):
            for _ in range(20):
                one.advance(START_AT + 10_000 * DAY_MS, Answers())
        assert held(again) == held(resolver) == ({}, {}, [], 0)


def test_a_snapshot_has_what_changed_and_not_all_that_waits() -> None:
    resolver, answers = Resolver(), Answers()
    for number in range(50):
        read(resolver, scanned(1, f"X{number}"))
        read(resolver, registered(1, f"o{number}", f"W{number}"))
    resolver.advance(START_AT + DAY_MS, answers)
    base = resolver.snapshot(base=True)
    assert (base.count, len(base.waiting), base.questions) == (50, 50, [])
    read(resolver, registered(1.2, "o7", "W7"))
    resolver.advance(START_AT + 2 * DAY_MS - 1, answers)
    nothing = resolver.snapshot(base=False)
    assert not nothing.changed, "the same day, the same order: nothing new"
    for each in (scanned(2, "X3"), registered(2, "o8", "W8"), registered(2, "o9", "X9")):
        read(resolver, each)
    resolver.advance(START_AT + 2 * DAY_MS, answers)
    read(resolver, scanned(3, "X3"))
    delta = resolver.snapshot(base=False)
    assert len(delta.changed) == 2
    assert [(number[-2:], len(asked)) for number, asked in delta.waiting] == [("X3", 2), ("X9", 0)]
    assert [asked.fact.at for asked in delta.questions] == [START_AT + 3 * DAY_MS]
    assert held(restored([base, nothing, delta])) == held(resolver)


def test_a_snapshot_is_not_changed_by_what_is_read_after_it() -> None:
    resolver = Resolver()
    read(resolver, scanned(1))
    base = resolver.snapshot(base=True)
    again = restored([base])
    read(resolver, scanned(2))
    read(again, registered(2))
    assert (len(base.questions), decode_registrations(base.registrations)) == (1, [])


def test_a_waiting_event_that_is_given_up_leaves_the_next_snapshot() -> None:
    resolver, answers = Resolver(), Answers()
    read(resolver, scanned(1))
    resolver.advance(START_AT + DAY_MS, answers)
    base = resolver.snapshot(base=True)
    assert not resolver.has_changed
    resolver.advance(START_AT + DAY_MS + WAITS_AT_MOST_MS + 1, answers)
    assert resolver.has_changed
    assert held(restored([base, resolver.snapshot(base=False)])) == ({}, {}, [], 0)
