"""What the shard stores of these tests lie on, and what is left there after a crash."""

from pathlib import Path
from typing import Protocol

from dataflows.state.memory import MemoryShardStore
from dataflows.state.sqlite import SqliteShardStore
from dataflows.state.store import ShardStore

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
