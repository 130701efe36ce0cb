"""The poll plan in virtual time: the age of news, the rate, restarts, silence and failures."""

import random
from itertools import pairwise

import pytest

from benchmarks.polled_lives import lives, run
from dataflows.carriers.pollable import Asked
from dataflows.carriers.polling import (
    GIVEN_UP_MS,
    INTERVALS_MS,
    LONGEST_PAUSE_MS,
    MINUTE_MS,
    PROMISED,
    PROMISED_MS,
    SILENT_MS,
    Plan,
)
from schemas.instants import DAY_MS

HOUR_MS = 60 * MINUTE_MS
LATENCY_MS = 500
A = Asked("SF1000000001", "sf")


def plan(rate: float = 1000.0, *, batch: int = 1, least_ms: int = 0) -> Plan:
    return Plan(rate, batch=batch, least_ms=least_ms)


def asked_at(plan: Plan, until: int, begin: int = 0) -> list[tuple[int, Asked]]:
    """(instant, parcel) of what is asked for, each answered at once and without news."""
    found, now = [], begin
    while now < until:
        taken = plan.take(now)
        found += [(now, each) for each in taken]
        plan.answered(taken, now)
        if not taken:
            now = max(now + 1, plan.next_at(now) or until)
    return found


def gaps(plan: Plan, until: int, begin: int = 0) -> list[int]:
    instants = [at for at, _ in asked_at(plan, until, begin)]
    return [later - earlier for earlier, later in pairwise(instants)]


@pytest.mark.parametrize("batch", [1, 40])
def test_a_week_of_parcels_keeps_the_promise_within_the_rate(
    batch: int, rng: random.Random
) -> None:
    """A benchmark runs 100,000 of them: python -m benchmarks polling."""
    count = 1_500
    rate = 2.0 * count / batch / 1_000
    outcome = run(plan(rate, batch=batch), lives(count, 5, rng), 7 * DAY_MS, latency_ms=LATENCY_MS)
    assert outcome.delivered > count / 2
    assert outcome.oldest_ms <= PROMISED_MS + LATENCY_MS + 1000 / rate
    assert outcome.most_a_second <= max(1.0, rate) + 1 + rate
    assert outcome.asked > outcome.requests * (batch > 1)


@pytest.mark.parametrize("status", sorted(INTERVALS_MS))
def test_jitter_shortens_an_interval_and_never_lengthens_it(status: str) -> None:
    asking = plan()
    asking.put(A, status, 0, 0)
    found = gaps(asking, 3 * DAY_MS)
    assert max(found) <= INTERVALS_MS[status]
    assert min(found) >= 0.8 * INTERVALS_MS[status]
    assert len(set(found)) > 1


def test_parcels_under_way_are_promised_half_an_hour() -> None:
    assert all(INTERVALS_MS[status] <= PROMISED_MS for status in PROMISED)


def test_a_carrier_that_wants_half_an_hour_between_requests_gets_it() -> None:
    asking = plan(least_ms=PROMISED_MS)
    asking.put(A, "OUT_FOR_DELIVERY", 0, 0)
    assert set(gaps(asking, DAY_MS)) == {PROMISED_MS}


def test_news_of_a_push_puts_off_the_next_request() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    asking.put(A, "IN_TRANSIT", 20 * MINUTE_MS, 20 * MINUTE_MS)
    assert asking.take(30 * MINUTE_MS) == []
    assert asking.take(50 * MINUTE_MS) == [A]


def test_a_silent_parcel_is_asked_for_less_and_less_and_at_last_no_more() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    instants = [at for at, _ in asked_at(asking, 60 * DAY_MS)]
    assert GIVEN_UP_MS <= instants[-1] < GIVEN_UP_MS + 13 * HOUR_MS
    early = [b - a for a, b in pairwise(instants) if b < SILENT_MS]
    late = [b - a for a, b in pairwise(instants) if a > SILENT_MS + 6 * DAY_MS]
    assert max(early) <= PROMISED_MS
    assert min(late) > 9 * HOUR_MS
    assert max(late) <= 12 * HOUR_MS
    asking.put(A, "IN_TRANSIT", 60 * DAY_MS, 60 * DAY_MS)
    assert asking.take(60 * DAY_MS + PROMISED_MS) == [A]


@pytest.mark.parametrize("status", ["DELIVERED", "RETURNED", "VOIDED", "CANCELLED", "OF_OURS"])
def test_a_parcel_without_an_interval_is_not_asked_for(status: str) -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    asking.put(A, status, 1, 1)
    assert (asking.parcels, asking.next_at(1)) == ({}, None)


