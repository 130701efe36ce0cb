"""Recovery data of bytewax that is read while a flow writes it."""

import pickle
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from bytewax.recovery import init_db_dir

from dataflows.state.bytewax_recovery import read_recovery

KEYS = 128
READS = 100
SNAP = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)"
FRONT = "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (0, 0, ?)"


def advance(database: sqlite3.Connection, epoch: int) -> None:
    """End an epoch as bytewax does: new rows, a later front, and no row that is superseded."""
    state = pickle.dumps(b"%d" % epoch)
    rows = [("step", f"s{key}", epoch, state) for key in range(KEYS)]
    with database:
        database.execute("DELETE FROM snaps")
        database.executemany(SNAP, rows)
        database.execute("DELETE FROM fronts")
        database.execute(FRONT, (epoch + 1,))


def test_each_key_has_its_state_whenever_it_is_read(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
    path, stop = tmp_path / "part-0.sqlite3", threading.Event()
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (0, 1, 0)")
        advance(database, 0)

    def write() -> None:
        epoch = 0
        with closing(sqlite3.connect(path)) as database:
            while not stop.is_set():
                epoch += 1
                advance(database, epoch)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = {len(read_recovery(tmp_path).taken) for _ in range(READS)}
    finally:
        stop.set()
        writer.join()
    assert counts == {KEYS}
