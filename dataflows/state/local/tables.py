"""The statements on a state file; transactions and locks are the caller's."""

import sqlite3
from collections.abc import Iterable, Iterator

from dataflows.state.local.chain import BlobInfo, Retention
from dataflows.state.local.write_batch import Staged, StagedRow
from dataflows.state.store import ShardSummary

LINKS = """
    SELECT sequence, run, committed, base, length(stored) FROM blobs WHERE shard = ?
    ORDER BY sequence"""
BLOBS = """
    SELECT sequence, run, stored FROM blobs WHERE shard = ? AND sequence BETWEEN ? AND ?
    ORDER BY sequence"""
FLOOR = "SELECT sequence FROM floors WHERE shard = ?"

SHARDS = "SELECT DISTINCT shard FROM blobs UNION SELECT DISTINCT shard FROM retired"
# Only in files of a store that lies in a bucket.
POSITIONS = """
    CREATE TABLE IF NOT EXISTS positions (member INTEGER PRIMARY KEY, number INTEGER NOT NULL)"""

BEYOND = tuple(
    f"SELECT 1 FROM {table} WHERE shard = ? AND sequence > ? LIMIT 1"  # noqa: S608 - our tables
    for table in ("blobs", "retired", "floors")
)

RETIRED_ROW = """
    SELECT key, sequence, stored FROM retired WHERE shard = ? AND key = ?
    ORDER BY sequence DESC LIMIT 1"""
# SQLite takes `stored` from the row that max() chose.
RETIRED_KEYS = """
    SELECT key, stored IS NOT NULL, max(sequence) FROM retired WHERE shard = ? AND key > ?
    GROUP BY key ORDER BY key LIMIT ?"""

# What no resume can need any more once the floor of a shard moves from :before to :floor. A row of
# that stretch hides the older ones of its key from every pointer that is left.
PASSED = """
    SELECT 1 FROM retired WHERE shard = :shard AND sequence > :before AND sequence <= :floor
    LIMIT 1"""
HIDDEN = """
    DELETE FROM retired WHERE rowid IN (
        SELECT older.rowid FROM retired AS newer JOIN retired AS older
        ON older.shard = newer.shard AND older.key = newer.key AND older.sequence < newer.sequence
        WHERE newer.shard = :shard AND newer.sequence > :before AND newer.sequence <= :floor)"""
TAKEN_OUT = """
    DELETE FROM retired WHERE shard = :shard AND sequence > :before AND sequence <= :floor
    AND stored IS NULL"""

SUMMARY = """
    SELECT blobs.shard, floors.sequence, max(blobs.sequence), count(*), sum(length(stored)),
        (SELECT count(*) FROM retired WHERE retired.shard = blobs.shard)
    FROM blobs JOIN floors USING (shard) GROUP BY blobs.shard ORDER BY blobs.shard"""


