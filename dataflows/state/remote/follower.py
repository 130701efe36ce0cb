"""A state file that follows the logs of a bucket."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from dataflows.state.local.chain import Chain
from dataflows.state.local.disk_space import check_room
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.schema import explained
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.tables import Tables
from dataflows.state.local.write_batch import Staged, StagedBlob, StagedRow
from dataflows.state.remote.garbage_collection import is_whole
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import Change, End, LogRecord, Run, log_name
from dataflows.state.states import pointed, unpacked
from schemas.errors import StateError


class ReplaySegment(NamedTuple):
    """A run, and how many commits of each member count; none are given where it only begins."""

    run: Run
    committed_lengths: Sequence[int]


class Follower:
    """Writes to an open file what the bucket has beyond it. The file's lock is the caller's."""

    def __init__(self, store: SqliteShardStore, objects: StoredObjects) -> None:
        """Create a follower; `store` is the file of the bucket's store."""
        self.store = store
        self.objects = objects

    def catch_up(self, segments: Sequence[ReplaySegment], base: str) -> None:
        """Bring the file to the end of the last segment, by logs, by copies where they are gone.

        `base` is the copy of what there was before run 1.

        Raises:
            StateError: an object is missing, damaged or another store's.
        """
        for number, (run, lengths) in enumerate(segments):
            at = self.store.tables.bucket_run()
            if run.number > at:
                if number == 0:
                    self.restore_before(run, base)
                self.enter(run)
                if number == 0 and is_whole(self.objects, run):
                    self.restore_members(run)
            for member, end in enumerate(lengths):
                self.follow(run, member, end)

    def restore_before(self, run: Run, base: str) -> None:
        """Put back what there was before the first run, if a file begins with that."""
        if run.number == 1 and base:
            self.restore_base(base)

    def restore_members(self, run: Run) -> None:
        """Put back copies of all members of a run: whatever there was before it is in them."""
        for member in range(run.members):
            self.restore_member(run, member)

    def enter(self, run: Run) -> None:
        """Enter a run at its beginning: changes that its shards don't resume from are discarded."""
        begun = pointed(unpacked(run.states))
        with self.transaction() as tables:
            for shard in tables.shards():
                tables.forget(shard, begun.get(shard, -1))
            tables.count(run.sequence, run.commits)
            tables.enter_run(run.number)
            tables.begin(run.generation, run.begun_at)
            if begun:
                tables.confirm()

    def follow(self, run: Run, member: int, end: int) -> None:
        """Write the commits of a member up to number `end`."""
        at = self.store.tables.position(member)
        if at >= end:
            return
        kept = self.objects.numbers(run.number, member)
        if not kept or kept[0] > at + 1:
            at = self.restore_member(run, member)
        for record in self.objects.records(run.number, member, at + 1, end):
            self.check(record, run)
            self.apply(record, run)

    def restore_member(self, run: Run, member: int) -> int:
        """Put back the newest copy of a member; the number of its last commit."""
        copy = self.objects.copy(run.number, member)
        if copy is None:
            name = f"{self.objects.bucket.name}/{log_name(run.number, member, 1)}"
            raise StateError(f"{name}: missing, and there is no copy instead of it; {REMEDY}")
        self.restore(copy)
        with self.transaction() as tables:
            tables.note_position(member, copy.number)
        return copy.number

    def restore_base(self, folder: str) -> None:
        """Put back what there was before the first run, unless all its members have copies."""
        base = self.objects.find(f"{folder}/end", End)
        if base:
            self.restore(base)

    def restore(self, copy: End) -> None:
        """Replace all that the file has of the shards of a copy."""
        with explained(self.store.path):
            check_room(self.store.path.parent, 2 * copy.size_bytes)
        with self.transaction() as tables:
            for shard in copy.shards:
                tables.forget(shard, -1)
            tables.count(copy.sequence, copy.commits)
        for part in self.objects.parts(copy):
            with self.transaction() as tables:
                tables.insert(part.blobs, part.retired, part.floors)

    def check(self, record: LogRecord, run: Run) -> None:
        """Check that an entry is one of this store."""
        if record.store != run.store or record.run != run.number or record.is_fence:
            name = log_name(run.number, record.member, record.number)
            raise StateError(
                f"{self.objects.bucket.name}: {name} is no commit of run {run.number} of store "
                f"{run.store}; restore the bucket, it was overwritten"
            )

    def apply(self, record: LogRecord, run: Run) -> None:
        """Do to the file what the entry's writer did to its own, in one transaction."""
        committed = run.commits + record.number
        with self.transaction() as tables:
            for change in record.changes:
                apply_change(tables, change, record.token, committed)
            tables.count(record.sequence, committed)
            tables.note_position(record.member, record.number)

    @contextmanager
    def transaction(self) -> Iterator[Tables]:
        """All or nothing, without an fsync of its own: after a power cut the bucket is there."""
        store = self.store
        with store.lock, explained(store.path):
            store.database.execute("PRAGMA synchronous = NORMAL")
            try:
                with store.database:
                    store.database.execute("BEGIN IMMEDIATE")
                    yield store.tables
            finally:
                store.database.execute("PRAGMA synchronous = FULL")


def apply_change(tables: Tables, change: Change, token: str, committed: int) -> None:
    """Add the changes of a commit in a shard, and remove what they made obsolete."""
    tables.forget(change.shard, change.previous)
    if not change.blobs:
        return
    chain = Chain(tables.links(change.shard), tables.floor(change.shard))
    staged = Staged()
    staged.blobs[change.shard] = [StagedBlob(*blob) for blob in change.blobs]
    staged.rows[change.shard] = [StagedRow(*row) for row in change.rows]
    tables.write(staged, token, committed)
    after = chain.after([(sequence, base) for sequence, base, _ in change.blobs])
    tables.prune([(change.shard, chain.kept, after)])
