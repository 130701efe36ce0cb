"""A state file that follows the log of a bucket."""

from pathlib import Path

from dataflows.state.bucket import Bucket, Patience
from dataflows.state.chain import Chain
from dataflows.state.entry import Change, Entry, log_name, unsealed
from dataflows.state.fetching import OTHERS, fetch
from dataflows.state.journal import Journal
from dataflows.state.layout import explained
from dataflows.state.recovery_copy import put_back
from dataflows.state.sqlite import SqliteShardStore
from dataflows.state.staged import Staged, StagedBlob, StagedRow
from dataflows.state.tables import Tables
from schemas.errors import StateError


class Follower:
    """Writes to an open file what the log has beyond it."""

    def __init__(self, store: SqliteShardStore, journal: Journal, recovery: Path) -> None:
        """`recovery` is where bytewax's files belong on this host."""
        self.store = store
        self.journal = journal
        self.recovery = recovery

    def catch_up(self, last: int) -> dict[str, bytes]:
        """Write to the file what others have committed, or this host before it was killed.

        Until this host's run has claimed the store, an empty last run in the file says that it goes
        on from others' commits, and the recovery files here are not the ones to go on by: those of
        the last commit are put in their place, and returned.

        Raises:
            StateError: an object is missing, damaged or another store's.
        """
        for entry in self.journal.entries(self.store.meta.commits + 1, last):
            self.check(entry)
            self.apply(entry)
        if self.store.tables.last_run() != OTHERS:
            return {}
        name = log_name(self.store.meta.commits)
        found = self.journal.asked(lambda: self.journal.bucket.read(name))
        pointers = unsealed(name, found, Entry).pointers if found else {}
        if pointers:
            put_back(self.recovery, pointers)
        return pointers

    def check(self, entry: Entry) -> None:
        """See that an entry is the next one of this store."""
        meta = self.store.meta
        if (entry.store, entry.number) != (meta.store, meta.commits + 1):
            raise StateError(
                f"{self.journal.bucket.name}: {log_name(meta.commits + 1)} is commit "
                f"{entry.number} of store {entry.store}; was the bucket copied over another?"
            )

    def apply(self, entry: Entry) -> None:
        """Do to the file what the entry's writer did to its own, in one transaction.

        Without an fsync of its own: after a power cut the log is there to catch up by.
        """
        store = self.store
        with store.lock, explained(store.path):
            store.database.execute("PRAGMA synchronous = NORMAL")
            try:
                with store.database:
                    store.database.execute("BEGIN IMMEDIATE")
                    for change in entry.changes:
                        apply_change(store.tables, change, entry)
                    store.tables.count(entry.sequence, entry.number)
                    if entry.run not in (store.run, store.tables.last_run()):
                        store.tables.note_run(OTHERS)
            finally:
                store.database.execute("PRAGMA synchronous = FULL")
            store.meta.commits = entry.number
            store.sequence = store.meta.sequence = entry.sequence


def apply_change(tables: Tables, change: Change, entry: Entry) -> None:
    """Add what a commit changed in a shard, and remove what that made superfluous."""
    tables.forget(change.shard, change.previous)
    if not change.blobs:
        return
    chain = Chain(tables.links(change.shard), tables.floor(change.shard))
    staged = Staged()
    staged.blobs[change.shard] = [StagedBlob(*blob) for blob in change.blobs]
    staged.rows[change.shard] = [StagedRow(*row) for row in change.rows]
    tables.write(staged, entry.run, entry.number)
    after = chain.after([(sequence, base) for sequence, base, _ in change.blobs])
    tables.prune([(change.shard, chain.kept, after)])


def fetch_state(path: Path, recovery: Path, bucket: Bucket, patience: Patience) -> int:
    """Make the file `path` and the folder `recovery` as the bucket has them; how many commits.

    Takes nothing over: the flow may run meanwhile.

    Raises:
        StateError: the bucket holds no state, or something in it is damaged, or was removed while
            it was read.
    """
    journal = Journal(bucket, patience)
    owner = journal.owner()
    if owner is None:
        raise StateError(f"{bucket.name}: holds no state; correct state.bucket or state.prefix")
    head = journal.head()
    fetch(path, owner, head, journal)
    store = SqliteShardStore(path, owner.shards)
    try:
        Follower(store, journal, recovery).catch_up(head.last)
    finally:
        store.close()
    return head.last
