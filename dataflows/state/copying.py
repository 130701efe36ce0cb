"""Copies of a whole state file in a bucket, made beside the running flow."""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

from dataflows.state.entry import End, Part, copy_name, sealed
from dataflows.state.journal import Journal
from dataflows.state.reader import StateReader
from schemas.errors import Busy, OrdertideError, StateError

LOGGER = logging.getLogger("ordertide.state")
PART_BYTES = 16_000_000

# A copy is due when the log since the last has grown larger than that copy, so that copying never
# costs more than twice what the log does, and a restore reads no more than twice what there is;
# and when the log is long: every entry is one request of a restore (20 ms, 16 at a time).
SMALL_BYTES = 64_000_000
MOST_ENTRIES = 4_000

TABLES = {
    "blobs": "SELECT sequence, shard, run, committed, base, stored FROM blobs ORDER BY sequence",
    "cold": "SELECT shard, key, sequence, stored FROM cold ORDER BY shard, key, sequence",
    "floors": "SELECT shard, sequence FROM floors",
}
ROW_BYTES = 64  # about what a row takes beside what is stored in it


class Copies:
    """Knows when a copy is due, and makes it in a thread of its own, one at a time."""

    def __init__(self, journal: Journal, path: Path, last: End | None, entries: int) -> None:
        """`last` is the newest copy, `entries` the length of the log since."""
        self.journal = journal
        self.path = path
        self.last = last
        self.entries = entries
        self.log_bytes = 0
        self.thread: Thread | None = None
        self.closing = Event()

    def committed(self, size_bytes: int) -> None:
        """The log has grown by an entry."""
        self.log_bytes += size_bytes
        self.entries += 1
        is_due = self.entries > MOST_ENTRIES or self.log_bytes > max(
            SMALL_BYTES, self.last.size_bytes if self.last else 0
        )
        if is_due and not (self.thread and self.thread.is_alive()):
            self.log_bytes = self.entries = 0
            self.thread = Thread(target=self.attempt, name="state-copy", daemon=True)
            self.thread.start()

    def attempt(self) -> None:
        """Make a copy; where that fails the log stays, and the next try is when it has grown."""
        try:
            self.make()
        except OrdertideError as error:
            LOGGER.warning("the state was not copied, so its log in the bucket stays: %s", error)

    def make(self) -> None:
        """Make a copy of the file as it is now, and remove what lies before it.

        Raises:
            StateError: the file or an object is damaged, or a run of this id has copied already.
            Busy: told to stop while the object store gave no answer.
        """
        reader = StateReader(self.path)
        try:
            copy = self.upload(reader)
        finally:
            reader.close()
        self.last = copy
        self.journal.asked(lambda: self.journal.drop_before(copy))

    def upload(self, reader: StateReader) -> End:
        """All parts, then the end."""
        meta, last_run = reader.meta, reader.tables.last_run() or "first"
        folder = copy_name(meta.commits, last_run)
        count = size_bytes = 0
        for count, part in enumerate(parts(reader), start=1):
            size_bytes += self.put(f"{folder}/{count - 1:06}", part)
        end = End(1, meta.store, count, size_bytes, meta.sequence, meta.commits, last_run)
        self.put(f"{folder}/end", end)
        return end

    def put(self, name: str, content: Part | End) -> int:
        """Store an object; its size in bytes.

        Raises:
            Busy: told to stop; a copy without its end counts for nothing, the next removes it.
        """
        if self.closing.is_set():
            raise Busy("the flow ends")
        found = sealed(name, content)
        if not self.journal.create(name, found):
            raise StateError(f"{self.journal.bucket.name}/{name}: is there with another content")
        return len(found)

    def close(self) -> None:
        """Give up a copy that is under way."""
        self.closing.set()
        self.wait()

    def wait(self) -> None:
        """Until no copy is under way."""
        if self.thread:
            self.thread.join()


def parts(reader: StateReader) -> Iterator[Part]:
    """All rows of a state file, in parts of about PART_BYTES."""
    part, size_bytes = Part([], [], []), 0
    for kind, row in rows(reader):
        getattr(part, kind).append(row)
        size_bytes += ROW_BYTES + (len(row[-1]) if isinstance(row[-1], bytes) else 0)
        if size_bytes > PART_BYTES:
            yield part
            part, size_bytes = Part([], [], []), 0
    yield part


def rows(reader: StateReader) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(table, row) of everything; what is stored stands last."""
    for table, statement in TABLES.items():
        for row in reader.database.execute(statement):
            yield table, row
