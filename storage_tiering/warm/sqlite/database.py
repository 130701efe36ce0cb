"""One SQLite file: opened the same way everywhere, its errors in the tiers' words."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from schemas.sqlite_files import answers, open_file, transaction

REMEDY = "remove the file and write the tier again from the topics"
KEYS_PER_QUERY = 500  # SQLite takes 32,766 parameters from 3.32 on, 999 before

SUFFIXES = ("", "-wal", "-shm")

Row = tuple[Any, ...]
Statement = tuple[str, Sequence[Sequence[object]]]  # and its rows


# A recreated file has another id; one that was restored has fewer writes.
IDENTITY = """
CREATE TABLE IF NOT EXISTS identity (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT, writes INTEGER);
INSERT OR IGNORE INTO identity VALUES (1, lower(hex(randomblob(16))), 0);
"""
COUNT_WRITE: Statement = ("UPDATE identity SET writes = writes + 1", [()])


class Database:
    """A connection to `path`, whose tables `schema` creates where they are missing.

    WAL, so that look-ups continue while a writer writes; a commit is on the disk when it returns.

    Raises:
        Busy: locked by another process for long, or the disk is full or unavailable.
        StateError: the file is damaged or no SQLite file.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        with self._answers():
            self._connection = open_file(path, schema, check_same_thread=False)
            self._inode = path.stat().st_ino

    def read(self, query: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of `query`."""
        with self._answers():
            return self._connection.execute(query, parameters).fetchall()

    def read_by_keys(self, query: str, keys: Sequence[str]) -> list[Row]:
        """All rows of `query`, which has `… IN ({keys})`, over any number of keys."""
        rows: list[Row] = []
        for start in range(0, len(keys), KEYS_PER_QUERY):
            part = keys[start : start + KEYS_PER_QUERY]
            rows += self.read(query.format(keys=",".join("?" * len(part))), part)
        return rows

    def write(self, statement: str, rows: Sequence[Sequence[object]], *more: Statement) -> None:
        """Run `statement` once per row, and `more`, in one transaction, durable on return."""
        with self._answers(), transaction(self._connection):
            for text, parameters in ((statement, rows), *more):
                self._connection.executemany(text, parameters)

    def identity(self) -> tuple[str, int]:
        """(id, writes) of a file whose schema has `IDENTITY`."""
        identity, writes = self.read("SELECT id, writes FROM identity")[0]
        return identity, writes

    @property
    def is_in_place(self) -> bool:
        """False: another file lies at the path now, or none, and what is written here is lost."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @property
    def size_bytes(self) -> int:
        """Size of the file and its write-ahead log."""
        paths = [Path(f"{self.path}{suffix}") for suffix in SUFFIXES]
        return sum(path.stat().st_size for path in paths if path.exists())

    def close(self) -> None:
        """Close; the last one to close folds the write-ahead log into the file."""
        self._connection.close()

    def remove(self) -> None:
        """Close and delete the file with what belongs to it."""
        self.close()
        for suffix in SUFFIXES:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _answers(self) -> AbstractContextManager[None]:
        return answers(f"warm store {self.path.name}", REMEDY)