def test_a_restart_without_memory_spreads_the_parcels_over_their_interval() -> None:
    asking = plan()
    now = 5 * DAY_MS
    for number in range(3_000):
        asking.put(Asked(f"SF{number:010}", "sf"), "IN_TRANSIT", 4 * DAY_MS, now)
    minutes = [0] * 30
    for at, _ in asked_at(asking, now + PROMISED_MS - 1, now):
        minutes[(at - now) // MINUTE_MS] += 1
    assert max(minutes) <= 3 * 3_000 / 30
    assert sum(minutes) >= 3_000


def test_a_restart_with_memory_resumes_where_it_was() -> None:
    asking = plan()
    now = 5 * DAY_MS
    asking.put(A, "IN_TRANSIT", 4 * DAY_MS, now, asked_at=now - 10 * MINUTE_MS)
    due = asking.next_at(now)
    assert due is not None
    assert 14 * MINUTE_MS - 1 <= due - now <= 20 * MINUTE_MS


def test_overdue_parcels_leave_no_faster_than_the_bucket() -> None:
    asking = plan(2.0)
    now = 5 * DAY_MS
    for number in range(1_000):
        asked = Asked(f"SF{number:010}", "sf")
        asking.put(asked, "IN_TRANSIT", 4 * DAY_MS, now, asked_at=now - 2 * HOUR_MS)
    found = [at for at, _ in asked_at(asking, now + 60_000, now)]
    assert len(found) <= 2 * 60 + 2
    assert sum(1 for at in found if at < now + 1_000) <= 3


def test_an_idle_account_saves_up_the_requests_of_one_second_only() -> None:
    asking = plan(5.0)
    asking.put(A, "LABEL_CREATED", 0, 0)
    asked_at(asking, 12 * HOUR_MS)
    now = 12 * HOUR_MS
    for number in range(100):
        asked = Asked(f"SF{number:010}", "sf")
        asking.put(asked, "IN_TRANSIT", 0, now, asked_at=now - HOUR_MS)
    assert len([*iter(lambda: asking.take(now), [])]) <= 5


def test_failures_pause_the_account_longer_and_longer_up_to_an_hour() -> None:
    asking = plan()
    asking.put(A, "OUT_FOR_DELIVERY", 0, 0)
    now, pauses = HOUR_MS, []
    for _ in range(12):
        taken = asking.take(now)
        assert taken == [A]
        asking.limited(taken, now)
        after = asking.next_at(now)
        assert after is not None
        pauses.append(after - now)
        assert asking.take(after - 1) == []
        now = after
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (30_000, LONGEST_PAUSE_MS)
    asking.answered(asking.take(now), now)
    taken = asking.take(now + HOUR_MS)
    asking.limited(taken, now + HOUR_MS)
    assert asking.next_at(now + HOUR_MS) == now + HOUR_MS + 30_000


def test_the_carriers_own_pause_is_kept() -> None:
    asking = plan()
    asking.put(A, "OUT_FOR_DELIVERY", 0, 0)
    asking.limited(asking.take(HOUR_MS), HOUR_MS, 10 * MINUTE_MS)
    assert asking.next_at(HOUR_MS) == HOUR_MS + 10 * MINUTE_MS


def test_a_parcel_that_always_fails_does_not_hold_up_the_others() -> None:
    asking = plan()
    for number in range(20):
        asking.put(Asked(f"SF{number:010}", "sf"), "IN_TRANSIT", 0, 0)
    answered, failed, now = set[str](), list[int](), 0
    while now < 4 * HOUR_MS:
        taken = asking.take(now)
        if taken and taken[0].number.endswith("0000000007"):
            asking.failed(taken, now)
            failed.append(now)
        elif taken:
            asking.answered(taken, now)
            answered.add(taken[0].number)
        else:
            now = max(now + 1, asking.next_at(now) or 4 * HOUR_MS)
    assert len(answered) == 19
    assert len(failed) > 2
    assert min(later - earlier for earlier, later in pairwise(failed)) >= 5 * MINUTE_MS


def test_an_unknown_number_is_asked_for_less_and_less_until_there_is_news() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    now, instants = 0, list[int]()
    while len(instants) < 8:
        taken = asking.take(now)
        if taken:
            instants.append(now)
            asking.answered(taken, now, unknown=[A.number])
        now = asking.next_at(now) or 0
    found = [later - earlier for earlier, later in pairwise(instants)]
    assert found[-1] > 9 * HOUR_MS
    asking.put(A, "OUT_FOR_DELIVERY", now, now)
    after = asking.next_at(now)
    assert after is not None
    assert after <= now + 15 * MINUTE_MS


def test_events_that_could_not_be_written_are_asked_for_again() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    taken = asking.take(HOUR_MS)
    assert asking.take(2 * HOUR_MS) == []
    asking.returned(taken, HOUR_MS + 5_000)
    assert asking.take(HOUR_MS + 5_000) == [A]


def test_an_answer_about_a_parcel_that_is_no_longer_live_is_ignored() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 0, 0)
    taken = asking.take(HOUR_MS)
    asking.drop(A.number)
    asking.answered(taken, HOUR_MS)
    assert (asking.next_at(HOUR_MS), asking.oldest_news_ms(HOUR_MS)) == (None, 0)


def test_the_age_of_news_counts_parcels_under_way_only() -> None:
    asking = plan()
    asking.put(A, "LABEL_CREATED", 0, 0)
    assert asking.oldest_news_ms(HOUR_MS) == 0
    asking.put(A, "COLLECTED", 10, 10)
    assert asking.oldest_news_ms(HOUR_MS) == HOUR_MS - 10
    assert asking.oldest_news_ms(SILENT_MS + 10) == 0


def test_a_scan_from_the_future_is_taken_as_of_now() -> None:
    asking = plan()
    asking.put(A, "IN_TRANSIT", 10 * DAY_MS, 0)
    assert asking.take(PROMISED_MS) == [A]
