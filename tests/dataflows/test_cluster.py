"""Several workers, a process each: they may die, and their number may change."""

import random
from pathlib import Path

import pytest

from dataflows.state.local.sqlite import MEMBERS, SqliteShardStore
from tests.support.engine import Engine
from tests.support.outcome import assert_as_replayed
from tests.support.samples import END, some_orders, with_commands, with_parcels
from tests.support.scenarios import (
    feed_and_wait,
    kill_a_worker_in_each_of_three_parts,
    members,
    shared_out,
    wait_for_members,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # several workers take turns on a busy core


def test_the_number_of_workers_may_change_between_runs(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(80, rng), rng), rng)
    parts = shared_out(events, 4)
    for workers, part in zip((1, 2, 3, 1), parts, strict=True):
        engine.track["workers"] = workers
        engine.start()
        feed_and_wait(engine, part)
        if part is not parts[-1]:
            engine.stop()
    engine.finish(END)
    assert_as_replayed(engine.connection, events, tmp_path)


def test_a_worker_that_is_killed_is_followed_by_all_being_started_again(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(80, rng), rng), rng)
    engine.track["workers"] = 2
    engine.start()
    kill_a_worker_in_each_of_three_parts(engine, events)
    assert_as_replayed(engine.connection, events, tmp_path)


def test_workers_end_with_whoever_watches_them(engine: Engine) -> None:
    engine.track["workers"] = 2
    engine.start()
    running = wait_for_members(engine, 2)
    engine.kill()
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in running), "the workers' end"
    )


def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(engine: Engine) -> None:
    engine.track["workers"] = 2
    engine.start()
    first, running = engine.process, wait_for_members(engine, 2)
    engine.start()
    assert engine.exit_code() == 2
    assert "in use by process" in engine.output().splitlines()[-1]
    engine.process = first
    assert members(engine) == running
    engine.stop()


def test_what_starting_again_does_not_mend_is_said_once(engine: Engine) -> None:
    engine.track["workers"] = 2
    engine.track["rules"] = str(engine.folder / "rules.toml")
    (engine.folder / "rules.toml").write_text("version = 1\n[[rule]]\nid = 7\n", "utf-8")
    engine.start()
    assert engine.exit_code() == 2
    assert "restarting" not in engine.output()
    assert "rules.toml" in engine.output()


def test_members_of_a_store_give_numbers_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "shards.sqlite"
    SqliteShardStore(path, 4).close()
    given: list[int] = []
    for _ in range(2):
        stores = [SqliteShardStore(path, 4, member=member) for member in (0, 1, 15)]
        for shard, store in zip("abc", stores, strict=True):
            store.open(shard, None)
        for _ in range(3):
            pointers = [
                store.stage(shard, b"all", base=True)
                for shard, store in zip("abc", stores, strict=True)
            ]
            given += [pointer.sequence for pointer in pointers]
            for store in reversed(stores):
                store.commit()
        for store in stores:
            store.close()
    assert len({*given}) == len(given)
    assert {number % MEMBERS for number in given} == {0, 1, 15}
    assert max(given[:9]) < min(given[9:]), "a run goes on after all that were stored before"


@pytest.mark.parametrize("workers", ["0", "17"])
def test_more_workers_than_shards_are_made_for_are_refused(engine: Engine, workers: str) -> None:
    engine.track["workers"] = int(workers)
    engine.start()
    assert engine.exit_code() == 2
    assert "workers" in engine.output()
