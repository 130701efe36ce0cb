"""What the shard stores of these tests lie on, and what is left there after a crash."""

from pathlib import Path
from typing import Protocol

from dataflows.state.bucket import Bucket
from dataflows.state.memory import MemoryShardStore
from dataflows.state.objects import ObjectShardStore
from dataflows.state.sqlite import SqliteShardStore
from dataflows.state.store import ShardStore
from schemas.settings import StateSettings
from tests.s3 import patient

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


def object_store(folder: Path, settings: StateSettings, shards: int = SHARDS) -> ObjectShardStore:
    """The store in a bucket, as a host with this folder opens it."""
    path, recovery = folder / "shards.sqlite", folder / "recovery"
    return ObjectShardStore(path, shards, Bucket(settings, "000"), recovery, patient())


class BucketDisk:
    """After a crash the same host goes on, or with `elsewhere` another with an empty folder."""

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
