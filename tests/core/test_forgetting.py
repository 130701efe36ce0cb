"""A number is forgotten 180 days after its last event: by days and arrivals, not by the clock."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.fact import Fact
from dataflows.core.numbers import LOOKED_AT_ONCE
from dataflows.core.resolve import (
    FORGET_AFTER_MS,
    WAITS_AT_MOST_MS,
    Answers,
    Question,
    Registration,
    Resolver,
    ResolverSnapshot,
    number_key,
)
from schemas.instants import DAY_MS
from tests.support.stage import START_AT

FORGET_DAYS = FORGET_AFTER_MS // DAY_MS
Said = Registration | Question


def registered(day: float, order_id: str = "o1", number: str = "W1", lag_days: float = 0) -> Said:
    at = START_AT + round(day * DAY_MS)
    arrival_at = at + round(lag_days * DAY_MS)
    return Registration(number_key("default", "waybill", number), order_id, "", at, arrival_at)


def scanned(day: float, number: str = "W1", lag_days: float = 0) -> Said:
    at = START_AT + round(day * DAY_MS)
    name = f"{number}@{day}+{lag_days}"
    arrival_at = at + round(lag_days * DAY_MS)
    fact = Fact("", arrival_at, at, 6, number, "carrier:sf", name, hash(name), b"{}")
    return Question(number_key("default", "waybill", number), "default", "", fact)


def arrival_of(said: Said) -> int:
    return said.arrival_at if isinstance(said, Registration) else said.fact.arrival_at


def tell(resolver: Resolver, said: Said, answers: Answers) -> None:
    if isinstance(said, Registration):
        resolver.register(said, answers)
    else:
        resolver.ask(said, answers)


def told(
    said: Sequence[Said],
    clocks: Sequence[int | None] = (),
    forget_after_ms: int = FORGET_AFTER_MS,
) -> Answers:
    """Answers to events applied one after another, the watermark advanced after some of them."""
    resolver, answers = Resolver(forget_after_ms), Answers()
    for index, each in enumerate(said):
        tell(resolver, each, answers)
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
    said = [registered(0), scanned(100), scanned(100 + days)]
    clock = START_AT + (100 + days) * DAY_MS - 1 if clock_first else None
    facts, given_up = outcome(told(said, [None, clock]))
    assert len(facts) == (2 if days == FORGET_DAYS else 1)
    assert len(given_up) == (0 if days == FORGET_DAYS else 1)


def test_what_a_lifecycle_says_is_how_long_a_number_is_known() -> None:
    said = [registered(0), scanned(30), scanned(61)]
    assert len(told(said, forget_after_ms=30 * DAY_MS).facts) == 1


def test_events_of_long_ago_that_come_late_meet_a_number_only_while_it_is_known() -> None:
    late = [registered(0), scanned(1, lag_days=170), scanned(2, lag_days=400)]
    assert [fact.at for fact in told(late).facts] == [START_AT + DAY_MS]


def test_a_number_registered_anew_after_it_was_forgotten_begins_anew() -> None:
    """Also where the clock had no time to forget it: an old scan doesn't mean it any more."""
    said = [registered(0), registered(200), scanned(5, lag_days=201), scanned(199, lag_days=8)]
    for clocks in ([], [None, START_AT + 200 * DAY_MS - 1], [START_AT + 190 * DAY_MS]):
        assert [fact.at for fact in told(said, clocks).facts] == [START_AT + 199 * DAY_MS]


def test_a_use_that_comes_late_closes_the_gap_it_would_have_closed() -> None:
    in_time = [registered(0), scanned(150), registered(300), scanned(10, lag_days=300)]
    expected = outcome(told(in_time))
    assert len(expected[0]) == 2
    first, scan, again, late = in_time
    for order in (
        [first, again, scan, late],
        [first, late, again, scan],
        [again, first, scan, late],
    ):
        assert outcome(told(order)) == expected


def test_a_scan_that_waits_is_asked_again_when_a_use_closes_the_gap() -> None:
    in_time = [registered(0), scanned(150), scanned(300)]
    assert len(told(in_time).facts) == 2
    assert outcome(told([in_time[0], in_time[2], in_time[1]])) == outcome(told(in_time))


def test_news_of_a_number_does_not_answer_what_has_waited_its_time() -> None:
    """A scan after the number's last use waits, and its order names the number 13 days later."""
    said = [registered(0, lag_days=100), scanned(181), registered(187, lag_days=7)]
    for clocks in ([], [None, START_AT + 194 * DAY_MS - 1]):
        facts, given_up = outcome(told(said, clocks))
        assert (len(facts), len(given_up)) == (0, 1)


def test_an_answer_after_a_wait_does_not_answer_what_had_waited_its_time_by_then() -> None:
    """The news of day 189 answers the scan of 188, but not by it that of 181, over since 188."""
    said = [registered(0, lag_days=100), scanned(181), scanned(188), registered(8, lag_days=181)]
    for clocks in ([], [None, None, START_AT + 189 * DAY_MS - 1]):
        facts, given_up = outcome(told(said, clocks))
        assert [event_id for _, event_id, _, _ in facts] == ["W1@188+0"]
        assert given_up == ["W1@181+0"]


