"""Recovery data of bytewax, read without bytewax: the state that each step would get on a resume.

A recovery folder has SQLite files `part-N.sqlite3` (bytewax 0.21, src/recovery/mod.rs). `snaps` has
a row per step, key and epoch; `fronts` holds the epoch that each worker of the last execution had
come to, and `exs` where that execution began. A resume begins at the least of these and takes for
each key its last row before it. Rows are pickled bytes; nothing but bytes is unpickled here.
"""

import io
import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from dataflows.state.local.disk_space import free_bytes, no_room
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.schema import LITTLE_BYTES
from schemas.errors import StateError

EXECUTIONS = "SELECT ex_num, worker_count, resume_epoch FROM exs"
FRONTS = "SELECT ex_num, worker_index, worker_frontier FROM fronts"
SNAPS = "SELECT step_id, state_key, snap_epoch, ser_change FROM snaps ORDER BY 1, 2, 3"


class Row(NamedTuple):
    """State that a step gave to bytewax for a key at the end of an epoch; None removed the key."""

    step: str
    key: str
    epoch: int
    state: bytes | None


class Recovery(NamedTuple):
    """Rows that a resume would take, and those of unfinished epochs."""

    resume_epoch: int
    taken: list[Row]
    unended: list[Row]


class BytesOnly(pickle.Unpickler):
    """Unpickles bytes and nothing else: a pickle can run anything."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:  # noqa: ANN401 - as pickle
        raise pickle.UnpicklingError(f"names {module_name}.{global_name}")


def read_recovery(folder: Path) -> Recovery:
    """Read a recovery folder, in use or not.

    Raises:
        StateError: it can't be read, or holds foreign data.
    """
    files = sorted(folder.glob("part-*.sqlite3"))
    if not files:
        raise StateError(
            f"{folder}: no recovery folder of bytewax (part-0.sqlite3 is missing), so the pointers "
            f"into the shard store are lost; {REMEDY}"
        )
    check_parts(folder, files)
    executions, fronts, rows = dict[int, tuple[int, int]](), dict[tuple[int, int], int](), []
    for file in files:
        began, reached, snaps = query(file, EXECUTIONS, FRONTS, SNAPS)
        executions |= {number: (workers, epoch) for number, workers, epoch in began}
        for number, worker, epoch in reached:
            fronts[number, worker] = max(epoch, fronts.get((number, worker), 0))
        rows += [row_of(file, *found) for found in snaps]
    epoch = resume_epoch(executions, fronts)
    latest = {(row.step, row.key): row for row in sorted(rows, key=by_epoch) if row.epoch < epoch}
    unended = [row for row in rows if row.epoch >= epoch]
    return Recovery(epoch, [*latest.values()], unended)


def check_parts(folder: Path, files: Sequence[Path]) -> None:
    """Check that all parts of a recovery folder are there, and whole as SQLite files.

    Raises:
        StateError: one is missing or damaged.
    """
    counts, indices = set[int](), set[int]()
    for file in files:
        (checked,) = query(file, "PRAGMA quick_check(1)")
        damage = [text for (text,) in checked if text != "ok"]
        if damage:
            raise StateError(f"{file}: damaged, {damage[0]}; {REMEDY}")
        (parts,) = query(file, "SELECT part_index, part_count FROM parts")
        for index, count in parts:
            indices.add(index)
            counts.add(count)
    missing = sorted(set(range(max(counts, default=1))) - indices)
    if missing or len(counts) > 1:
        reason = f"part-{missing[0]}.sqlite3 is missing" if missing else "parts of two folders"
        raise StateError(f"{folder}: incomplete, {reason}; {REMEDY}")


def by_epoch(row: Row) -> int:
    """Sorts rows."""
    return row.epoch


def resume_epoch(executions: dict[int, tuple[int, int]], fronts: dict[tuple[int, int], int]) -> int:
    """Epoch at which a resume begins: that of the slowest worker of the last execution."""
    if not executions:
        return 0
    last = max(executions)
    workers, began = executions[last]
    return min(fronts.get((last, worker), began) for worker in range(workers))


def query(file: Path, *statements: str) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement on a file that its owner may be writing, all of one instant.

    Between two instants bytewax deletes the rows that the first front would take.

    Raises:
        StateError: the file isn't what it should be.
        StoreFull: there is no room to open it.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")  # a snapshot from the first statement on
            return [database.execute(statement).fetchall() for statement in statements]
    except sqlite3.Error as error:
        if free_bytes(file.parent) < LITTLE_BYTES:
            raise no_room(file.parent, f"{file.name}: {error}") from error
        raise StateError(f"{file}: can't be read as bytewax's, {error}; {REMEDY}") from error


def row_of(file: Path, step: str, key: str, epoch: int, pickled: bytes | None) -> Row:
    """A row with its state unpickled.

    Raises:
        StateError: it isn't bytes.
    """
    if pickled is None:
        return Row(step, key, epoch, None)
    try:
        state = BytesOnly(io.BytesIO(pickled)).load()
    except Exception as error:  # damaged pickles raise nearly anything
        raise StateError(
            f"{file}: {step} {key}: state can't be unpickled, {error}; {REMEDY}"
        ) from error
    return Row(step, key, epoch, state if isinstance(state, bytes) else None)
