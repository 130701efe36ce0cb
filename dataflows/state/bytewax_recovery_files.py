"""A recovery folder of bytewax, written for a resume from states that lie in a bucket.

As bytewax leaves it after an execution that ended with epoch 1, with a row in `snaps` for each step
and key (bytewax 0.21, src/recovery.rs; epoch 0 it keeps for itself: states of it panic). Of several
processes that have this part, bytewax reads one's.
"""

import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bytewax.recovery import init_db_dir

from dataflows.state.states import States
from schemas.private_files import make_private, private_folder

EPOCH = 1
EXECUTION = "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (0, 1, ?)"
SNAPS = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)"


def write_recovery(folder: Path, states: States) -> None:
    """Replace a recovery folder; it is there whole or not at all."""
    fresh = folder.with_name(f"{folder.name}.written")
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh)
    init_db_dir(fresh, 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
    make_private(fresh)
    rows = [(*name, EPOCH, pickle.dumps(state)) for name, state in states.items()]
    with closing(sqlite3.connect(fresh / "part-0.sqlite3")) as database, database:
        database.execute(EXECUTION, (EPOCH + 1,))
        database.executemany(SNAPS, rows)
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
