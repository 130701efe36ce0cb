"""The shard store of `ordertide track`, by the settings."""

import logging
from collections.abc import Callable
from pathlib import Path

from dataflows.cluster.begin_anew import Start, prepare_bucket, prepare_folder
from dataflows.cluster.supervisor import Member
from dataflows.core.routing import SHARDS
from dataflows.state.local.disk_space import explained_room
from dataflows.state.local.lock import ProcessLock
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles
from dataflows.state.remote.bucket import Bucket, Patience
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.run_start import Plan, begin_run
from dataflows.state.remote.store import ObjectShardStore
from schemas.settings.model import StateSettings

STORE = "shards.sqlite"
LOGGER = logging.getLogger("ordertide.track")


class Waits:
    """Logs that the bucket gave no answer, and calls `on_wait` each time.

    `on_wait` does nothing until it is set: a store is opened before there are metrics.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.on_wait = on_wait

    def __call__(self, reason: str) -> None:
        """Report another try."""
        LOGGER.warning("%s; waiting for it", reason)
        self.on_wait()


def open_store(
    start: Start, stopping: Callable[[], bool], waits: Callable[[str], None], member: Member | None
) -> SqliteShardStore:
    """Open the store in the folder, and in the bucket if the settings name one.

    `waits` is called with the reason whenever the bucket is unavailable. A caller that is no
    `member` of a run begun elsewhere prepares the state and begins its own run, with the run lease
    and the lock on the file.

    Raises:
        StateError: the state is damaged, in use, another's, lost, or older than its published
        orders. SettingsError: the bucket can't be used.
        Busy: the bucket was unavailable until the stop, or at the first request.
    """
    settings = start.settings
    files = state_files(Path(settings.track.folder) / STORE)
    if settings.state.store == "folder":
        if member is None:
            prepare_folder(start, files)
            return SqliteShardStore(files.path, files.shards, is_locked=True)
        return SqliteShardStore(files.path, files.shards, member=member.index)
    objects = objects_of(settings.state, stopping, waits)
    if member:
        run = objects.run(member.run)
        return ObjectShardStore(files.path, objects, files.shards, run, member.index)
    anew = prepare_bucket(start, objects, files)
    run = begin_run(objects, files, Plan(members=1), anew)
    return ObjectShardStore(files.path, objects, files.shards, run)


def lock_of(path: Path) -> ProcessLock:
    """Lock on a state file.

    Raises:
        StateError: another process has it.
        StoreFull: there is no room for it.
    """
    with explained_room(path.parent):
        return ProcessLock(path.with_name(f"{path.name}.lock"), path)


def state_files(path: Path) -> StateFiles:
    """The files of this host."""
    return StateFiles(path, path.with_name("recovery"), len(SHARDS))


def objects_of(
    settings: StateSettings, stopping: Callable[[], bool], waits: Callable[[str], None]
) -> StoredObjects:
    """The objects of the store.

    Raises:
        SettingsError: no bucket is named, or the client isn't installed.
    """
    return StoredObjects(bucket_of(settings), Patience(stopping, waits))


def bucket_of(settings: StateSettings) -> Bucket:
    """Bucket of the store's objects.

    Raises:
        SettingsError: no bucket is named, or the client isn't installed.
    """
    return Bucket(settings, "000")
