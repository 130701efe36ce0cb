"""Contract of SharedCounts, and of rates that several processes count together."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from gateway.limits import Limits
from gateway.problems import Problem
from gateway.rates import Period, RedisCounts, SharedCounts
from schemas.errors import Busy
from storage_tiering.hot.access import connect
from storage_tiering.hot.embedded import EmbeddedRedis
from tests.support.shared_counts import MemoryCounts
from tests.support.waiting import wait_until

MINUTE_S = 60
START_S = 1_800_000_000.0  # a minute begins
PREFIXES = count()
Open = Callable[[], SharedCounts]  # one more process


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def open_counts(request: pytest.FixtureRequest) -> Iterator[Open]:
    if request.param == "memory":
        counts = MemoryCounts()
        yield lambda: counts
        return
    server: EmbeddedRedis = request.getfixturevalue("redis")
    prefix, opened = f"{next(PREFIXES)}:", list[SharedCounts]()

    def connected() -> SharedCounts:
        opened.append(RedisCounts(connect(server.url), prefix))
        return opened[-1]

    yield connected
    for each in opened:
        each.close()


def test_sums_are_those_of_all_processes_by_caller_and_period(open_counts: Open) -> None:
    one, other = open_counts(), open_counts()
    now, later = Period("query a", 7, MINUTE_S), Period("query a", 8, MINUTE_S)
    assert one.add({now: 3}) == {now: 3}
    assert other.add({now: 2, later: 1}) == {now: 5, later: 1}
    assert one.add({later: 4, Period("query b", 7, MINUTE_S): 1}) == {
        later: 5,
        Period("query b", 7, MINUTE_S): 1,
    }
    assert one.add({}) == {}


def let_through(limits: Limits, now_s: float, caller: str = "carrier/main") -> bool:
    try:
        limits.take("callback", caller, now_s)
    except Problem:
        return False
    return True


def test_two_processes_let_a_caller_through_at_its_rate(open_counts: Open) -> None:
    """Both are sent ten times the rate; ten rounds of sharing in each period."""
    rates = {"callback": "100 per 1 minute"}
    both = [Limits(rates, open_counts()) for _ in range(2)]
    passed = [0] * 10  # by period
    for step in range(100):
        now_s = START_S + 6 * step
        passed[step // 10] += sum(let_through(each, now_s) for each in both for _ in range(50))
        for each in both:
            each.share()
    # At first each lets through what it may, and hasn't heard of the other.
    assert passed[0] <= 200
    assert sum(passed[2:]) <= 8 * 100 * 1.25
    assert min(passed[2:]) >= 50
    for each in both:
        assert let_through(each, START_S + 599, "carrier/other")


def test_after_the_seconds_of_a_refusal_a_request_is_let_through(open_counts: Open) -> None:
    one, other = (Limits({"callback": "7 per 1 minute"}, open_counts()) for _ in range(2))
    for offset in (11, 50):
        for _ in range(5):
            let_through(one, START_S + offset)
            let_through(other, START_S + offset)
        one.share()
        other.share()
    one.share()
    with pytest.raises(Problem) as refused:
        one.take("callback", "carrier/main", START_S + 51)
    wait_s = int(refused.value.headers["retry-after"])
    assert not let_through(one, START_S + 51 + wait_s - 2)
    assert let_through(one, START_S + 51 + wait_s)


def test_without_redis_each_process_counts_alone_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = EmbeddedRedis()
    counts = RedisCounts(connect(server.url), "x:")
    limits = Limits({"callback": "3 per 1 minute"}, counts)
    assert limits.is_shared
    server.close()
    with pytest.raises(Busy, match="Redis"):
        counts.add({Period("callback a", 1, MINUTE_S): 1})
    assert [let_through(limits, START_S) for _ in range(4)] == [True, True, True, False]
    limits.start()
    wait_until(lambda: not limits.is_shared, "the first attempt to share")
    limits.share()
    (line,) = caplog.messages
    assert "counted by this process alone" in line
    limits.close()
