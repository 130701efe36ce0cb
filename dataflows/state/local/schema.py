"""The tables of a state file, and whether a file is one that this version can use."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dataflows.state.local.disk_space import free_bytes, no_room
from dataflows.state.local.frame import REMEDY
from schemas.errors import StateError

LAYOUT = 2
MOST_PAGES = 2**32 - 2  # what SQLite has
# Blobs are long: an epoch's end of 4,000 orders took 24.5 ms of CPU, 28-31 with SQLite's own 4 KiB,
# 26 with 64 KiB. A file keeps the pages that it was made with.
PAGE_BYTES = 16_384
# A checkpoint is a second fsync in a commit: at SQLite's own 4 MB the same commits took 25 ms on
# average, at 32 MB 18.
CHECKPOINT_BYTES = 32_000_000
# SQLite reports SQLITE_IOERR, not SQLITE_FULL, where its shared memory file found no room.
LITTLE_BYTES = 1_000_000
BUSY_TIMEOUT_S = 30.0  # another member commits; a base of a large shard takes a while

# blobs: `sequence` is the rowid, so that a commit appends to one place of the file.
# retired: a row per change of a key, so that a resume at an older pointer sees the table as it was.
SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL)",
    "CREATE TABLE floors (shard TEXT PRIMARY KEY, sequence INTEGER NOT NULL)",
    """CREATE TABLE blobs (sequence INTEGER PRIMARY KEY, shard TEXT NOT NULL, run TEXT NOT NULL,
        committed INTEGER NOT NULL, base INTEGER NOT NULL, stored BLOB NOT NULL)""",
    "CREATE INDEX blobs_of_shard ON blobs (shard, sequence)",
    """CREATE TABLE retired (shard TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL,
        stored BLOB)""",
    "CREATE UNIQUE INDEX retired_by_key ON retired (shard, key, sequence)",
    "CREATE INDEX retired_by_sequence ON retired (shard, sequence)",
)


NOT_BEGUN = -1  # the generation of a file that no flow has begun with


class Meta(msgspec.Struct, forbid_unknown_fields=False):
    """Metadata of a state file. `sequence` and `commits` are the last that were given.

    `generation` is the state's (schemas/versions.py), `begun_at` the instant in ms at which it
    began. `confirmed` is 1 once bytewax has recorded pointers into the file. `key_file` is the id
    of the key file under which personal data is sealed.
    """

    layout: int
    store: str
    shards: int
    sequence: int
    commits: int
    generation: int = NOT_BEGUN
    begun_at: int = 0
    confirmed: int = 0
    key_file: str = ""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate SQLite's errors.

    Raises:
        StoreFull: the disk is full.
        StateError: anything else; the file is damaged, closed or not writable.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        is_out_of_room = code == sqlite3.SQLITE_IOERR and free_bytes(path.parent) < LITTLE_BYTES
        if code == sqlite3.SQLITE_FULL or is_out_of_room:
            raise no_room(path.parent, str(error)) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StateError(f"{path}: damaged, {error}; {REMEDY}") from error
        reason = f"{error}; check the disk, its quota and the limit on file sizes"
        raise StateError(f"{path}: can't be used, {reason}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open or make a file whose commits are on the disk when they return."""
    path.touch(mode=0o600)  # it holds who ordered what
    database = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA journal_size_limit = 67108864")  # a log that grew shrinks again
    database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // page_bytes(database)}")
    return database


def page_bytes(database: sqlite3.Connection) -> int:
    """The page size of a file."""
    found: tuple[int] = database.execute("PRAGMA page_size").fetchone()
    return found[0]


def prepare(database: sqlite3.Connection, path: Path, shards: int) -> Meta:
    """Create the tables of a new file, or read the head of an existing one.

    Raises:
        StateError: the file has another layout, another number of shards, or is foreign.
    """
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return create(database, Meta(LAYOUT, secrets.token_hex(8), shards, sequence=0, commits=0))
    meta = read_meta(database, path)
    if meta.shards != shards:
        raise StateError(
            f"{path}: made for {meta.shards} shards, not {shards}; set shards = {meta.shards}, or "
            "rebuild the state from the events with `ordertide track --begin-anew`"
        )
    return meta


def read_meta(database: sqlite3.Connection, path: Path) -> Meta:
    """Read the head of a file.

    Raises:
        StateError: the file has another layout, or is foreign.
    """
    found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    if not found:
        raise StateError(f"{path}: not a state file of ordertide; name another folder")
    values = dict(database.execute("SELECT name, value FROM meta"))
    if values.get("layout") != LAYOUT:
        raise StateError(
            f"{path}: has layout {values.get('layout')}, this version reads layout {LAYOUT}; "
            f"use the version that wrote it, or {REMEDY}"
        )
    return msgspec.convert(values, Meta)


def create(database: sqlite3.Connection, meta: Meta) -> Meta:
    """Make the tables, all or none."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            database.execute(statement)
        rows = msgspec.structs.asdict(meta).items()
        database.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    return meta


def set_limit(database: sqlite3.Connection, max_size_bytes: int | None) -> None:
    """Let a file grow to `max_size_bytes`, rounded down to whole pages; None is no limit."""
    pages = MOST_PAGES if max_size_bytes is None else max_size_bytes // page_bytes(database)
    database.execute(f"PRAGMA max_page_count = {min(pages, MOST_PAGES)}")
