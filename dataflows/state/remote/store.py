"""The shard store in a bucket of an S3-compatible object store: any host can resume.

The state file of `SqliteShardStore` stays the working copy: resuming, the retired-order
table and the spreading of bases are the same code. A commit counts once it is an object in the
bucket; only then is it written to the file. A file is therefore never ahead of the bucket, and a
host without one, or with an old one, makes it from copies and the logs after them.

    a run        one object; its processes, on one host or several, are its members
    a commit     one PUT a member, only if there is none of its number: blobs, retired rows, states
    a copy       all shards of a member in parts, beside the flow, when its log has outgrown it
    a restart    a fence record in each log of the run before; a file reads what it lacks, its own
                 host's commits it has; one object for the next run
    a take-over  the same with the newest copies and the logs after them, at most about twice what
                 there is

The logs alone with an index would not do. New orders query the retired-order table, and nearly
always miss: 7 us in the file, 20 ms in a bucket, so an index of all retired orders has to be on the
host anyway. The file is that index, with its clean-up and its tests.

The steps' states are part of every commit. Where a run resumes, its recovery folder is
written from that (dataflows/state/remote/runs.py chooses the epoch).
"""

import socket
from collections.abc import Mapping
from pathlib import Path

from dataflows.state.local.chain import Retention
from dataflows.state.local.disk_space import check_room
from dataflows.state.local.schema import explained
from dataflows.state.local.sqlite import MEMBERS, SqliteShardStore
from dataflows.state.remote.checkpoints import Checkpoints
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import FORMAT, Change, LogRecord, Run
from dataflows.state.states import States, packed
from dataflows.state.store import Pointer

NOTHING = -1  # what comes before the first blob of a shard


class ObjectShardStore(SqliteShardStore):
    """A member's ShardStore in a bucket, with the file `path` as the working copy on its host."""

    def __init__(
        self,
        path: Path,
        objects: StoredObjects,
        shards: int,
        run: Run,
        member: int = 0,
    ) -> None:
        """Open the store as a `member` of `run`, reached by the file; the caller has its lock.

        Raises:
            StateError: the file is damaged or can't be used.
        """
        super().__init__(path, shards, member=member)
        self.objects = objects
        self.in_run = run
        self.meta.generation = run.generation
        self.member = member
        self.number = 0
        self.epoch = 0
        self.states: States = {}
        self.previous: dict[str, int] = {}
        self.meta.commits = run.commits
        self.step = 1 if run.members == 1 else MEMBERS
        self.sequence = run.sequence + (member - run.sequence) % self.step
        self.checkpoints = Checkpoints(objects, path, run, member)

    def note(self, step: str, key: str, state: bytes, batches: int = 0) -> None:
        with self.lock:
            self.states[step, key] = state
            self.epoch = max(self.epoch, batches)

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        with self.lock, explained(self.path):
            blobs = super().open(shard, pointer)
            self.previous[shard] = pointer.sequence if pointer else NOTHING
            return blobs

    def commit(self) -> None:
        with self.lock:
            # Each of several members reports every epoch: the run resumes at one that all have.
            if not self.staged.blobs and self.in_run.members == 1:
                super().commit()  # is there room on the disk?
                return
            check_room(self.path.parent, 2 * self.staged.size_bytes)  # before it is in the bucket
            latest = {shard: blobs[-1].sequence for shard, blobs in self.staged.blobs.items()}
            self.number += 1
            self.meta.commits = self.in_run.commits + self.number - 1
            size_bytes = self.objects.append(self.record())
            super().commit()
            self.previous.update(latest)
            self.checkpoints.committed(size_bytes, list(self.chains))

    def record(self) -> LogRecord:
        """The staged changes as the next entry of the log."""
        return LogRecord(
            format=FORMAT,
            store=self.meta.store,
            run=self.in_run.number,
            member=self.member,
            number=self.number,
            epoch=self.epoch,
            token=self.run,
            host=socket.gethostname(),
            sequence=self.sequence,
            changes=[self.change(shard) for shard in sorted(self.staged.blobs)],
            states=packed(self.states),
        )

    def change(self, shard: str) -> Change:
        """The staged changes of a shard."""
        rows = self.staged.rows.get(shard, [])
        return Change(
            shard,
            self.previous[shard],
            [(blob.sequence, blob.base, blob.stored) for blob in self.staged.blobs[shard]],
            [(row.key, row.sequence, row.stored) for row in rows],
        )

    def _write(self, kept: Mapping[str, Retention], committed: int) -> None:
        super()._write(kept, committed)
        self.tables.note_position(self.member, self.number)

    def close(self) -> None:
        if hasattr(self, "checkpoints"):
            self.checkpoints.close()
        super().close()
