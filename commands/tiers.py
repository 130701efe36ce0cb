"""The three tiers, opened by the settings; hottest first."""

from collections.abc import Callable
from pathlib import Path

from schemas.instants import SECOND_MS, parse_duration
from schemas.settings import Settings
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.tier import Tier
from storage_tiering.warm.sqlite import SqliteTier


def open_hot(settings: Settings) -> Tier:
    """Redis; nothing is asked of it yet."""
    keep_ms = parse_duration(settings.hot.keep, of="hot.keep")
    # The clock of recorded history has nothing to do with the one by which Redis would expire.
    ttl_ms = None if settings.track.clock == "recorded" else HotSettings().safety_ttl_ms
    prefix = f"{settings.hot.prefix}:"
    hot = HotSettings(prefix=prefix, keep_ms=keep_ms, safety_ttl_ms=ttl_ms)
    return RedisTier(connect(settings.hot.url), hot)


def open_warm(settings: Settings) -> Tier:
    """A folder with a SQLite file per month."""
    return SqliteTier(
        Path(settings.warm.folder), parse_duration(settings.warm.keep, of="warm.keep")
    )


def open_archive(settings: Settings) -> Tier:
    """A folder of Parquet files."""
    seal_age_s = parse_duration(settings.archive.seal_after, of="archive.seal_after") / SECOND_MS
    archive = ArchiveSettings(seal_rows=settings.archive.seal_rows, seal_age_s=seal_age_s)
    return ParquetTier(LocalFiles(Path(settings.archive.folder)), archive)


TIERS: dict[str, Callable[[Settings], Tier]] = {
    "hot": open_hot,
    "warm": open_warm,
    "archive": open_archive,
}


def writer_group(tier: str) -> str:
    """The consumer group of a tier's writers."""
    return f"ordertide-write-{tier}"


def written_tiers(settings: Settings) -> dict[str, Tier]:
    """The tiers for reading. One whose folder was never made is left out: asking makes nothing."""
    folders = {"warm": settings.warm.folder, "archive": settings.archive.folder}
    return {
        name: build(settings)
        for name, build in TIERS.items()
        if name not in folders or Path(folders[name]).is_dir()
    }
