"""The implementations that the contract of the tiers is run against, and what may differ."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.hot.redis import HotSettings, RedisTier, connect, connect_cluster
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Tier
from storage_tiering.warm.elastic.access import connect as connect_elasticsearch
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier

Expires = Literal["orders", "periods", "never"]


@dataclass
class TierKind:
    """One implementation. `open` opens the same store again each time it is called."""

    name: str
    open: Callable[[], Tier]
    expires: Expires
    drops_retired: bool
    survives_closing: bool = True
    notes_offsets: bool = True  # False: the sealed files hold them


def memory_kind() -> TierKind:
    return TierKind("memory", MemoryTier, "orders", drops_retired=True, survives_closing=False)


def redis_kind(url: str, prefix: str, name: str = "redis") -> TierKind:
    settings = HotSettings(prefix=prefix, safety_ttl_ms=None)

    def open_tier() -> Tier:
        return RedisTier(connect(url), settings)

    return TierKind(name, open_tier, "orders", drops_retired=True)


def redis_cluster_kind(url: str, prefix: str) -> TierKind:
    settings = HotSettings(prefix=prefix, safety_ttl_ms=None)

    def open_tier() -> Tier:
        return RedisTier(connect_cluster(url), settings)

    return TierKind("redis-cluster", open_tier, "orders", drops_retired=True)


def sqlite_kind(folder: Path) -> TierKind:
    return TierKind("sqlite", lambda: SqliteTier(folder), "periods", drops_retired=False)


def elasticsearch_kind(url: str, prefix: str) -> TierKind:
    def open_tier() -> Tier:
        return ElasticTier(connect_elasticsearch(url), prefix)

    return TierKind("elasticsearch", open_tier, "periods", drops_retired=False)


def parquet_kind(folder: Path) -> TierKind:
    def open_tier() -> Tier:
        return ParquetTier(LocalFiles(folder), ArchiveSettings(seal_age_s=None))

    return TierKind("parquet", open_tier, "never", drops_retired=False, notes_offsets=False)


def parquet_hdfs_kind(place: HdfsPlace) -> TierKind:
    def open_tier() -> Tier:
        return ParquetTier(HdfsFiles(place), ArchiveSettings(seal_age_s=None))

    return TierKind("parquet-hdfs", open_tier, "never", drops_retired=False, notes_offsets=False)


class OpenTier:
    """A tier under test: what is written is made durable, so that `find` sees it."""

    def __init__(self, kind: TierKind) -> None:
        self.kind = kind
        self.tier = kind.open()

    def reopen(self) -> None:
        self.tier.close()
        self.tier = self.kind.open()


@contextmanager
def opened(kind: TierKind) -> Iterator[OpenTier]:
    under_test = OpenTier(kind)
    try:
        yield under_test
    finally:
        under_test.tier.close()
