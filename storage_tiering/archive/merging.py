"""External merge sort: the rows of many sealed files in one order, in bounded memory.

Rows are collected into runs of `RUN_BYTES`, sorted, and spilled to local files; the runs are then
merged a batch at a time. A row comes out as often as it went in.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

RUN_BYTES = 128 * 1024 * 1024  # as Arrow holds them: about ten times their size in Parquet
BATCH_ROWS = 5_000


def merged(
    batches: Iterable[pa.RecordBatch], order: Sequence[str], spill: Path, run_bytes: int = RUN_BYTES
) -> Iterator[pa.Table]:
    """All rows sorted by the columns `order`, in tables of `BATCH_ROWS`; the last may be shorter.

    `spill` is a folder for files of our own; who made it deletes it.
    """
    runs: list[Run] = []
    for number, table in enumerate(_sorted_runs(batches, order, run_bytes)):
        runs.append(Run.spilled(table, spill / f"run-{number}.arrow", order[0]))
    try:
        yield from _in_batches(_merged(runs, order))
    finally:
        for run in runs:
            run.close()


class Run:
    """A sorted run on disk, read batch by batch. `held`: rows that were read and not taken."""

    def __init__(self, path: Path, leading: str) -> None:
        """Open a spilled run. `leading` is the column that it is sorted by first."""
        self._file = pa.OSFile(str(path), "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._leading = leading
        self._next = 0
        self.held = self._reader.schema.empty_table()
        self.read_more()

    @classmethod
    def spilled(cls, table: pa.Table, path: Path, leading: str) -> "Run":
        """Write a sorted table to `path`."""
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=BATCH_ROWS)
        return cls(path, leading)

    def read_more(self) -> None:
        """Hold one batch more, if there is one."""
        if not self.is_read:
            batch = self._reader.get_batch(self._next)
            self._next += 1
            self.held = pa.concat_tables([self.held, pa.Table.from_batches([batch])])

    @property
    def is_read(self) -> bool:
        """True once all of it is held or taken."""
        return self._next == self._reader.num_record_batches

    @property
    def last(self) -> str:
        """The greatest leading value that is held."""
        value: str = self.held.column(self._leading)[-1].as_py()
        return value

    def take_before(self, limit: str | None) -> pa.Table:
        """Take the held rows whose leading value is less; all without a limit."""
        if limit is None:
            taken, self.held = self.held, self.held.slice(0, 0)
            return taken
        column = self.held.column(self._leading)
        is_less = pc.less(column, pa.scalar(limit))
        count = is_less.to_pylist().count(True)
        taken, self.held = self.held.slice(0, count), self.held.slice(count)
        return taken

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _sorted_runs(
    batches: Iterable[pa.RecordBatch], order: Sequence[str], run_bytes: int
) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    size_bytes = 0
    for batch in batches:
        held.append(batch)
        size_bytes += batch.nbytes
        if size_bytes >= run_bytes:
            yield _sorted(pa.Table.from_batches(held), order)
            held, size_bytes = [], 0
    if held:
        yield _sorted(pa.Table.from_batches(held), order)


def _merged(runs: Sequence[Run], order: Sequence[str]) -> Iterator[pa.Table]:
    """Rows before the least of what the runs may still bring, again and again."""
    while runs:
        open_runs = [run for run in runs if not run.is_read]
        limit = min((run.last for run in open_runs), default=None)
        taken = [run.take_before(limit) for run in runs]
        yield _sorted(pa.concat_tables(taken), order)
        if limit is None:
            return
        for run in open_runs:
            if run.last == limit:
                run.read_more()


def _sorted(table: pa.Table, order: Sequence[str]) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in order])


def _in_batches(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: pa.Table | None = None
    for table in tables:
        held = table if held is None else pa.concat_tables([held, table])
        start = 0
        while held.num_rows - start >= BATCH_ROWS:
            yield held.slice(start, BATCH_ROWS)
            start += BATCH_ROWS
        held = held.slice(start)
    if held is not None and held.num_rows:
        yield held
