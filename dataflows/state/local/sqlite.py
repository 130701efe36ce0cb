"""The shard store in one SQLite file, for the worker processes of one host.

Several share it as members: each stages and commits the shards that live in it, in transactions of
its own. Their sequences are apart by `MEMBERS`, so that no two give the same number; all begin
after the highest that was stored.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import RLock

from dataflows.state.local.base_scheduler import BaseTurns
from dataflows.state.local.chain import KEPT_COMMITS, BlobInfo, Chain, Retention, links_to
from dataflows.state.local.disk_space import check_room, explained_room
from dataflows.state.local.frame import FrameIdentity, compress, frame, unframe
from dataflows.state.local.lock import ProcessLock
from dataflows.state.local.schema import connect, explained, prepare, set_limit
from dataflows.state.local.tables import Tables
from dataflows.state.local.write_batch import Staged, StagedBlob, StagedRow
from dataflows.state.store import Pointer, Summary, check_store
from schemas.errors import StateError
from schemas.private_files import private_folder

KEYS_A_PAGE = 1_000
MEMBERS = 16  # at most; a sequence modulo this is its member's number


class SqliteShardStore:
    """A ShardStore in the file `path`, locked through `path`.lock while it is open.

    A commit is one SQLite transaction in WAL mode with synchronous=FULL: one fsync, whatever the
    number of shards. Never put the file on a network disk: locks and fsync don't hold there.
    """

    def __init__(
        self,
        path: Path,
        shards: int,
        *,
        max_size_bytes: int | None = None,
        member: int | None = None,
        is_locked: bool = False,
    ) -> None:
        """Open the file, or create it for `shards` shards; over `max_size_bytes` it is full.

        As a `member` it takes no lock: the process that started the members holds it for them.
        `is_locked`: the caller holds it.

        Raises:
            StateError: the file is in use, foreign, damaged, or made for another `shards`.
            StoreFull: there is no room to create it.
        """
        self.path = path
        self.lock = RLock()
        self.staged = Staged()
        self.chains: dict[str, Chain] = {}
        self.turns = BaseTurns()
        self.run = secrets.token_hex(4)
        with explained_room(path.parent):
            private_folder(path.parent)
            check_room(path.parent, 0)
            self.process_lock: ProcessLock | None = None
            if member is None and not is_locked:
                self.process_lock = ProcessLock(path.with_name(f"{path.name}.lock"), path)
        try:
            with explained_room(path.parent), explained(path):
                self.database = connect(path)
                self.meta = prepare(self.database, path, shards)
                set_limit(self.database, max_size_bytes)
        except BaseException:
            self.close()
            raise
        self.tables = Tables(self.database)
        self.sequence = self.meta.sequence
        self.barriers = 0  # of this run
        self.is_resumed = False
        self.step = 1
        if member is not None:
            self.step = MEMBERS
            self.sequence += (member - self.sequence) % MEMBERS

    @property
    def generation(self) -> int:
        return max(self.meta.generation, 0)

    def begin(self, generation: int, begun_at: int) -> None:
        """Store durably that a flow begins with this file, in this generation, at `begun_at` ms."""
        with self.lock, explained(self.path):
            with self.database:
                self.database.execute("BEGIN IMMEDIATE")
                self.tables.begin(generation, begun_at)
            self.meta.generation, self.meta.begun_at = generation, begun_at

    def name_key_file(self, key_file: str) -> None:
        """Store durably the id of the key file under which personal data is sealed."""
        if key_file != self.meta.key_file:
            with self.lock, explained(self.path):
                self.tables.name_key_file(key_file)
            self.meta.key_file = key_file

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        with self.lock, explained(self.path):
            self.staged.drop(shard)
            self.turns.leave(shard)
            self.chains.pop(shard, None)
            if pointer is None:
                self._forget(shard, beyond=-1)
                self.chains[shard] = Chain()
                return []
            check_store(pointer, self.meta.store, shard, str(self.path))
            self.is_resumed = True
            floor = self.tables.floor(shard)
            links = links_to(pointer, self.tables.links(shard), floor, shard)
            blobs = self._blobs(shard, links)
            self._forget(shard, beyond=pointer.sequence)
            self.chains[shard] = Chain(links, floor)
            return blobs

    def _blobs(self, shard: str, links: Sequence[BlobInfo]) -> list[bytes]:
        """The bytes of the latest base among `links` and of what follows it."""
        base = max(link.sequence for link in links if link.base)
        return [
            unframe(stored, FrameIdentity(self.meta.store, shard, sequence, run))
            for sequence, run, stored in self.tables.blobs(shard, base, links[-1].sequence)
        ]

    def _forget(self, shard: str, *, beyond: int) -> None:
        """Remove what a shard stored after sequence `beyond`; not on the disk when this returns.

        A crash may bring it back, and the next opening removes it again: with an fsync for each of
        128 shards a restart after a kill took a second longer. The next commit's fsync covers it.
        """
        if not self.tables.holds_beyond(shard, beyond):
            return
        self.database.execute("PRAGMA synchronous = NORMAL")
        try:
            with self.database as database:
                database.execute("BEGIN IMMEDIATE")
                self.tables.forget(shard, beyond)
        finally:
            self.database.execute("PRAGMA synchronous = FULL")

    def stage(
        self,
        shard: str,
        blob: bytes,
        *,
        base: bool,
        retired: Sequence[tuple[str, bytes | None]] = (),
    ) -> Pointer:
        codec, payload = compress(blob)  # outside the lock: zstd lets other threads run
        with self.lock:
            self._chain(shard).check_base(shard, base=base)
            self.sequence += self.step
            frame_id = FrameIdentity(self.meta.store, shard, self.sequence, self.run)
            stored = frame(codec, payload, frame_id)
            rows = [self._row(shard, key, value) for key, value in dict(retired).items()]
            self.staged.add(shard, StagedBlob(self.sequence, base, stored), rows)
            self._chain(shard).grow(len(stored), base=base)
            if base:
                self.turns.wrote(shard, len(stored))
            return Pointer(self.meta.store, self.run, self.sequence)

    def _chain(self, shard: str) -> Chain:
        if shard not in self.chains:
            raise StateError(f"shard {shard}: not open in {self.path}; open it first")
        return self.chains[shard]

    def _row(self, shard: str, key: str, value: bytes | None) -> StagedRow:
        """A row to stage under the present sequence."""
        if value is None:
            return StagedRow(key, self.sequence, None)
        frame_id = FrameIdentity(self.meta.store, shard, self.sequence, key, is_retired=True)
        return StagedRow(key, self.sequence, frame(*compress(value), frame_id))

    def wants_base(self, shard: str) -> bool:
        with self.lock:
            return self._chain(shard).may_write_base(shard, self.turns)

    def retired(self, shard: str, key: str) -> bytes | None:
        with self.lock, explained(self.path):
            row = self.staged.row(shard, key) or self.tables.retired_row(shard, key)
        if row is None or row.stored is None:
            return None
        return unframe(
            row.stored, FrameIdentity(self.meta.store, shard, row.sequence, key, is_retired=True)
        )

    def retired_keys(self, shard: str) -> Iterator[str]:
        after: str | None = ""
        while after is not None:
            keys, after = self._page(shard, after)
            yield from keys

    def _page(self, shard: str, after: str) -> tuple[list[str], str | None]:
        """(sorted keys of retired orders after `after`; start of the next page or None)."""
        with self.lock, explained(self.path):
            stored = dict(self.tables.retired_keys(shard, after, KEYS_A_PAGE))
            end = max(stored) if len(stored) == KEYS_A_PAGE else None
            staged = {
                key: row.stored is not None
                for key, row in self.staged.latest.get(shard, {}).items()
                if key > after and (end is None or key <= end)
            }
        return sorted(key for key, is_there in {**stored, **staged}.items() if is_there), end

    def commit(self) -> None:
        with self.lock, explained(self.path):
            # Twice: in the log and in the file. Without blobs too: bytewax is going to write.
            check_room(self.path.parent, 2 * self.staged.size_bytes)
            self._confirm()
            if not self.staged.blobs:
                return
            committed = self.meta.commits + 1
            kept = {
                shard: self.chains[shard].after(self.staged.order(shard))
                for shard in self.staged.blobs
            }
            with self.database:
                self.database.execute("BEGIN IMMEDIATE")
                self._write(kept, committed)
            self.meta.commits = committed
            self.turns.end_epoch()
            self.staged = Staged()
            for shard, outlook in kept.items():
                self.chains[shard].kept = outlook

    def _confirm(self) -> None:
        """Store once that a resume has a pointer, so that one without any is a loss.

        bytewax records an epoch while a later one runs, at most KEPT_COMMITS behind. Until then a
        resume without pointers is a crash in the first epochs, and loses nothing.
        """
        if self.meta.confirmed:
            return
        self.barriers += 1
        if self.is_resumed or self.barriers > KEPT_COMMITS:
            self.tables.confirm()
            self.meta.confirmed = 1

    def _write(self, kept: Mapping[str, Retention], committed: int) -> None:
        """Write a commit, inside its transaction."""
        self.tables.write(self.staged, self.run, committed)
        self.tables.count(self.sequence, committed)
        self.tables.prune(
            (shard, self.chains[shard].kept, outlook) for shard, outlook in kept.items()
        )

    def note(self, step: str, key: str, state: bytes, batches: int = 0) -> None:
        """Nothing to do: bytewax's own files lie beside this one."""

    def inspect(self) -> Summary:
        files = [self.path, self.path.with_name(f"{self.path.name}-wal")]
        with self.lock, explained(self.path):
            return Summary(
                store=self.meta.store,
                layout=self.meta.layout,
                shards=self.meta.shards,
                sequence=self.sequence,
                size_bytes=sum(file.stat().st_size for file in files if file.exists()),
                held=self.tables.summary(),
            )

    def close(self) -> None:
        with self.lock:
            if hasattr(self, "database"):
                self.database.close()
            if self.process_lock:
                self.process_lock.release()
