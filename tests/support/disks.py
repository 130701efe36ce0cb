"""Disks of these tests' shard stores, and their content after a crash."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dataflows.state.local.memory import MemoryShardStore
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles
from dataflows.state.remote.bucket import Bucket
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.run_start import Plan, begin_run
from dataflows.state.remote.store import ObjectShardStore
from dataflows.state.states import TRACK, StepState, encode_state
from dataflows.state.store import Pointer, ShardStore
from schemas.settings.model import StateSettings
from tests.support.s3 import patient

SHARDS = 4


class Disk(Protocol):
    store: ShardStore

    def crash(self) -> ShardStore: ...


class MemoryDisk:
    def __init__(self) -> None:
        self.store: ShardStore = MemoryShardStore(SHARDS)

    def crash(self) -> ShardStore:
        assert isinstance(self.store, MemoryShardStore)
        self.store = self.store.reopened()
        return self.store


class SqliteDisk:
    """Closing a store loses what isn't committed, like a crash; test_kill.py does it for real."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store: ShardStore = SqliteShardStore(path, SHARDS)

    def crash(self) -> ShardStore:
        self.store.close()
        self.store = SqliteShardStore(self.path, SHARDS)
        return self.store


class NotingStore(ObjectShardStore):
    """Notes the state of each shard that is staged, as its step would."""

    batches = 0

    def open(self, shard: str, pointer: Pointer | None) -> list[bytes]:
        blobs = super().open(shard, pointer)
        if pointer:
            self.note(TRACK, shard, encode_state(StepState(shard, pointer, {})))
        return blobs

    def stage(
        self,
        shard: str,
        blob: bytes,
        *,
        base: bool,
        retired: Sequence[tuple[str, bytes | None]] = (),
    ) -> Pointer:
        pointer = super().stage(shard, blob, base=base, retired=retired)
        state = encode_state(StepState(shard, pointer, {}))
        self.note(TRACK, shard, state, self.batches + 1)
        return pointer

    def commit(self) -> None:
        super().commit()
        self.batches += 1


def objects_of(settings: StateSettings) -> StoredObjects:
    return StoredObjects(Bucket(settings, "000"), patient())


def state_files_in(folder: Path, shards: int = SHARDS) -> StateFiles:
    return StateFiles(folder / "shards.sqlite", folder / "recovery", shards)


def object_store(folder: Path, settings: StateSettings, shards: int = SHARDS) -> NotingStore:
    """The store in a bucket, as a host with this folder opens it."""
    objects, place = objects_of(settings), state_files_in(folder, shards)
    run = begin_run(objects, place, Plan(members=1))
    return NotingStore(place.path, objects, shards, run)


class BucketDisk:
    """After a crash the same host resumes, or with `elsewhere` another with an empty folder."""

    def __init__(self, folder: Path, settings: StateSettings, *, elsewhere: bool) -> None:
        self.folder = folder
        self.settings = settings
        self.elsewhere = elsewhere
        self.hosts = 1
        self.store: ShardStore = object_store(folder / "host-1", settings)

    def crash(self) -> ShardStore:
        self.store.close()
        self.hosts += self.elsewhere
        self.store = object_store(self.folder / f"host-{self.hosts}", self.settings)
        return self.store
