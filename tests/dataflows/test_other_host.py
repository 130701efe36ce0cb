"""With the state in a bucket any host resumes, with the same outputs as without the change."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, Json
from tests.support.outcome import (
    assert_as_replayed,
    assert_prefix,
    assert_same,
    lines,
    of_replay,
    of_topics,
    transitions,
)
from tests.support.s3 import S3, bucket_of
from tests.support.samples import END, some_orders, with_commands, with_parcels
from tests.support.scenarios import kill_a_worker_in_each_of_three_parts

pytestmark = pytest.mark.timeout(300)  # several workers take turns on a busy core

KILLS = 6


@pytest.mark.parametrize("hosts", [2, KILLS + 1])
def test_kills_with_a_move_to_another_host_change_nothing(
    hosts: int, hosted: Engine, tmp_path: Path, rng: random.Random
) -> None:
    """With two hosts each finds what it left behind itself, with many each finds nothing."""
    events = with_commands(with_parcels(some_orders(100, rng), rng), rng)
    whole = of_replay(lines(events), tmp_path / "replay", END)
    size = len(events) // (KILLS + 1)
    for kill in range(KILLS):
        hosted.track["folder"] = str(tmp_path / f"host-{kill % hosts}")
        hosted.start()
        hosted.feed_until_killed(events[kill * size : (kill + 1) * size], rng)
        assert_prefix(transitions(hosted.connection), whole)
    hosted.track["folder"] = str(tmp_path / "last")
    hosted.start()
    hosted.feed(events[KILLS * size :])
    hosted.finish(END)
    assert_same(of_topics(hosted.connection), whole)


def test_another_host_goes_on_where_the_first_was_and_reads_nothing_from_the_beginning(
    hosted: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = some_orders(100, rng)
    for part in range(10):  # ten epochs at least: a killed flow reads its last ones again
        if part == 0:
            hosted.start()
        feed_until_heard(hosted, events[part * 40 : (part + 1) * 40])
        hosted.wait_for_barrier()
    hosted.kill()
    hosted.track["folder"] = str(tmp_path / "elsewhere")
    hosted.start()
    hosted.feed(events[400:])
    hosted.tick(END)
    hosted.wait_for_clock(END)
    read = hosted.metrics()["messages_read_total"]
    hosted.stop()
    assert read < len(events) - 300
    assert_as_replayed(hosted.connection, events, tmp_path)


def assert_runs(engine: Engine) -> None:
    assert engine.process is not None
    assert engine.process.poll() is None, engine.output()


def feed_until_heard(engine: Engine, events: list[Json]) -> None:
    engine.feed(events)
    while not engine.hear(0.1):
        assert_runs(engine)


def test_a_state_that_was_only_on_this_host_moves_into_the_bucket(
    engine: Engine, s3: S3, tmp_path: Path, rng: random.Random
) -> None:
    events = some_orders(60, rng)
    whole = of_replay(lines(events), tmp_path / "replay", END)
    third = len(events) // 3
    engine.start()
    feed_until_heard(engine, events[:third])
    engine.kill()
    settings = s3.settings()
    engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
    while engine.hear(0.1):
        pass  # the remaining outputs of the killed run
    engine.start()
    feed_until_heard(engine, events[third : 2 * third])
    engine.kill()
    assert bucket_of(settings).names("runs")
    shutil.rmtree(engine.folder / "track")
    engine.start()
    engine.feed(events[2 * third :])
    engine.finish(END)
    assert_same(of_topics(engine.connection), whole)


@pytest.fixture
def server() -> Iterator[S3]:
    """One of the test's own, that can go down."""
    made = S3()
    yield made
    made.stop()


def test_while_the_bucket_is_away_the_flow_waits_and_then_goes_on(
    engine: Engine, server: S3, tmp_path: Path, rng: random.Random
) -> None:
    events = some_orders(40, rng)
    whole = of_replay(lines(events), tmp_path / "replay", END)
    settings = server.settings()
    engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
    engine.start()
    feed_until_heard(engine, events[: len(events) // 2])
    server.stop()
    waits = engine.metrics()["state_store_waits_total"]  # a busy machine may have had some before
    engine.feed(events[len(events) // 2 :])
    engine.tick(END)
    while engine.metrics()["state_store_waits_total"] == waits:
        assert_runs(engine)
    server.start()
    engine.wait_for_clock(END)
    engine.stop()
    assert_same(of_topics(engine.connection), whole)


def test_a_flow_that_waits_for_the_bucket_can_be_stopped(
    engine: Engine, rng: random.Random
) -> None:
    server = S3()
    settings = server.settings()
    engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
    engine.start()
    feed_until_heard(engine, some_orders(5, rng))
    server.stop()
    waits = engine.metrics()["state_store_waits_total"]  # a busy machine may have had some before
    engine.feed(some_orders(5, rng))
    while engine.metrics()["state_store_waits_total"] == waits:
        assert_runs(engine)
    assert engine.end() == 0  # stopped as asked: the next run reads its last epoch again
    assert "check state.endpoint" in engine.output()


def test_several_workers_of_several_hosts_one_after_the_other(
    hosted: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(100, rng), rng), rng)
    size = len(events) // 4 + 1
    for number, workers in enumerate((2, 3, 1, 2)):
        hosted.track["workers"] = workers
        hosted.track["folder"] = str(tmp_path / f"host-{number % 3}")  # the last is the first again
        hosted.start()
        part = events[number * size : (number + 1) * size]
        hosted.feed(part)
        hosted.pass_half(part)
        if number < 3:
            hosted.kill()
    hosted.finish(END)
    assert_as_replayed(hosted.connection, events, tmp_path)


def test_a_worker_with_a_bucket_that_is_killed_is_followed_by_all_being_started_again(
    hosted: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(80, rng), rng), rng)
    hosted.track["workers"] = 2
    hosted.start()
    kill_a_worker_in_each_of_three_parts(hosted, events)
    assert_as_replayed(hosted.connection, events, tmp_path)
