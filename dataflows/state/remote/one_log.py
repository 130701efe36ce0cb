"""A bucket of format 1, read once: it had one log, for one process.

    store                        who made it, and for how many shards
    log/000000000017             commit 17, with bytewax's recovery files as they were then
    copies/000000000016-RUN/000  everything as it was after commit 16, in parts;
    copies/000000000016-RUN/end  there once all parts are

What it holds becomes a state file and a recovery folder, and from there a store of this format. An
entry of this format ends the log: an older version, or a process that still runs, stops at it.
"""

import shutil
from pathlib import Path
from typing import NamedTuple, TypeVar
from zlib import crc32

import msgspec
import zstandard

from dataflows.state.local.frame import WAY_OUT
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.remote.follower import apply_change
from dataflows.state.remote.log import READERS, Journal
from dataflows.state.remote.records import CRC_BYTES, FORMAT, Change, Part, sealed
from schemas.errors import StateError
from schemas.private_files import private_binary, private_folder

OLD_FORMAT = 1
OLD_OWNER = "store"


class OldOwner(msgspec.Struct, array_like=True):
    """The object `store`."""

    format: int
    store: str
    shards: int


class OldEntry(msgspec.Struct, array_like=True):
    """A commit; `pointers` are bytewax's recovery files, compressed, by name."""

    format: int
    store: str
    number: int
    run: str
    host: str
    sequence: int
    changes: list[Change]
    pointers: dict[str, bytes]


class OldEnd(msgspec.Struct, array_like=True):
    """The last object of a copy."""

    format: int
    store: str
    parts: int
    size_bytes: int
    sequence: int
    number: int
    run: str


class OldLog(NamedTuple):
    """An old log that is fenced: its newest copy and its last commit."""

    copy: OldEnd | None
    last: int


Content = TypeVar("Content", bound=msgspec.Struct)


def old_owner(journal: Journal) -> OldOwner | None:
    """The creator of a store of format 1; None where there is none."""
    found = journal.asked(lambda: journal.bucket.read(OLD_OWNER))
    owner = opened(OLD_OWNER, found, OldOwner) if found else None
    return owner if owner and owner.format == OLD_FORMAT else None


def keep_older_away(journal: Journal, store: str, shards: int) -> None:
    """Put an owner that an older version refuses where it looks for its own."""
    journal.create(OLD_OWNER, sealed(OLD_OWNER, OldOwner(FORMAT, store, shards)))


def look(journal: Journal) -> OldLog:
    """The old log as it is, without a word on who may write to it."""
    ends = [name for name in journal.names("copies") if name.endswith("/end")]
    copy = old(journal, ends[-1], OldEnd) if ends else None
    numbers = [int(name.split("/")[1]) for name in journal.names("log")]
    last = max([copy.number if copy else 0, *numbers])
    is_ended = last in numbers and old(journal, log_name(last), OldEntry).format == FORMAT
    return OldLog(copy, last - 1 if is_ended else last)


def end_log(journal: Journal, owner: OldOwner) -> OldLog:
    """Add an entry of this format to the old log, if there is none yet."""
    while True:
        log = look(journal)
        name = log_name(log.last + 1)
        end = OldEntry(FORMAT, owner.store, log.last + 1, "", "", 0, [], {})
        if journal.create(name, sealed(name, end)) or look(journal).last == log.last:
            return log


def read_log(journal: Journal, log: OldLog, store: SqliteShardStore, recovery: Path) -> None:
    """Fill an empty file with what an old log holds, and put its recovery folder back.

    Raises:
        StateError: an object is missing or damaged.
    """
    tables, first = store.tables, 1
    if log.copy:
        first = log.copy.number + 1
        put_copy(journal, log.copy, store)
    pointers: dict[str, bytes] = {}
    for number in range(first, log.last + 1, READERS):
        with store.database:
            store.database.execute("BEGIN IMMEDIATE")
            for each in range(number, min(number + READERS, log.last + 1)):
                entry = old(journal, log_name(each), OldEntry)
                for change in entry.changes:
                    apply_change(tables, change, entry.run, entry.number)
                tables.count(entry.sequence, entry.number)
                pointers = entry.pointers or pointers
    if log.copy and not pointers and (found := journal.bucket.read(log_name(log.copy.number))):
        pointers = opened(log_name(log.copy.number), found, OldEntry).pointers
    if pointers:
        put_back(recovery, pointers)


def put_copy(journal: Journal, copy: OldEnd, store: SqliteShardStore) -> None:
    """Fill an empty file with a copy."""
    folder = f"copies/{copy.number:012}-{copy.run}"
    for number in range(copy.parts):
        part = old(journal, f"{folder}/{number:06}", Part)
        with store.database:
            store.database.execute("BEGIN IMMEDIATE")
            store.tables.insert(part.blobs, part.cold, part.floors)
    with store.database:
        store.tables.count(copy.sequence, copy.number)


def log_name(number: int) -> str:
    """The object of a commit."""
    return f"log/{number:012}"


def old(journal: Journal, name: str, kind: type[Content]) -> Content:
    """An object of format 1."""
    return opened(name, journal.asked(lambda: journal.bucket.read(name)), kind)


def opened(name: str, found: bytes | None, kind: type[Content]) -> Content:
    """Decode an object.

    Raises:
        StateError: it is missing or damaged.
    """
    if found is None:
        raise StateError(f"{name}: missing in the bucket; {WAY_OUT}")
    body = memoryview(found)[CRC_BYTES:]
    if crc32(body, crc32(name.encode())).to_bytes(CRC_BYTES) != found[:CRC_BYTES]:
        raise StateError(f"{name}: checksum differs; {WAY_OUT}")
    return msgspec.msgpack.decode(body, type=kind)


def put_back(folder: Path, files: dict[str, bytes]) -> None:
    """Replace the recovery folder by a copy; it is there whole or not at all."""
    fresh = folder.with_name(f"{folder.name}.copied")
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh)
    for name, compressed in files.items():
        with private_binary(fresh / name) as file:
            file.write(zstandard.ZstdDecompressor().decompress(compressed))
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)


def drop_log(journal: Journal, log: OldLog) -> None:
    """Remove it but for its last entry."""
    names = [name for name in journal.names("log") if name <= log_name(log.last)]
    journal.remove([*names, *journal.names("copies")])