DAYS = st.sampled_from([0, 0.4, 6, 7, 8, 90, 179, 180, 181, 187, 188, 270, 360, 361, 541, 800])
LAGS = st.sampled_from([0, 0, 0, 0, 0.5, 7, 100, 181])
EVENTS = st.one_of(
    st.builds(registered, DAYS, st.sampled_from(["o1", "o2"]), lag_days=LAGS),
    st.builds(scanned, DAYS, lag_days=LAGS),
    st.builds(scanned, DAYS, lag_days=LAGS),
)


@given(st.lists(EVENTS, max_size=12), st.data())
def test_how_often_the_clock_moves_changes_nothing(said: list[Said], data: st.DataObject) -> None:
    in_time = sorted(said, key=arrival_of)
    moves = [data.draw(st.booleans()) for _ in in_time]
    arrivals = [arrival_of(each) for each in in_time]
    following = [*arrivals[1:], *arrivals[-1:]]
    proven = [after - 1 if moved else None for moved, after in zip(moves, following, strict=True)]
    assert outcome(told(in_time, proven)) == outcome(told(in_time))


@given(st.lists(st.builds(scanned, DAYS), max_size=9), st.data())
def test_scans_of_a_number_are_given_out_alike_in_whatever_sequence_partitions_are_read(
    scans: list[Said], data: st.DataObject
) -> None:
    mixed = data.draw(st.permutations(scans))
    found, expected = (
        outcome(told([registered(0), *order])) for order in (mixed, sorted(scans, key=arrival_of))
    )
    assert set(found[0]) == set(expected[0])
    assert set(found[1]) == set(expected[1])


def test_numbers_leave_memory_some_at_each_step_of_the_clock(rng: random.Random) -> None:
    resolver, answers = Resolver(), Answers()
    count = 5 * LOOKED_AT_ONCE
    for number in range(count):
        tell(resolver, registered(rng.random(), f"o{number}", f"W{number}"), answers)
    resolver.advance(START_AT + (FORGET_DAYS + 1) * DAY_MS - 1, answers)
    assert len(resolver.numbers) == count
    over_at = START_AT + (FORGET_DAYS + 1) * DAY_MS
    lengths = []
    for clock in range(over_at, over_at + 3):
        resolver.advance(clock, answers)
        lengths.append(len(resolver.numbers))
    assert lengths == [4 * LOOKED_AT_ONCE, 3 * LOOKED_AT_ONCE, 2 * LOOKED_AT_ONCE]
    for number in range(LOOKED_AT_ONCE // 2):  # for each that comes two more are looked at
        tell(resolver, registered(FORGET_DAYS + 1, "new", f"N{number}"), answers)
    resolver.advance(over_at + 3, answers)
    assert len(resolver.numbers) == LOOKED_AT_ONCE // 2
    assert list(resolver.numbers.heard_on) == [over_at // DAY_MS + FORGET_DAYS]


def restored(snapshots: list[ResolverSnapshot]) -> Resolver:
    resolver = Resolver()
    resolver.restore(snapshots)
    return resolver


def held(resolver: Resolver) -> tuple[dict[bytes, bytes], dict[str, list[Question]], int]:
    return dict(resolver.numbers.table), resolver.waiting, resolver.waiting_count


@given(st.lists(EVENTS, max_size=14), st.data())
def test_a_base_and_what_changed_since_is_the_resolver(
    said: list[Said], data: st.DataObject
) -> None:
    resolver, answers = Resolver(), Answers()
    snapshots: list[ResolverSnapshot] = []
    for each in sorted(said, key=arrival_of):
        tell(resolver, each, answers)
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
        assert held(again) == held(resolver) == ({}, {}, 0)


def test_a_snapshot_has_what_changed_and_not_all_that_waits() -> None:
    resolver, answers = Resolver(), Answers()
    for number in range(50):
        tell(resolver, scanned(1, f"X{number}"), answers)
        tell(resolver, registered(1, f"o{number}", f"W{number}"), answers)
    base = resolver.snapshot(base=True)
    assert (base.count, len(base.waiting)) == (50, 50)
    tell(resolver, registered(1.2, "o7", "W7"), answers)
    assert not resolver.has_changed, "the same day, the same order: nothing new"
    tell(resolver, scanned(2, "X3"), answers)
    tell(resolver, registered(2, "o8", "W8"), answers)
    tell(resolver, registered(2, "o9", "X9"), answers)
    delta = resolver.snapshot(base=False)
    assert len(delta.changed) == 2
    assert [(number[-2:], len(asked)) for number, asked in delta.waiting] == [("X3", 2), ("X9", 0)]
    assert held(restored([base, delta])) == held(resolver)


def test_a_waiting_event_that_is_given_up_leaves_the_next_snapshot() -> None:
    resolver, answers = Resolver(), Answers()
    tell(resolver, scanned(1), answers)
    base = resolver.snapshot(base=True)
    resolver.advance(START_AT + DAY_MS + WAITS_AT_MOST_MS + 1, answers)
    assert resolver.has_changed
    assert held(restored([base, resolver.snapshot(base=False)])) == ({}, {}, 0)
