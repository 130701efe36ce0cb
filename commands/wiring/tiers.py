"""The three tiers, opened by the settings; hottest first."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from redis import Redis

from schemas.errors import SettingsError
from schemas.instants import SECOND_MS, parse_duration
from schemas.settings.model import Settings
from storage_tiering.archive.files import ArchiveFiles, LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.hot.redis import Access, HotSettings, RedisTier, connect, connect_cluster
from storage_tiering.hot.servers import Cluster
from storage_tiering.tier import Tier
from storage_tiering.warm.sqlite.tier import SqliteTier

if TYPE_CHECKING:
    from storage_tiering.warm.elastic.tier import ElasticTier


def open_hot(settings: Settings) -> Tier:
    """Redis; nothing is queried yet."""
    keep_ms = parse_duration(settings.hot.keep, of="hot.keep")
    # The clock of recorded history has nothing to do with the one by which Redis would expire.
    ttl_ms = None if settings.track.clock == "recorded" else HotSettings().safety_ttl_ms
    hot = HotSettings(
        prefix=f"{settings.hot.prefix}:",
        keep_ms=keep_ms,
        safety_ttl_ms=ttl_ms,
        replicas=settings.hot.replicas,
    )
    return RedisTier(hot_servers(settings), hot)


def hot_servers(settings: Settings, *, timeout_s: float = 5.0) -> "Redis | Cluster":
    """A client of the Redis, or of the cluster, that the settings name."""
    hot = settings.hot
    access = Access(
        user=hot.user,
        password=hot.password,
        ca=hot.ca,
        certificate=hot.certificate,
        key=hot.key,
        timeout_s=timeout_s,
    )
    if hot.cluster:
        return connect_cluster(hot.url, access, other_nodes=hot.nodes)
    return connect(hot.url, access)


def open_warm(settings: Settings) -> Tier:
    """Elasticsearch where its URL is set, else a folder with a SQLite file per month."""
    if settings.warm.url:
        return open_elastic(settings)
    return SqliteTier(
        Path(settings.warm.folder), parse_duration(settings.warm.keep, of="warm.keep")
    )


def open_elastic(settings: Settings, *, timeout_s: float = 30.0) -> "ElasticTier":
    """The warm tier on Elasticsearch; nothing is queried yet.

    Raises:
        SettingsError: no URL, one that can't be used, or its client is not installed.
    """
    warm = settings.warm
    if not warm.url:
        raise SettingsError("warm.url is not set: the warm tier is SQLite and needs nothing")
    try:  # 0.65 s: only where it is used
        from storage_tiering.warm.elastic import access as elastic_access
        from storage_tiering.warm.elastic import tier as elastic
    except ImportError as error:
        raise SettingsError(f"warm.url: {error}; pip install 'ordertide[stack]'") from error
    access = elastic_access.Access(
        api_key=warm.api_key,
        user=warm.user,
        password=warm.password,
        ca=warm.ca,
        timeout_s=timeout_s,
    )
    client = elastic_access.connect(warm.url, access)
    return elastic.ElasticTier(client, warm.prefix, parse_duration(warm.keep, of="warm.keep"))


def open_archive(settings: Settings) -> ParquetTier:
    """A folder of Parquet files, here or on HDFS; nothing is queried yet."""
    seal_age_s = parse_duration(settings.archive.seal_after, of="archive.seal_after") / SECOND_MS
    archive = ArchiveSettings(seal_rows=settings.archive.seal_rows, seal_age_s=seal_age_s)
    return ParquetTier(archive_files(settings), archive)


def archive_files(settings: Settings) -> ArchiveFiles:
    """Files of the archive.

    Raises:
        SettingsError: HDFS without its client, or named by half.
    """
    web, rpc = settings.archive.webhdfs, settings.archive.namenodes
    if not web and not rpc:
        return LocalFiles(Path(settings.archive.folder))
    if not web or not rpc:
        raise SettingsError("archive.webhdfs and archive.namenodes go together: set both")
    if not settings.archive.folder.startswith("/"):
        folder = settings.archive.folder
        raise SettingsError(f"archive.folder: {folder!r} on HDFS has to be absolute: /ordertide")
    try:
        from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace
    except ImportError as error:
        raise SettingsError(f"archive.webhdfs: {error}; pip install 'ordertide[stack]'") from error
    return HdfsFiles(
        HdfsPlace(
            web=listed(web),
            rpc=listed(rpc),
            root=settings.archive.folder,
            user=settings.archive.user,
        )
    )


def listed(addresses: str) -> list[str]:
    """`a:1, b:2` as a list."""
    return [address.strip() for address in addresses.split(",")]


TIERS: dict[str, Callable[[Settings], Tier]] = {
    "hot": open_hot,
    "warm": open_warm,
    "archive": open_archive,
}


def writer_group(tier: str) -> str:
    """The consumer group of a tier's writers."""
    return f"ordertide-write-{tier}"


def written_tiers(settings: Settings, names: Iterable[str] = tuple(TIERS)) -> dict[str, Tier]:
    """The tiers for reading. One whose folder is missing is left out: reading creates nothing."""
    folders = {}
    if not settings.warm.url:
        folders["warm"] = settings.warm.folder
    if not settings.archive.webhdfs:
        folders["archive"] = settings.archive.folder
    return {
        name: TIERS[name](settings)
        for name in names
        if name not in folders or Path(folders[name]).is_dir()
    }
