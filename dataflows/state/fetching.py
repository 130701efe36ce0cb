"""Making a state file from a copy in a bucket, where a host has none that can go on by the log."""

import sqlite3
from pathlib import Path

from dataflows.state.entry import End, Owner
from dataflows.state.journal import Head, Journal
from dataflows.state.layout import LAYOUT, Meta, connect, create, explained
from dataflows.state.lock import ProcessLock
from dataflows.state.reader import StateReader
from dataflows.state.room import check_room, explained_room
from dataflows.state.tables import Tables
from schemas.errors import StateError

OTHERS = ""  # as the last run in a file: its commits are not this host's


def fetch(path: Path, owner: Owner, head: Head, journal: Journal) -> None:
    """See that the file `path` can go on by the log of the bucket, or make it anew.

    Raises:
        StateError: the file is another store's or in use, or a copy is damaged.
        StoreFull: there is no room for it.
    """
    with explained_room(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = ProcessLock(path.with_name(f"{path.name}.lock"), path)
    try:
        if path.exists():
            has_come_to = commits_of(path, owner, head, journal.bucket.name)
            if has_come_to >= head.first:
                return
        make(path, owner, head.copy, journal)
    finally:
        lock.release()


def commits_of(path: Path, owner: Owner, head: Head, name: str) -> int:
    """How many commits the file has.

    Raises:
        StateError: it is another store's, or knows more than the bucket.
    """
    reader = StateReader(path)
    meta = reader.meta
    reader.close()
    if meta.store != owner.store:
        raise StateError(
            f"{path}: is store {meta.store}, and {name} holds store {owner.store}; set another "
            "state.prefix, or move the file and the recovery folder away to go on from the bucket"
        )
    if meta.commits > head.last:
        raise StateError(
            f"{path}: has {meta.commits} commits, and {name} only {head.last}; was the bucket set "
            "back? To go on from it, move the file and the recovery folder away"
        )
    return meta.commits


def make(path: Path, owner: Owner, copy: End | None, journal: Journal) -> None:
    """Make the file of a copy; without one an empty file, for the log to fill.

    It appears whole or not at all. What was there and had become too old goes: it is in the bucket.
    """
    fresh = path.with_name(f"{path.name}.fetched")
    remove(fresh)
    with explained_room(path.parent), explained(path):
        check_room(path.parent, 2 * copy.size_bytes if copy else 0)
        database = connect(fresh)
        try:
            fill(database, owner, copy, journal)
        finally:
            database.close()  # folds SQLite's log into the file
        remove(path)
        fresh.rename(path)


def fill(database: sqlite3.Connection, owner: Owner, copy: End | None, journal: Journal) -> None:
    """Write the rows of a copy."""
    sequence, commits = (copy.sequence, copy.number) if copy else (0, 0)
    create(database, Meta(LAYOUT, owner.store, owner.shards, sequence, commits))
    Tables(database).note_run(OTHERS)
    if copy is None:
        return
    for part in journal.parts(copy):
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?)", part.blobs)
            database.executemany("INSERT INTO cold VALUES (?, ?, ?, ?)", part.cold)
            database.executemany("INSERT INTO floors VALUES (?, ?)", part.floors)


def remove(path: Path) -> None:
    """Remove a state file, with what SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
