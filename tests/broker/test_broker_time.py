"""Broker time is what heartbeats prove, carried on by the steady clock; no wall clock moves it."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.broker_time import (
    FRESH_MS,
    LEAP_LASTS_MS,
    LEAP_MS,
    SET_BACK_MS,
    BrokerTime,
    HostClock,
)
from broker.clients import opened
from broker.connect import Connection
from broker.heartbeats import Heartbeats, first_heartbeat

NOW = 1_600_000_000_000
DAY_MS = 86_400_000
MINUTE_MS = 60_000


class Scene:
    """A broker whose clock is `ahead_ms` of NOW plus what the steady clock shows."""

    def __init__(self) -> None:
        self.steady = 5_000
        self.ahead_ms = 0
        self.time = BrokerTime(lambda: self.steady)

    def true_time(self) -> int:
        return NOW + self.steady

    def beat(self, out_ms: int = 1, back_ms: int = 1) -> None:
        sent_ms = self.steady
        self.steady += out_ms
        appended_at = self.true_time() + self.ahead_ms
        self.steady += back_ms
        self.time.heartbeat(sent_ms, appended_at, self.steady)

    def beat_for(self, duration_ms: int) -> None:
        until = self.steady + duration_ms
        while self.steady < until:
            self.steady += 998
            self.beat()


DELAYS = st.integers(0, 5_000)
BEATS = st.lists(st.tuples(DELAYS, DELAYS, st.integers(0, 20_000)), min_size=1, max_size=20)


@given(BEATS)
def test_broker_time_is_never_ahead_of_the_broker_and_behind_by_the_shortest_way_back(
    beats: list[tuple[int, int, int]],
) -> None:
    scene = Scene()
    ways_back = []
    for out_ms, back_ms, pause_ms in beats:
        scene.beat(out_ms, back_ms)
        ways_back.append(back_ms)
        scene.steady += pause_ms
        assert scene.time.now() <= scene.true_time()
        assert scene.time.now() == scene.true_time() - min(ways_back[-8:])


def test_without_a_heartbeat_nothing_is_known_and_nothing_is_proven() -> None:
    time = BrokerTime()
    assert not time.is_known
    assert time.proven() is None
    with pytest.raises(RuntimeError, match="before the first heartbeat"):
        time.now()


def test_heartbeats_that_stay_away_end_the_proof_while_time_goes_on() -> None:
    scene = Scene()
    scene.beat()
    scene.steady += FRESH_MS
    assert scene.time.proven() == scene.true_time() - 1
    scene.steady += 1
    assert scene.time.proven() is None
    assert scene.time.now() == scene.true_time() - 1
    scene.beat()
    assert scene.time.proven() == scene.true_time() - 1


@pytest.mark.parametrize("leap_ms", [2 * DAY_MS, -3 * 3_600_000, LEAP_MS + 10, -LEAP_MS - 10])
def test_a_leap_of_the_brokers_clock_for_some_seconds_is_not_followed(
    leap_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ordertide.broker")
    scene = Scene()
    scene.beat_for(10_000)
    scene.ahead_ms = leap_ms
    scene.beat_for(4_000)
    assert scene.time.proven() == scene.true_time() - 1
    scene.ahead_ms = 0
    scene.beat_for(10_000)
    assert scene.time.proven() == scene.true_time() - 1
    way = "ahead" if leap_ms > 0 else "back"
    set_wrong, right_again = (record.getMessage() for record in caplog.records)
    assert f"clock was set {way} by {abs(leap_ms) / 1000:.1f} s;" in set_wrong
    assert right_again == "broker time: the broker's clock is as it was before"


@pytest.mark.parametrize("leap_ms", [2 * DAY_MS, -3 * 3_600_000])
def test_a_leap_that_lasts_is_followed(leap_ms: int) -> None:
    scene = Scene()
    scene.beat_for(10_000)
    scene.ahead_ms = leap_ms
    scene.beat_for(LEAP_LASTS_MS - 5_000)
    assert scene.time.now() == scene.true_time() - 1
    scene.beat_for(10_000)
    assert scene.time.now() == scene.true_time() + leap_ms - 1


@pytest.mark.parametrize("step_ms", [LEAP_MS // 2, -LEAP_MS // 2])
def test_a_small_step_of_the_brokers_clock_is_followed_within_some_heartbeats(step_ms: int) -> None:
    scene = Scene()
    scene.beat_for(10_000)
    scene.ahead_ms = step_ms
    scene.beat_for(10_000)
    assert scene.time.now() == scene.true_time() + step_ms - 1


def test_a_heartbeat_that_takes_a_minute_is_no_leap(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.beat_for(10_000)
    scene.beat(out_ms=MINUTE_MS, back_ms=1)
    scene.beat(out_ms=1, back_ms=MINUTE_MS)
    assert scene.time.now() == scene.true_time() - 1
    assert not caplog.records


class Host:
    """A host clock that the test sets."""

    def __init__(self) -> None:
        self.steady = 5_000
        self.wrong_ms = 0
        self.jumps = self.set_back = 0
        self.clock = HostClock(
            lambda: NOW + self.steady + self.wrong_ms,
            lambda: NOW + self.steady,
            lambda: setattr(self, "jumps", self.jumps + 1),
            lambda: setattr(self, "set_back", self.set_back + 1),
            lambda: self.steady,
        )

    def check_for(self, seconds: int) -> None:
        for _ in range(seconds):
            self.steady += 1_000
            self.clock.check()


@pytest.mark.parametrize("wrong_ms", [2 * DAY_MS, -3 * 3_600_000, 3_000])
def test_each_jump_of_the_hosts_clock_is_logged_and_counted_once(
    wrong_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host()
    host.check_for(5)
    host.wrong_ms = wrong_ms
    host.check_for(5)
    assert host.clock.offset_ms() == wrong_ms
    assert host.jumps == len(caplog.records) == 1
    assert f"jumped by {wrong_ms / 1000:+.1f} s" in caplog.text
    host.wrong_ms = 0
    host.check_for(5)
    assert host.jumps == len(caplog.records) == 2


def test_a_clock_that_was_wrong_from_the_start_is_no_jump(caplog: pytest.LogCaptureFixture) -> None:
    host = Host()
    host.wrong_ms = DAY_MS
    host.check_for(5)
    assert host.jumps == 0
    assert "starts off by +86400.0 s" in caplog.text
    assert len(caplog.records) == 1


def test_only_a_clock_that_was_set_back_by_more_than_seconds_makes_the_flow_start_again() -> None:
    host = Host()
    host.wrong_ms = DAY_MS
    host.check_for(2)
    host.wrong_ms -= SET_BACK_MS
    host.check_for(2)
    assert host.set_back == 0
    host.wrong_ms -= SET_BACK_MS + 1
    host.check_for(2)
    assert host.set_back == 1


def test_all_processes_on_an_embedded_broker_have_the_same_time(connection: Connection) -> None:
    assert first_heartbeat(connection) == first_heartbeat(connection)
    ours, theirs = BrokerTime(lambda: 1_000), BrokerTime(lambda: 1_000)
    for each in (ours, theirs):
        host = HostClock(each.now if each.is_known else lambda: 0, lambda: 0, no_one, no_one)
        with Heartbeats(connection, each, host):
            assert each.proven() == each.now()
    assert ours.now() == theirs.now()


def test_an_interrupt_before_the_first_heartbeat_leaves_no_client_open() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    known, before = BrokerTime(lambda: 0), opened()
    host = HostClock(lambda: 0, lambda: 0, no_one, no_one)
    nowhere = Connection("127.0.0.1:1")
    with (
        pytest.raises(KeyboardInterrupt),
        Heartbeats(nowhere, known, host, steady=interrupted),
    ):
        pytest.fail("there is no broker")
    assert opened() == before


def no_one() -> None:
    """A callback without effect."""