class Tables:
    """Reads and writes rows. Every method may raise sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Wrap the tables of an open, prepared file."""
        self.database = database

    def links(self, shard: str) -> list[BlobInfo]:
        """All blobs of a shard, in order."""
        return [BlobInfo(*row) for row in self.database.execute(LINKS, (shard,))]

    def floor(self, shard: str) -> int:
        """The oldest sequence that a resume of the shard may name; 0 for a new shard."""
        found: tuple[int] | None = self.database.execute(FLOOR, (shard,)).fetchone()
        return found[0] if found else 0

    def blobs(self, shard: str, first: int, last: int) -> list[tuple[int, str, bytes]]:
        """(sequence, run, stored bytes) of a stretch of blobs, ends included."""
        return self.database.execute(BLOBS, (shard, first, last)).fetchall()

    def retired_row(self, shard: str, key: str) -> StagedRow | None:
        """The latest row of a key."""
        found = self.database.execute(RETIRED_ROW, (shard, key)).fetchone()
        return StagedRow(*found) if found else None

    def retired_keys(self, shard: str, after: str, limit: int) -> Iterator[tuple[str, bool]]:
        """(key, whether it is retired now) of at most `limit` keys after `after`, in order."""
        for key, is_there, _ in self.database.execute(RETIRED_KEYS, (shard, after, limit)):
            yield key, bool(is_there)

    def holds_beyond(self, shard: str, sequence: int) -> bool:
        """Return True if there is anything of a shard after `sequence`."""
        return any(
            self.database.execute(statement, (shard, sequence)).fetchone() for statement in BEYOND
        )

    def forget(self, shard: str, beyond: int) -> None:
        """Remove what a shard stored after sequence `beyond`."""
        for statement in (
            "DELETE FROM blobs WHERE shard = ? AND sequence > ?",
            "DELETE FROM retired WHERE shard = ? AND sequence > ?",
            "DELETE FROM floors WHERE shard = ? AND sequence > ?",
        ):
            self.database.execute(statement, (shard, beyond))

    def write(self, staged: Staged, run: str, committed: int) -> None:
        """Append everything staged."""
        blobs = [
            (blob.sequence, shard, run, committed, blob.base, blob.stored)
            for shard, blobs in staged.blobs.items()
            for blob in blobs
        ]
        rows = [(shard, *row) for shard, rows in staged.rows.items() for row in rows]
        self.database.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?)", blobs)
        self.database.executemany("INSERT INTO retired VALUES (?, ?, ?, ?)", rows)

    def count(self, sequence: int, committed: int) -> None:
        """Store the last numbers that were given, unless another member has stored later ones."""
        values = [(sequence, "sequence"), (committed, "commits")]
        self.database.executemany("UPDATE meta SET value = max(value, ?) WHERE name = ?", values)

    def begin(self, generation: int, begun_at: int) -> None:
        """Store the generation that the state begins with, and when it began (ms)."""
        values = [("generation", generation), ("begun_at", begun_at)]
        self.database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)

    def confirm(self) -> None:
        """Store that bytewax has recorded pointers into this file."""
        self.database.execute("INSERT OR REPLACE INTO meta VALUES ('confirmed', 1)")

    def name_key_file(self, key_file: str) -> None:
        """Store the id of the key file under which personal data is sealed."""
        self.database.execute("INSERT OR REPLACE INTO meta VALUES ('key_file', ?)", (key_file,))

    def shards(self) -> list[str]:
        """The names of all shards that have something here."""
        return [shard for (shard,) in self.database.execute(SHARDS)]

    def insert(
        self,
        blobs: list[tuple[int, str, str, int, int, bytes]],
        retired: list[tuple[str, str, int, bytes | None]],
        floors: list[tuple[str, int]],
    ) -> None:
        """Put rows in as they stand in another file."""
        self.database.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?)", blobs)
        self.database.executemany("INSERT INTO retired VALUES (?, ?, ?, ?)", retired)
        self.database.executemany("INSERT INTO floors VALUES (?, ?)", floors)

    def bucket_run(self) -> int:
        """The run in the bucket that the file has come to; 0 if it never was in one."""
        found = self.database.execute("SELECT value FROM meta WHERE name = 'bucket_run'").fetchone()
        return int(found[0]) if found else 0

    def enter_run(self, run: int) -> None:
        """Store that the file is at the beginning of a run."""
        self.database.execute("INSERT OR REPLACE INTO meta VALUES ('bucket_run', ?)", (run,))
        self.database.execute(POSITIONS)
        self.database.execute("DELETE FROM positions")

    def position(self, member: int) -> int:
        """Number of commits of a member of that run in the file."""
        statement = "SELECT number FROM positions WHERE member = ?"
        found = self.database.execute(statement, (member,)).fetchone()
        return int(found[0]) if found else 0

    def note_position(self, member: int, number: int) -> None:
        """Store how many commits of a member the file has."""
        self.database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (member, number))

    def prune(self, changes: Iterable[tuple[str, Retention, Retention]]) -> None:
        """Remove what no resume needs, now that a shard's outlook has become another.

        Each change is (shard, before, after). Few have a row of a retired order in the stretch that
        the floor moved over; checking costs 4 us, the two statements 40.
        """
        floors = []
        for shard, before, after in changes:
            if after.first != before.first:
                statement = "DELETE FROM blobs WHERE shard = ? AND sequence < ?"
                self.database.execute(statement, (shard, after.first))
            if after.floor != before.floor:
                floors.append((shard, after.floor))
                self.prune_retired(shard, before.floor, after.floor)
        self.database.executemany("INSERT OR REPLACE INTO floors VALUES (?, ?)", floors)

    def prune_retired(self, shard: str, before: int, floor: int) -> None:
        """Remove rows of retired orders that no resume sees once the floor moves to `floor`."""
        span = {"shard": shard, "before": before, "floor": floor}
        if self.database.execute(PASSED, span).fetchone():
            self.database.execute(HIDDEN, span)
            self.database.execute(TAKEN_OUT, span)

    def summary(self) -> list[ShardSummary]:
        """Summary of each shard's content."""
        return [ShardSummary(*row) for row in self.database.execute(SUMMARY)]
