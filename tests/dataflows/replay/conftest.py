"""The two large recordings, replayed once per run of the tests, however many processes run it."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.cargo2000 import adapter as cargo2000
from examples.olist import adapter as olist
from tests.support.recording import ROOT, Results, replay, written

Make = Callable[[Path], object]


def once(factory: pytest.TempPathFactory, worker: str, name: str, make: Make) -> Path:
    """The folder that `make` fills, shared by xdist's workers: the first one makes it."""
    if worker == "master":
        folder = factory.mktemp(name)
        make(folder)
        return folder
    shared = factory.getbasetemp().parent
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def events_of(events: Iterator[dict[str, Any]], folder: Path) -> Path:
    return written(folder / "events.ndjson", list(events))


@pytest.fixture(scope="session")
def olist_results(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Results:
    """The Olist orders with the default rules, to the end of 2018."""

    def make(folder: Path) -> None:
        events = events_of(olist.events(), folder)
        replay(folder / "out", events, "--until", "2018-12-31T00:00:00-03:00")

    return Results(once(tmp_path_factory, worker_id, "olist", make) / "out")


@pytest.fixture(scope="session")
def cargo_results(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Results:
    """The Cargo 2000 processes with their own lifecycle and rules."""

    def make(folder: Path) -> None:
        example = ROOT / "examples" / "cargo2000"
        events = events_of(cargo2000.events(), folder)
        tables = ("--rules", example / "rules.toml", "--lifecycle", example / "lifecycle.toml")
        replay(folder / "out", events, *tables)

    return Results(once(tmp_path_factory, worker_id, "cargo", make) / "out")
