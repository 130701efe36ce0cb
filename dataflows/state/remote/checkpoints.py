"""Checkpoints of a member's shards in a bucket, made beside the running flow."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

from dataflows.state.local.reader import StateReader
from dataflows.state.remote.garbage_collection import drop_before
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import FORMAT, End, Part, Run, copy_folder, sealed
from schemas.errors import Busy, OrdertideError, StateError

LOGGER = logging.getLogger("ordertide.state")
PART_BYTES = 16_000_000

# A copy is due when the log since the last has grown larger than that copy, so that copying never
# costs more than twice what the log does, and a restore reads no more than twice what there is;
# and when the log is long: every entry is one request of a restore (20 ms, 16 at a time).
SMALL_BYTES = 64_000_000
MOST_ENTRIES = 4_000

TABLES = {
    "blobs": "SELECT sequence, shard, run, committed, base, stored FROM blobs"
    " WHERE shard = ? ORDER BY sequence",
    "retired": "SELECT shard, key, sequence, stored FROM retired"
    " WHERE shard = ? ORDER BY key, sequence",
    "floors": "SELECT shard, sequence FROM floors WHERE shard = ?",
}
ROW_BYTES = 64  # about what a row takes beside what is stored in it


class Checkpoints:
    """Schedule of copies: each is made when due, in a thread of its own, one at a time."""

    def __init__(self, objects: StoredObjects, path: Path, run: Run, member: int) -> None:
        """Create the schedule for `member` of `run`, which has its shards in the file `path`."""
        self.upload = Upload(objects, path)
        self.run = run
        self.member = member
        self.last: End | None = None
        self.entries = run.behind
        self.log_bytes = 0
        self.thread: Thread | None = None

    def committed(self, size_bytes: int, shards: Sequence[str]) -> None:
        """The log has grown by an entry; `shards` are the member's."""
        self.log_bytes += size_bytes
        self.entries += 1
        is_due = self.entries > MOST_ENTRIES or self.log_bytes > max(
            SMALL_BYTES, self.last.size_bytes if self.last else 0
        )
        if is_due and not (self.thread and self.thread.is_alive()):
            self.log_bytes = self.entries = 0
            self.thread = Thread(target=self.attempt, args=[shards], name="state-copy", daemon=True)
            self.thread.start()

    def attempt(self, shards: Sequence[str]) -> None:
        """Make a copy; where that fails the log stays, and the next try is when it has grown."""
        try:
            self.make(shards)
        except OrdertideError as error:
            LOGGER.warning("the state was not copied, so its log in the bucket stays: %s", error)

    def make(self, shards: Sequence[str]) -> None:
        """Make a copy of `shards` as they are now, and remove the objects before it.

        Raises:
            StateError: the file or an object is damaged.
            Busy: stopped while the object store was unavailable.
        """
        folder = copy_folder(self.run.number, self.member)
        self.last = self.upload.make(folder, shards, self.member)
        drop_before(self.upload.objects, self.run, self.member, self.last)

    def close(self) -> None:
        """Give up a copy that is under way."""
        self.upload.closing.set()
        self.wait()

    def wait(self) -> None:
        """Until no copy is under way."""
        if self.thread:
            self.thread.join()


class Upload:
    """Upload of shards' rows to a bucket, until stopped."""

    def __init__(self, objects: StoredObjects, path: Path) -> None:
        """Create an upload from the file `path`."""
        self.objects = objects
        self.path = path
        self.closing = Event()

    def make(
        self, above: str, shards: Sequence[str] | None, member: int, states: bytes = b""
    ) -> End:
        """All parts, then the end, in a new folder below `above`; None copies all shards."""
        reader = StateReader(self.path)
        try:
            number = reader.position(member)
            folder = f"{above}/{number:012}-{secrets.token_hex(4)}"
            copied = reader.shards() if shards is None else list(shards)
            count = size_bytes = 0
            for count, part in enumerate(parts(reader, copied), start=1):
                size_bytes += self.put(f"{folder}/{count - 1:06}", part)
            end = End(
                format=FORMAT,
                store=reader.meta.store,
                folder=folder,
                parts=count,
                size_bytes=size_bytes,
                number=number,
                sequence=reader.meta.sequence,
                commits=reader.meta.commits,
                shards=copied,
                states=states,
            )
        finally:
            reader.close()
        self.put(f"{folder}/end", end)
        return end

    def put(self, name: str, content: Part | End) -> int:
        """Store an object; return its size in bytes.

        Raises:
            Busy: stopped; a copy without its end is invalid, the next removes it.
        """
        if self.closing.is_set():
            raise Busy("the flow ends")
        found = sealed(name, content)
        if not self.objects.create(name, found):
            raise StateError(f"{self.objects.bucket.name}/{name}: is there with another content")
        return len(found)


def parts(reader: StateReader, shards: Sequence[str]) -> Iterator[Part]:
    """All rows of shards, in parts of about PART_BYTES."""
    part, size_bytes = Part([], [], []), 0
    for kind, row in rows(reader, shards):
        getattr(part, kind).append(row)
        size_bytes += ROW_BYTES + (len(row[-1]) if isinstance(row[-1], bytes) else 0)
        if size_bytes > PART_BYTES:
            yield part
            part, size_bytes = Part([], [], []), 0
    yield part


def rows(reader: StateReader, shards: Sequence[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(table, row) of everything; what is stored stands last."""
    for shard in shards:
        for table, statement in TABLES.items():
            for row in reader.database.execute(statement, (shard,)):
                yield table, row
