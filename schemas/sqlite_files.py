"""SQLite files that hold who ordered what: private, durable, and with two kinds of failure.

A lock that lasts, or a disk that is full or unavailable, is `Busy`: the same may succeed later.
Anything else is a `StateError` with a remedy.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schemas.errors import Busy, StateError
from schemas.private_files import FILE_MODE

# SQLite waits this long for another process's transaction before it reports a lock.
LOCK_TIMEOUT_S = 5.0
RETRY_AFTER_S = 0.5
PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}


def open_file(path: Path, schema: str, *, check_same_thread: bool = True) -> sqlite3.Connection:
    """Open a file, whose tables `schema` creates where they are missing.

    WAL, so that readers continue while another process writes; a commit is on the disk when it
    returns.

    Raises:
        sqlite3.DatabaseError: see `answers`.
    """
    with suppress(OSError):  # SQLite reports the problem of the path
        path.touch(mode=FILE_MODE)
    database = sqlite3.connect(
        path,
        timeout=LOCK_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=check_same_thread,
    )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(schema)
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Make what the block writes durable at its end, as a whole."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextmanager
def answers(name: str, remedy: str) -> Iterator[None]:
    """Translate SQLite's errors in the block; they begin with the `name` of the file.

    Raises:
        Busy: locked by another process for long, or the disk is full or unavailable.
        StateError: the file is damaged or no SQLite file; with the remedy.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one
        if code in PASSING:
            raise Busy(f"{name}: {error}", RETRY_AFTER_S) from error
        raise StateError(f"{name}: {error}; {remedy}") from error
