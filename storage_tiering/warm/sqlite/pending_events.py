"""Pending events, whose order the warm tier doesn't have yet, and the tier's progress.

Changes and events come over two topics, so an event can be read before its order's first change,
which fixes the period. Until then it waits here; the change moves it.
"""

from collections.abc import Sequence
from pathlib import Path

from storage_tiering.warm.sqlite.database import COUNT_WRITE, IDENTITY, Database, Row

SCHEMA = """
CREATE TABLE IF NOT EXISTS unplaced (
    key TEXT, event_hash TEXT, at INTEGER, arrival_at INTEGER, status TEXT, shipment TEXT, doc BLOB,
    PRIMARY KEY (key, event_hash));
CREATE INDEX IF NOT EXISTS unplaced_by_arrival ON unplaced (arrival_at);
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), watermark INTEGER);
"""
ADVANCE = """
INSERT INTO progress VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET watermark = max(watermark, excluded.watermark)
"""


class Unplaced:
    """`unplaced.sqlite` in the warm tier's folder."""

    period = "unplaced"  # their period in the marks

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "unplaced.sqlite", SCHEMA + IDENTITY)

    def add(self, rows: Sequence[Row]) -> None:
        """Let event rows (as `period.event_row` makes them) wait, once each."""
        statement = "INSERT OR IGNORE INTO unplaced VALUES (?, ?, ?, ?, ?, ?, ?)"
        self.database.write(statement, rows, COUNT_WRITE)

    def waiting(self, keys: Sequence[str]) -> list[Row]:
        """The event rows that wait for one of the orders."""
        return self.database.read_by_keys("SELECT * FROM unplaced WHERE key IN ({keys})", keys)

    def remove(self, rows: Sequence[Row]) -> None:
        """These have found their place."""
        statement = "DELETE FROM unplaced WHERE key = ? AND event_hash = ?"
        self.database.write(statement, [row[:2] for row in rows])

    def expire(self, limit_ms: int) -> None:
        """Drop what arrived by `limit_ms`: its order will not come, or its period has gone."""
        self.database.write("DELETE FROM unplaced WHERE arrival_at <= ?", [(limit_ms,)])

    def advance(self, watermark_ms: int) -> None:
        """Note that everything up to `watermark_ms` was written; it never goes back."""
        self.database.write(ADVANCE, [(watermark_ms,)])

    def watermark(self) -> int | None:
        """Freshness of the tier, in ms of stream time; None before the first note."""
        rows = self.database.read("SELECT watermark FROM progress")
        return rows[0][0] if rows else None

    def count(self) -> int:
        """Number of pending events."""
        return int(self.database.read("SELECT count(*) FROM unplaced")[0][0])
