"""Reader of a state file for another process than its owner, which may continue to write."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dataflows.state.local.chain import BlobInfo
from dataflows.state.local.frame import FrameIdentity, unframe
from dataflows.state.local.schema import Meta, explained, read_meta
from dataflows.state.local.tables import Tables
from dataflows.state.local.write_batch import StagedRow
from schemas.errors import StateError

SHARDS = "SELECT DISTINCT shard FROM blobs UNION SELECT DISTINCT shard FROM retired ORDER BY 1"
# The first byte of a frame is its version; SQLite reads no more of a blob than its first page.
VERSIONS = """
    SELECT hex(substr(stored, 1, 1)), count(*) FROM
    (SELECT stored FROM blobs UNION ALL SELECT stored FROM retired WHERE stored IS NOT NULL)
    GROUP BY 1 ORDER BY 1"""
RETIRED = """
    SELECT key, sequence, stored FROM retired WHERE shard = ? AND stored IS NOT NULL
    ORDER BY key, sequence"""
RETIRED_AT = """
    SELECT key, max(sequence), stored FROM retired WHERE shard = ? AND sequence <= ?
    GROUP BY key ORDER BY key"""
POSITIONS = "SELECT 1 FROM sqlite_master WHERE name = 'positions'"
RETIRED_ORDERS = """
    SELECT count(*) FROM
    (SELECT stored IS NOT NULL AS is_there, max(sequence) FROM retired WHERE shard = ? GROUP BY key)
    WHERE is_there"""


class Held(NamedTuple):
    """A shard's blobs, and the oldest sequence that a resume may name."""

    links: list[BlobInfo]
    floor: int


class StateReader:
    """The file `path` as it was when it was opened, in one read transaction.

    While it is open, SQLite's log beside the file can't be folded into it: close it soon where the
    owner is at work.
    """

    def __init__(self, path: Path) -> None:
        """Open the file for reading.

        Raises:
            StateError: there is none, it can't be read, is foreign, or of another layout.
        """
        if not path.exists():
            raise StateError(
                f"{path}: there is no state file; name another with "
                "--store, or fetch it from the bucket that has it (ordertide state fetch)"
            )
        self.path = path
        with explained(path):
            self.database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            self.database.isolation_level = None
            self.database.execute("BEGIN")
            self.meta: Meta = read_meta(self.database, path)
        self.tables = Tables(self.database)

    @property
    def generation(self) -> int:
        """Generation of the state."""
        return max(self.meta.generation, 0)

    def shards(self) -> list[str]:
        """The names of all shards that have something here."""
        with explained(self.path):
            return [name for (name,) in self.database.execute(SHARDS)]

    def held(self, shard: str) -> Held:
        """The chain of a shard."""
        with explained(self.path):
            return Held(self.tables.links(shard), self.tables.floor(shard))

    def floor(self, shard: str) -> int:
        """The oldest sequence of a shard that a resume may name."""
        with explained(self.path):
            return self.tables.floor(shard)

    def blob(self, shard: str, link: BlobInfo) -> bytes:
        """A blob, checked.

        Raises:
            StateError: it is damaged.
        """
        with explained(self.path):
            [(_, run, stored)] = self.tables.blobs(shard, link.sequence, link.sequence)
        return unframe(stored, FrameIdentity(self.meta.store, shard, link.sequence, run))

    def retired_rows(self, shard: str) -> Iterator[StagedRow]:
        """Rows of retired orders as stored, by key and sequence; `retired_order` opens one."""
        with explained(self.path):
            for row in self.database.execute(RETIRED, (shard,)):
                yield StagedRow(*row)

    def retired_rows_at(self, shard: str, sequence: int) -> Iterator[StagedRow]:
        """Rows of retired orders as a resume at `sequence` finds them, by key."""
        with explained(self.path):
            for key, number, stored in self.database.execute(RETIRED_AT, (shard, sequence)):
                if stored is not None:
                    yield StagedRow(key, number, stored)

    def retired_order(self, shard: str, row: StagedRow) -> bytes:
        """Decode a row of the retired-order table, checked.

        Raises:
            StateError: it is damaged.
        """
        frame_id = FrameIdentity(self.meta.store, shard, row.sequence, row.key, is_retired=True)
        return unframe(row.stored or b"", frame_id)

    def retired_orders(self, shard: str) -> int:
        """Number of retired orders."""
        with explained(self.path):
            (count,) = self.database.execute(RETIRED_ORDERS, (shard,)).fetchone()
        return int(count)

    def versions(self) -> dict[int, int]:
        """Number of blobs and rows of each version."""
        with explained(self.path):
            return {int(text, 16): count for text, count in self.database.execute(VERSIONS)}

    def damage(self) -> list[str]:
        """Damage that SQLite finds in the file itself; reads all of it."""
        with explained(self.path):
            report = [text for (text,) in self.database.execute("PRAGMA quick_check(20)")]
        return [] if report == ["ok"] else report

    def position(self, member: int) -> int:
        """Number of commits of a member of its run in the file; 0 if it never was in a bucket."""
        with explained(self.path):
            found = self.database.execute(POSITIONS).fetchone()
            return self.tables.position(member) if found else 0

    def size_bytes(self) -> int:
        """The file and its log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close the file."""
        self.database.close()
