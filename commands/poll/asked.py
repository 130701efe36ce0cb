"""Memory of the poller: when each parcel was last asked for, and the scans that it had then.

It lets a restart resume the plan, and an answer that repeats the history write only what is new.
Without it everything is asked for once more, spread over the intervals, and written once more.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from schemas.instants import DAY_MS
from schemas.sqlite_files import answers, open_file, transaction

KEEP_MS = 60 * DAY_MS
DIGEST_BYTES = 8
REMEDY = "move the file away: parcels are then asked for once more, spread over their intervals"
SCHEMA = """
CREATE TABLE IF NOT EXISTS asked (
    account TEXT NOT NULL,
    number TEXT NOT NULL,
    asked_at INTEGER NOT NULL,  -- wall clock, ms: when the answer had come
    scans BLOB NOT NULL,        -- 8 bytes for each scan that was written
    PRIMARY KEY (account, number)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class Memory(NamedTuple):
    """Memory of one parcel."""

    asked_at: int
    scans: bytes


class AskedParcels:
    """The file at `path`, for one thread.

    Raises:
        Busy: the disk is full or unavailable. StateError: the file is damaged.
    """

    def __init__(self, path: Path, now: int) -> None:
        """Open the file, which is created where it is missing; what is old is deleted."""
        self.path = path
        with self._answers():
            self._database = open_file(path, SCHEMA)
            self._database.execute("DELETE FROM asked WHERE asked_at < ?", (now - KEEP_MS,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def of_account(self, account: str) -> dict[str, Memory]:
        """By number: what is remembered of the parcels of an account."""
        query = "SELECT number, asked_at, scans FROM asked WHERE account = ?"
        with self._answers():
            rows = self._database.execute(query, (account,)).fetchall()
        return {number: Memory(asked_at, scans) for number, asked_at, scans in rows}

    def remember(self, account: str, parcels: Iterable[tuple[str, Memory]]) -> None:
        """Store what is known of parcels; it is on the disk when this returns."""
        with self._answers(), transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?)",
                ((account, number, *memory) for number, memory in parcels),
            )

    def _answers(self) -> AbstractContextManager[None]:
        return answers(str(self.path), REMEDY)


def digest_of(event_id: str) -> bytes:
    """Short digest of a scan's id."""
    return blake2b(event_id.encode(), digest_size=DIGEST_BYTES).digest()


def digests_in(scans: bytes) -> Iterator[bytes]:
    """The digests of stored scans."""
    return (scans[at : at + DIGEST_BYTES] for at in range(0, len(scans), DIGEST_BYTES))
