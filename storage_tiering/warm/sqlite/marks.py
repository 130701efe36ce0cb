"""Marks of the SQLite tier: up to where it was written, its period files, and its staleness.

They lie in a file of their own. A period's file is known by its id and by how often it was written
to, so one that was deleted, restored or replaced shows; if this file is the one that was, the
offsets in it are behind those that were committed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from storage_tiering.tier import Partition, Staleness, WritesLost, partition_name, partition_of
from storage_tiering.warm.sqlite.database import Database

NAME = "marks.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS offsets (partition TEXT PRIMARY KEY, next_offset INTEGER);
CREATE TABLE IF NOT EXISTS periods (period TEXT PRIMARY KEY, id TEXT, writes INTEGER);
CREATE TABLE IF NOT EXISTS staleness (one INTEGER PRIMARY KEY CHECK (one = 1), doc BLOB);
"""
NOTE_OFFSET = """
INSERT INTO offsets VALUES (?, ?)
ON CONFLICT (partition) DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)
"""
NOTE_PERIOD = """
INSERT INTO periods VALUES (?, ?, ?)
ON CONFLICT (period) DO UPDATE SET id = excluded.id, writes = max(writes, excluded.writes)
"""


class File(Protocol):
    """A file whose writes are counted: of a period, or of the events without one."""

    period: str
    database: Database


class PeriodMarks:
    """`marks.sqlite` in the warm tier's folder; `files` are the period files that exist."""

    def __init__(self, folder: Path) -> None:
        """Open or create it."""
        self.folder = folder
        self.database = Database(folder / NAME, SCHEMA)
        self._noted: dict[Partition, int] = {}

    def reopen(self) -> None:
        """Open the file that lies at its place now; what was noted is still remembered."""
        self.database.close()
        self.database = Database(self.folder / NAME, SCHEMA)

    def offsets(self) -> dict[Partition, int]:
        """The offsets that were noted."""
        rows = self.database.read("SELECT partition, next_offset FROM offsets")
        return {partition_of(name): at for name, at in rows}

    def missing(self, files: Iterable[File]) -> list[str]:
        """Sentences on period files that are not what was noted of them."""
        there = {file.period: file.database.identity() for file in files}
        rows = self.database.read("SELECT period, id, writes FROM periods ORDER BY period")
        complaints = []
        for period, identity, writes in rows:
            if period not in there:
                complaints.append(f"{period}.sqlite is missing")
            elif there[period][0] != identity:
                complaints.append(f"{period}.sqlite was recreated")
            elif there[period][1] < writes:
                complaints.append(f"{period}.sqlite is an older copy")
        return complaints

    def note(self, offsets: Mapping[Partition, int], files: Iterable[File]) -> None:
        """Note the offsets and how often the files were written to.

        Raises:
            WritesLost: a file, or this one, holds less than was noted before.
        """
        files = list(files)
        held = self.offsets()
        behind = [each for each, at in self._noted.items() if held.get(each, 0) < at]
        complaints = self.missing(files)
        if behind:
            complaints.append(f"{NAME} is an older copy")
        if complaints:
            raise WritesLost(f"warm tier: {', '.join(complaints)}")
        rows = [(partition_name(each), at) for each, at in offsets.items()]
        self.database.write(NOTE_OFFSET, rows, (NOTE_PERIOD, [row_of(file) for file in files]))
        self._noted |= {each: max(at, held.get(each, 0)) for each, at in offsets.items()}

    def begin_with(
        self, offsets: Mapping[Partition, int], files: Iterable[File]
    ) -> dict[Partition, int]:
        """Compare from now on with these offsets and files; returns the offsets."""
        rows = [(partition_name(each), at) for each, at in offsets.items()]
        self.database.write(
            "DELETE FROM offsets",
            [()],
            ("DELETE FROM periods", [()]),
            (NOTE_OFFSET, rows),
            (NOTE_PERIOD, [row_of(file) for file in files]),
        )
        self._noted = dict(offsets)
        return dict(offsets)

    def dropped(self, period: str) -> None:
        """A period has expired."""
        self.database.write("DELETE FROM periods WHERE period = ?", [(period,)])

    def staleness(self) -> Staleness | None:
        """The staleness that is kept."""
        rows = self.database.read("SELECT doc FROM staleness")
        return msgspec.json.decode(rows[0][0], type=Staleness) if rows else None

    def set_staleness(self, staleness: Staleness | None) -> None:
        """Keep this one; None: none."""
        rows = [] if staleness is None else [(msgspec.json.encode(staleness),)]
        self.database.write(
            "DELETE FROM staleness", [()], ("INSERT INTO staleness VALUES (1, ?)", rows)
        )


def row_of(file: File) -> tuple[str, str, int]:
    """The row of a period's file."""
    return file.period, *file.database.identity()
