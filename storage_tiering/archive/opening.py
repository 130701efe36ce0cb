"""The archive, opened by the settings: in a local folder or on HDFS."""

from pathlib import Path

from schemas.errors import SettingsError
from schemas.instants import SECOND_MS, parse_duration
from schemas.settings.model import Settings
from storage_tiering.archive.compaction import Compaction, CompactionSettings
from storage_tiering.archive.files import ArchiveFiles, LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier


def open_archive(settings: Settings) -> ParquetTier:
    """A folder of Parquet files, here or on HDFS; nothing is queried yet."""
    seal_age_s = parse_duration(settings.archive.seal_after, of="archive.seal_after") / SECOND_MS
    archive = ArchiveSettings(seal_rows=settings.archive.seal_rows, seal_age_s=seal_age_s)
    return ParquetTier(archive_files(settings), archive)


def open_compaction(settings: Settings) -> Compaction:
    """The compaction of the archive, with clients of its own; nothing is queried yet."""
    text = settings.archive.keep_replaced
    keep_s = parse_duration(text, of="archive.keep_replaced") / SECOND_MS
    return open_archive(settings).compaction(CompactionSettings(keep_s=keep_s))


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
        from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(f"archive.webhdfs: {error}; pip install 'ordertide[hdfs]'") from error
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
