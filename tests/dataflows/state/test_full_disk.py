"""A full disk: the flow ends with a sentence, and continues when there is room again."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from broker.embedded import EmbeddedBroker
from commands.track_faults import want_of_room
from dataflows.state.local import disk_space as room
from dataflows.state.local.disk_space import RESERVE_BYTES
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import StoreFull
from dataflows.track import recovery
from tests.support.engine import Engine
from tests.support.outcome import (
    assert_prefix,
    assert_same,
    lines,
    of_replay,
    of_topics,
    transitions,
)
from tests.support.samples import END, some_orders, with_commands, with_parcels
from tests.support.small_disk import fill, small_disk

DISK_BYTES = 64_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder


def test_a_flow_without_room_ends_with_a_sentence_and_goes_on_when_there_is_some(
    disk: Path, tmp_path: Path, rng: random.Random
) -> None:
    with filled_and_emptied(disk, tmp_path, rng, RESERVE_BYTES // 2) as engine:
        ends_for_want_of_room(engine, disk)


def test_a_disk_filled_to_the_last_byte_ends_with_the_same_sentence_and_loses_nothing(
    disk: Path, tmp_path: Path, rng: random.Random
) -> None:
    with filled_and_emptied(disk, tmp_path, rng, 0) as engine:
        ends_for_want_of_room(engine, disk)


def test_what_bytewax_raises_on_a_full_disk_is_told_from_its_other_errors(disk: Path) -> None:
    source = TestingSource(["never read"])
    flow = Dataflow("flow")
    op.output("out", op.input("in", flow, source), TestingSink([]))
    config = recovery(disk / "track" / "recovery")
    ballast = fill(disk, 0)
    with pytest.raises(RuntimeError, match="SqliteFailure") as told:
        run_main(flow, recovery_config=config)  # type: ignore[no-untyped-call]  # no stubs for it
    found = want_of_room(told.value, disk)
    assert str(found).startswith(f"{disk}: no room left on its disk (bytewax could not")
    assert want_of_room(ValueError("a fault of ours"), disk) is None
    assert want_of_room(RuntimeError("a step of ours"), disk) is not None
    ballast.unlink()
    assert want_of_room(RuntimeError("a step of ours"), disk) is None


def test_a_full_disk_under_the_recovery_folder_alone_ends_with_a_sentence(
    tmp_path: Path, rng: random.Random
) -> None:
    (tmp_path / "track").mkdir()
    with (
        small_disk(tmp_path / "track" / "recovery", 2_000_000) as folder,
        EmbeddedBroker() as broker,
    ):
        init_db_dir(folder, 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
        fill(folder, 0)
        engine = Engine(broker, tmp_path)
        try:
            engine.feed(some_orders(20, rng))
            engine.start()
            assert engine.exit_code() == 2, engine.output()
        finally:
            engine.close()
    assert "Traceback" not in engine.output()
    last = engine.output().splitlines()[-1]
    assert "no room left on its disk" in last


@contextmanager
def filled_and_emptied(
    disk: Path, tmp_path: Path, rng: random.Random, leave_bytes: int
) -> Iterator[Engine]:
    """A flow whose disk has just been filled; afterwards it gets room, and must lose nothing."""
    events = with_commands(with_parcels(some_orders(60, rng), rng), rng)
    whole = of_replay(lines(events), tmp_path / "replay", END)
    third = len(events) // 3
    with EmbeddedBroker() as broker:
        engine = Engine(broker, tmp_path)
        engine.track["folder"] = str(disk / "track")
        try:
            engine.start()
            engine.feed(events[:third])
            engine.wait_until(lambda message: message.value is not None)
            engine.wait_for_barrier()
            ballast = fill(disk, leave_bytes)
            engine.feed(events[third : 2 * third])
            yield engine
            engine.start()  # as a supervisor would, too early
            ends_for_want_of_room(engine, disk)
            assert_prefix(transitions(engine.connection), whole)
            ballast.unlink()
            engine.start()
            engine.feed(events[2 * third :])
            engine.finish(END)
            assert_same(of_topics(engine.connection), whole)
        finally:
            engine.close()


def ends_for_want_of_room(engine: Engine, disk: Path) -> None:
    assert engine.exit_code() == 2, engine.output()
    last = engine.output().splitlines()[-1]
    assert last.startswith(f"ordertide: {disk / 'track'}: no room left on its disk"), (
        engine.output()
    )


def test_a_store_without_room_keeps_what_is_staged(disk: Path) -> None:
    store = SqliteShardStore(disk / "shards.sqlite", 64)
    store.open("s07", None)
    kept = store.stage("s07", b"base", base=True)
    store.commit()
    ballast = fill(disk, RESERVE_BYTES - 1_000_000)
    staged = store.stage("s07", os.urandom(1_000_000), base=False, retired=[("order", b"x")])
    with pytest.raises(StoreFull, match=rf"{disk}: no room left .* \(15 MB free, 16 MB are kept\)"):
        store.commit()
    assert [held.latest for held in store.inspect().held] == [kept.sequence]
    ballast.unlink()
    store.commit()
    store.close()
    store = SqliteShardStore(disk / "shards.sqlite", 64)
    assert [len(blob) for blob in store.open("s07", staged)] == [4, 1_000_000]
    assert store.retired("s07", "order") == b"x"
    store.close()


def test_what_sqlite_says_of_a_full_disk_is_the_same_sentence(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RESERVE_BYTES", 0)  # as if others had taken it meanwhile
    store = SqliteShardStore(disk / "shards.sqlite", 64)
    store.open("s07", None)
    store.stage("s07", b"base", base=True)
    store.commit()
    ballast = fill(disk, 2_000_000)
    staged = [store.stage("s07", os.urandom(300_000), base=False) for _ in range(3)]
    fill(disk, 100_000)
    with pytest.raises(StoreFull, match=r"no room left on its disk \("):
        store.commit()
    ballast.unlink()
    (disk / "ballast").unlink(missing_ok=True)
    store.commit()
    store.close()
    store = SqliteShardStore(disk / "shards.sqlite", 64)
    assert len(store.open("s07", staged[-1])) == 4
    store.close()


def test_a_new_store_without_room_says_so(disk: Path) -> None:
    fill(disk, 0)
    with pytest.raises(StoreFull, match="no room left on its disk"):
        SqliteShardStore(disk / "state" / "shards.sqlite", 64)
