"""Heartbeats on real brokers: broker time is theirs, whatever this host's clock shows."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from broker.broker_time import BrokerTime, HostClock
from broker.connect import Connection
from broker.errors import BrokerFailed
from broker.heartbeats import Heartbeats
from deploy.stack.kafka import Kafka
from schemas import topics
from schemas.topics import CLOCK
from tests.support.host_clock import HostClock as WrongClock
from tests.support.kafka.flowing import wall_clock
from tests.support.kafka.topics import leader_of, make, make_anew
from tests.support.kafka.track_runs import TrackRuns
from tests.support.stack import namespace
from tests.support.waiting import wait_until

TWO_DAYS_S = 2 * 86_400
ORDERS = [range(8), range(10, 14), range(20, 24)]


def beating(kafka: Connection, time_: BrokerTime) -> Heartbeats:
    host = HostClock(wall_clock, wall_clock, lambda: None, lambda: None)
    return Heartbeats(kafka, time_, host, every_s=0.1)


def test_append_times_of_heartbeats_are_the_time_that_is_proven(kafka: Connection) -> None:
    make(kafka, CLOCK)
    known = BrokerTime()
    with beating(kafka, known):
        # The brokers of the tests share this host, and with it its wall clock.
        assert known.proven() == pytest.approx(wall_clock(), abs=2_000)


def test_the_leaders_death_ends_no_proof_for_longer_than_an_election(
    kafka: Connection, cluster: Sequence[Kafka]
) -> None:
    make(kafka, CLOCK)
    known = BrokerTime()
    leader = leader_of(kafka, cluster, CLOCK.name)
    with beating(kafka, known):
        leader.kill()
        try:
            time.sleep(12)
            proven = wait_until(known.proven, "a proof")
            assert proven == pytest.approx(wall_clock(), abs=2_000)
        finally:
            leader.start()
            leader.wait(60)


def test_a_clock_topic_with_create_times_is_refused_with_the_command_that_mends_it(
    kafka: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = topics.TopicSettings(namespace(), timestamp_type="CreateTime", partitions=1)
    make(kafka, wrong)
    monkeypatch.setattr("broker.heartbeats.CLOCK", wrong)
    with (
        pytest.raises(BrokerFailed, match=f"{wrong.name}: keeps create times.*LogAppendTime"),
        beating(kafka, BrokerTime()),
    ):
        pytest.fail("no broker time without append times")


@pytest.fixture
def runs(kafka: Connection, tmp_path: Path) -> Iterator[TrackRuns]:
    make_anew(kafka, *topics.TOPICS, partitions=2)
    found = TrackRuns(kafka, tmp_path, namespace())
    yield found
    found.close()


def has_jumped(runs: TrackRuns, times: int) -> bool:
    return runs.output().count("host clock: it jumped") >= times


@pytest.mark.parametrize("wrong_s", [TWO_DAYS_S, -3 * 3_600])
def test_a_host_clock_set_wrong_for_seconds_alerts_nobody_and_holds_nothing(
    wrong_s: int, runs: TrackRuns, tmp_path: Path
) -> None:
    with WrongClock(tmp_path) as host:
        runs.environment |= host.environment
        runs.start()
        for turn, (numbers, wrong) in enumerate(zip(ORDERS, (0, wrong_s, 0), strict=True)):
            host.set_wrong(wrong)
            runs.wait_until(partial(has_jumped, runs, turn))
            runs.feed(numbers, partition=turn % 2)
            runs.wait_for_orders(sum(map(len, ORDERS[: turn + 1])))
        assert not runs.alerts()
        runs.stop()
