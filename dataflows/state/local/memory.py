"""The shard store in dictionaries: for tests and for runs that need no recovery."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import RLock

from dataflows.state.local.base_scheduler import BaseTurns
from dataflows.state.local.chain import BlobInfo, Chain, Retention, links_to
from dataflows.state.local.write_batch import Staged, StagedBlob, StagedRow
from dataflows.state.store import Pointer, ShardSummary, Summary, check_store
from schemas.errors import StateError


@dataclass
class Held:
    """Committed blobs of one shard. `retired` has the rows of a key in the order they came."""

    links: list[BlobInfo] = field(default_factory=list)
    blobs: dict[int, bytes] = field(default_factory=dict)
    retired: dict[str, list[StagedRow]] = field(default_factory=dict)
    floor: int = 0

    def up_to(self, sequence: int) -> "Held":
        """A copy as it was at `sequence`."""
        rows = {
            key: [row for row in had if row.sequence <= sequence]
            for key, had in self.retired.items()
        }
        return Held(
            links=[link for link in self.links if link.sequence <= sequence],
            blobs={number: blob for number, blob in self.blobs.items() if number <= sequence},
            retired={key: had for key, had in rows.items() if had},
            floor=self.floor,
        )

    def prune(self, outlook: Retention, keys: set[str]) -> None:
        """Drop blobs that no resume needs, and such rows of retired orders under `keys`."""
        self.floor = outlook.floor
        self.links = [link for link in self.links if link.sequence >= outlook.first]
        self.blobs = {link.sequence: self.blobs[link.sequence] for link in self.links}
        for key in keys:
            seen = [row for row in self.retired[key] if row.sequence <= self.floor]
            del self.retired[key][: max(len(seen) - 1, 0)]


class MemoryShardStore:
    """A ShardStore that lasts as long as its process."""

    def __init__(self, shards: int) -> None:
        """Create an empty store for `shards` shards."""
        self.shards = shards
        self.store = secrets.token_hex(8)
        self.run = secrets.token_hex(4)
        self.lock = RLock()
        self.held: dict[str, Held] = {}
        self.staged = Staged()
        self.chains: dict[str, Chain] = {}
        self.turns = BaseTurns()
        self.sequence = 0
        self.commits = 0

    @property
    def generation(self) -> int:
        return 0

    def reopened(self) -> "MemoryShardStore":
        """The store as a process finds it after this one has crashed: what was committed."""
        with self.lock:
            found = MemoryShardStore(self.shards)
            found.store = self.store
            found.held = {shard: held.up_to(self.sequence) for shard, held in self.held.items()}
            found.sequence = self.sequence
            found.commits = self.commits
            return found

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        with self.lock:
            self.staged.drop(shard)
            self.turns.leave(shard)
            self.chains.pop(shard, None)
            if pointer is None:
                self.held[shard] = Held()
                self.chains[shard] = Chain()
                return []
            check_store(pointer, self.store, shard, "this one in memory")
            held = self.held.get(shard, Held())
            links = links_to(pointer, held.links, held.floor, shard)
            self.held[shard] = held = held.up_to(pointer.sequence)
            self.chains[shard] = Chain(links, held.floor)
            base = max(link.sequence for link in links if link.base)
            return [held.blobs[link.sequence] for link in links if link.sequence >= base]

    def stage(
        self,
        shard: str,
        blob: bytes,
        *,
        base: bool,
        retired: Sequence[tuple[str, bytes | None]] = (),
    ) -> Pointer:
        with self.lock:
            chain = self._chain(shard)
            chain.check_base(shard, base=base)
            self.sequence += 1
            rows = [StagedRow(key, self.sequence, value) for key, value in dict(retired).items()]
            self.staged.add(shard, StagedBlob(self.sequence, base, blob), rows)
            chain.grow(len(blob), base=base)
            if base:
                self.turns.wrote(shard, len(blob))
            return Pointer(self.store, self.run, self.sequence)

    def _chain(self, shard: str) -> Chain:
        if shard not in self.chains:
            raise StateError(f"shard {shard}: not open in this store; open it first")
        return self.chains[shard]

    def wants_base(self, shard: str) -> bool:
        with self.lock:
            return self._chain(shard).may_write_base(shard, self.turns)

    def retired(self, shard: str, key: str) -> bytes | None:
        with self.lock:
            staged = self.staged.row(shard, key)
            if staged is not None:
                return staged.stored
            rows = self.held[shard].retired.get(key) if shard in self.held else None
            return rows[-1].stored if rows else None

    def retired_keys(self, shard: str) -> Iterator[str]:
        with self.lock:
            stored = self.held[shard].retired if shard in self.held else {}
            keys = {*stored, *self.staged.latest.get(shard, {})}
            found = sorted(key for key in keys if self.retired(shard, key) is not None)
        yield from found

    def commit(self) -> None:
        with self.lock:
            if not self.staged.blobs:
                return
            self.commits += 1
            for shard, blobs in self.staged.blobs.items():
                self._keep(shard, blobs, self.staged.rows.get(shard, []))
            self.staged = Staged()
            self.turns.end_epoch()

    def _keep(self, shard: str, blobs: list[StagedBlob], rows: list[StagedRow]) -> None:
        """Move what a shard has staged to what is held."""
        held, chain = self.held[shard], self.chains[shard]
        for blob in blobs:
            size_bytes = len(blob.stored)
            held.links.append(
                BlobInfo(blob.sequence, self.run, self.commits, blob.base, size_bytes)
            )
            held.blobs[blob.sequence] = blob.stored
        for row in rows:
            held.retired.setdefault(row.key, []).append(row)
        chain.kept = chain.after([(blob.sequence, blob.base) for blob in blobs])
        held.prune(chain.kept, {row.key for row in rows})

    def note(self, step: str, key: str, state: bytes, batches: int = 0) -> None:
        """Nothing to do: it lasts as long as the process."""

    def inspect(self) -> Summary:
        with self.lock:
            return Summary(
                store=self.store,
                layout=0,
                shards=self.shards,
                sequence=self.sequence,
                size_bytes=sum(held.blob_bytes for held in self._held()),
                held=self._held(),
            )

    def _held(self) -> list[ShardSummary]:
        return [
            ShardSummary(
                shard=shard,
                oldest=held.floor,
                latest=held.links[-1].sequence,
                blobs=len(held.links),
                blob_bytes=sum(link.size_bytes for link in held.links),
                retired_rows=sum(map(len, held.retired.values())),
            )
            for shard, held in sorted(self.held.items())
            if held.links
        ]

    def close(self) -> None:
        with self.lock:
            self.staged = Staged()
            self.chains.clear()
