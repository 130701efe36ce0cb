"""Rates: how many requests of a caller pass in any time, and how long a refused one has to wait."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.limits import RATES, SHARE_EVERY_S, Limits, rate_of
from gateway.problems import Problem
from gateway.rates import Rate, Windows
from schemas.errors import SettingsError
from tests.support.shared_counts import MemoryCounts

START_S = 1_800_000_000.0
SLACK = 0.01  # requests; instants are floats
CALLBACKS = rate_of("callback", RATES["callback"])

Burst = tuple[float, int]  # seconds since the last one, requests
rates = st.builds(Rate, st.integers(1, 400), st.integers(1, 20), st.none() | st.integers(1, 40))
gaps_s = st.floats(0.0, 0.2) | st.floats(0.0, 12.0)
bursts = st.lists(st.tuples(gaps_s, st.integers(1, 60)), max_size=40)


def limited_to(rate: Rate, counts: MemoryCounts | None = None) -> Limits:
    """Limits of a process with this rate of callbacks."""
    at_once = f", {rate.at_once} at once" if rate.at_once else ""
    return Limits({"callback": f"{rate.amount} per {rate.length_s} second{at_once}"}, counts)


def let_through(limits: Limits, now_s: float) -> bool:
    try:
        limits.take("callback", "carrier/main", now_s)
    except Problem:
        return False
    return True


@given(rate=rates, sent=bursts)
@example(rate=CALLBACKS, sent=[(0.005, 10)] * 400)  # ten times the rate
def test_in_any_time_no_more_pass_than_the_rate_and_what_may_come_at_once(
    rate: Rate, sent: list[Burst]
) -> None:
    windows, now_s, passed = Windows(), START_S, list[tuple[float, int]]()
    for gap_s, count in sent:
        now_s += gap_s
        passed.append((now_s, sum(windows.hit("c", rate, now_s)[0] for _ in range(count))))
    for place, (begin_s, _) in enumerate(passed):
        total = 0
        for end_s, count in passed[place:]:
            total += count
            periods = end_s // rate.length_s - begin_s // rate.length_s + 1
            assert total <= rate.amount * periods
            if rate.at_once:
                leaked = rate.amount / rate.length_s * (end_s - begin_s)
                assert total <= rate.at_once + leaked + SLACK


@given(rate=rates, share=st.floats(0.1, 0.95), seconds=st.floats(0.1, 40.0))
def test_a_sender_within_its_rate_is_never_refused(
    rate: Rate, share: float, seconds: float
) -> None:
    per_s = share * rate.amount / rate.length_s
    limits = limited_to(rate)
    instants = [START_S + number / per_s for number in range(min(1_000, int(seconds * per_s)))]
    assert all(let_through(limits, now_s) for now_s in instants)
    rested_s = instants[-1] + 2 * rate.length_s if instants else START_S
    at_once = sum(let_through(limits, rested_s) for _ in range(rate.limit + 1))
    assert at_once == min(rate.limit, rate.amount)


@given(rate=rates, sent=bursts)
def test_who_waits_as_long_as_a_refusal_names_is_let_through(rate: Rate, sent: list[Burst]) -> None:
    limits, now_s = limited_to(rate), START_S
    for gap_s, count in sent:
        now_s += gap_s
        for _ in range(count):
            try:
                standing = limits.take("callback", "carrier/main", now_s)
            except Problem as refused:
                now_s += int(refused.headers["retry-after"])
                standing = limits.take("callback", "carrier/main", now_s)
            assert 0 <= standing.remaining < standing.limit == rate.limit
            assert 0 <= int(standing.headers["ratelimit-reset"]) <= 2 * rate.length_s + 1


@given(
    rate=st.builds(Rate, st.integers(1, 2_000), st.integers(1, 10), st.integers(1, 100)),
    processes=st.integers(1, 4),
    pushed=st.lists(st.integers(0, 120), min_size=1, max_size=60),
)
def test_processes_together_exceed_the_rate_by_what_they_have_not_shared(
    rate: Rate, processes: int, pushed: list[int]
) -> None:
    """Each is sent so many callbacks between two of its exchanges with the shared counts."""
    counts = MemoryCounts()
    served = [limited_to(rate, counts) for _ in range(processes)]
    passed: Counter[int] = Counter()  # by period
    for step, count in enumerate(pushed):
        now_s = START_S + step * SHARE_EVERY_S
        for each in served:
            passed[int(now_s // rate.length_s)] += sum(
                let_through(each, now_s) for _ in range(count)
            )
        for each in served:
            each.share()
    # One exchange to be known to all others, and one until each has looked.
    unknown = rate.at_once + 2 * SHARE_EVERY_S * rate.amount / rate.length_s if rate.at_once else 0
    assert max(passed.values()) <= rate.amount + (processes - 1) * unknown + SLACK


def test_a_flood_passes_evenly_and_a_hundred_at_once_are_no_flood() -> None:
    limits = Limits()
    assert all(let_through(limits, START_S) for _ in range(100))
    assert not let_through(limits, START_S)
    flooded_s = START_S + 60.0
    passed = [
        sum(let_through(limits, flooded_s + number / 2_000) for number in range(begin, begin + 200))
        for begin in range(0, 20_000, 200)  # a tenth of a second each
    ]
    assert passed[0] == pytest.approx(120, abs=1)
    assert max(passed[1:]) <= 21
    assert sum(passed) == 2_000


@pytest.mark.parametrize(
    "text", ["10 per 1 second, 0 at once", "10 per 1 second,", "10, 5 at once"]
)
def test_a_rate_with_another_word_about_what_comes_at_once_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"1000 per 5 second, 100 at once"):
        rate_of("callback", text)
