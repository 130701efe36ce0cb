"""The shard store of `ordertide track`, by the settings."""

import logging
from collections.abc import Callable
from pathlib import Path

from commands.track_watch import TrackWatch
from dataflows.core.routing import SHARDS
from dataflows.state.bucket import Bucket, Patience
from dataflows.state.objects import ObjectShardStore
from dataflows.state.sqlite import SqliteShardStore
from schemas.errors import SettingsError
from schemas.settings import Settings, StateSettings

LOGGER = logging.getLogger("ordertide.track")


class Waits:
    """Who is told that the bucket gave no answer; `watch` once there is one."""

    def __init__(self) -> None:
        """Only the log, so far: a store is opened before anybody watches."""
        self.watch: TrackWatch | None = None

    def __call__(self, reason: str) -> None:
        """The bucket is asked again."""
        LOGGER.warning("%s; waiting for it", reason)
        if self.watch:
            self.watch.store_away()


def open_store(
    settings: Settings,
    path: Path,
    stopping: Callable[[], bool],
    waits: Callable[[str], None],
    member: int | None = None,
) -> SqliteShardStore:
    """The store in the file `path`, and in the bucket if the settings name one.

    `waits` is told the reason whenever the bucket gave no answer; `member` is the process's number
    where several share the file.

    Raises:
        StateError: the state is damaged, in use or another's.
        SettingsError: the bucket can't be used.
        Busy: the bucket gave no answer until told to stop, or none to the first question.
    """
    if settings.state.store == "folder":
        return SqliteShardStore(path, len(SHARDS), member=member)
    bucket, patience = bucket_of(settings.state), Patience(stopping, waits)
    return ObjectShardStore(path, len(SHARDS), bucket, path.with_name("recovery"), patience)


def refuse_bucket(settings: Settings) -> None:
    """See that several workers don't keep their state in a bucket.

    Raises:
        SettingsError: they would; their commits go into one file, and its log has one writer.
    """
    if settings.state.store != "folder":
        raise SettingsError(
            f'state.store = "{settings.state.store}" works with one worker, not '
            f'{settings.track.workers}: set track.workers = 1, or state.store = "folder"'
        )


def bucket_of(settings: StateSettings) -> Bucket:
    """Where the objects of the store lie.

    Raises:
        SettingsError: no bucket is named, or the client isn't installed.
    """
    return Bucket(settings, "000")
