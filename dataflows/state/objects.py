"""The shard store in a bucket of an S3-compatible object store: any host can go on.

The state file of `SqliteShardStore` stays the working copy: what resumes, looks up the cold and
spreads bases is the same code. What is new is that a commit counts once it is an object in the
bucket; only then is it written to the file. A file is therefore never ahead of the bucket, and a
host without one, or with an old one, makes it from the newest copy and the log after that
(dataflows/state/journal.py).

    a commit     one PUT, only if there is none of its number: blobs, cold rows, bytewax's pointers
    a copy       the whole file in parts, beside the flow, when the log has outgrown the last copy
    a restart    on the same host reads what the file lacks, as a rule nothing; then one PUT
    a take-over  the newest copy and the log after it, at most about twice what there is

Why not the log alone, with an index of what lies where? New orders ask the cold, and nearly always
miss: 7 us in the file, 20 ms in a bucket, so that some index of all retired orders has to be on the
host in any case. The file is that index, with its clean-up and its tests.

bytewax's pointers are part of every commit, as its recovery files were at that moment: those of the
commit before, so that the blobs they name are among the three that are kept. A take-over puts them
back, also where this host has recovery files of an earlier time.
"""

import socket
from pathlib import Path

from dataflows.state.bucket import Bucket, Patience
from dataflows.state.copying import Copies
from dataflows.state.entry import FORMAT, Change, Entry, Owner, log_name, sealed
from dataflows.state.fetching import fetch
from dataflows.state.following import Follower
from dataflows.state.journal import OWNER, Journal, TakenOver
from dataflows.state.layout import explained
from dataflows.state.recovery_copy import RecoveryCopy
from dataflows.state.room import check_room
from dataflows.state.sqlite import SqliteShardStore
from dataflows.state.store import Pointer
from schemas.errors import StateError

NOTHING = -1  # what comes before the first blob of a shard


class ObjectShardStore(SqliteShardStore):
    """A ShardStore in `bucket`, with the file `path` as its working copy on this host."""

    def __init__(
        self, path: Path, shards: int, bucket: Bucket, recovery: Path, patience: Patience
    ) -> None:
        """Open the store, take it over from whoever has it, and put `recovery` back if need be.

        Raises:
            StateError: the file or the bucket is damaged, or one is not of the other's store.
            SettingsError: the bucket can't be used with these settings.
            Busy: the object store gives no answer.
        """
        self.journal = Journal(bucket, patience)
        self.recovery = RecoveryCopy(recovery)
        self.pointers: dict[str, bytes] = {}
        self.previous: dict[str, int] = {}
        self.rewound: set[str] = set()
        owner = self.journal.owner()
        head = self.journal.head()
        if owner:
            fetch(path, owner, head, self.journal)
        super().__init__(path, shards)
        try:
            self.follower = Follower(self, self.journal, recovery)
            self.copies = Copies(self.journal, path, head.copy, head.last - head.first)
            if owner is None:
                self.publish()
            self.take_over(head.last)
        except BaseException:
            self.close()
            raise

    def publish(self) -> None:
        """Begin a store in an empty bucket, with what the file holds already.

        Raises:
            StateError: another process has just done so.
        """
        if self.meta.commits:
            self.copies.make()
        content = sealed(OWNER, Owner(FORMAT, self.meta.store, self.meta.shards))
        if not self.journal.create(OWNER, content):
            raise StateError(f"{self.journal.bucket.name}: another process has just begun it")

    def take_over(self, last: int) -> None:
        """Catch up with the log, and write an entry of this run: no other run can add one then."""
        self.pointers = self.follower.catch_up(last) or self.pointers
        while not self.claimed():  # whoever had it was writing still
            self.pointers = self.follower.catch_up(self.meta.commits + 1) or self.pointers
        with self.database:
            self.tables.note_run(self.run)

    def claimed(self) -> bool:
        """Write an empty entry of this run; False if another process was faster."""
        entry = self.entry()
        try:
            self.journal.append(entry)
        except TakenOver:
            return False
        name = log_name(entry.number)
        self.journal.check_create(name, sealed(name, entry))
        self.follower.apply(entry)
        return True

    def entry(self) -> Entry:
        """What is staged, as the next entry of the log."""
        self.pointers = self.recovery.take() or self.pointers
        shards = sorted({*self.staged.blobs, *self.rewound})
        return Entry(
            FORMAT,
            self.meta.store,
            self.meta.commits + 1,
            self.run,
            socket.gethostname(),
            self.sequence,
            [self.change(shard) for shard in shards],
            self.pointers,
        )

    def change(self, shard: str) -> Change:
        """What is staged of a shard; nothing of one that was only taken back to its pointer."""
        blobs, rows = self.staged.blobs.get(shard, []), self.staged.rows.get(shard, [])
        return Change(
            shard,
            self.previous[shard],
            [(blob.sequence, blob.base, blob.stored) for blob in blobs],
            [(row.key, row.sequence, row.stored) for row in rows],
        )

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        previous = pointer.sequence if pointer else NOTHING
        with self.lock, explained(self.path):
            is_rewound = self.tables.holds_beyond(shard, previous)
            blobs = super().open(shard, pointer)
            self.previous[shard] = previous
            if is_rewound:
                self.rewound.add(shard)
            return blobs

    def commit(self) -> None:
        with self.lock:
            if not self.staged.blobs:
                super().commit()  # is there room on the disk?
                return
            check_room(self.path.parent, 2 * self.staged.size_bytes)  # before it is in the bucket
            latest = {shard: blobs[-1].sequence for shard, blobs in self.staged.blobs.items()}
            size_bytes = self.journal.append(self.entry())
            super().commit()
            self.previous.update(latest)
            self.rewound.clear()
            self.copies.committed(size_bytes)

    def close(self) -> None:
        if hasattr(self, "copies"):
            self.copies.close()
        self.recovery.close()
        super().close()
