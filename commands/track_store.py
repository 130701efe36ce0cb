"""The shard store of `ordertide track`, by the settings."""

import logging
from collections.abc import Callable
from pathlib import Path

from commands.cluster import Member, lock_state
from commands.wiring.track_metrics import TrackWatch
from dataflows.core.routing import SHARDS
from dataflows.state.local.place import Place
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.remote.bucket import Bucket, Patience
from dataflows.state.remote.log import Journal
from dataflows.state.remote.run_start import Plan, begin_run
from dataflows.state.remote.store import ObjectShardStore
from schemas.errors import StateError
from schemas.settings.model import Settings, StateSettings

STORE = "shards.sqlite"
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
    member: Member | None,
) -> SqliteShardStore:
    """The store in the file `path`, and in the bucket if the settings name one.

    `waits` is told the reason whenever the bucket gave no answer. Whoever is no `member` of a run
    that somebody else has begun begins its own.

    Raises:
        StateError: the state is damaged, in use or another's.
        SettingsError: the bucket can't be used.
        Busy: the bucket gave no answer until told to stop, or none to the first question.
    """
    if settings.state.store == "folder":
        return SqliteShardStore(path, len(SHARDS), member=member.index if member else None)
    journal = journal_of(settings.state, stopping, waits)
    if member:
        run = journal.run(member.run)
        return ObjectShardStore(path, journal, len(SHARDS), run, member.index)
    lock = lock_state(path, stopping)
    try:
        run = begin_run(journal, place_of(path), Plan(members=1))
        return ObjectShardStore(path, journal, len(SHARDS), run, lock=lock)
    except BaseException:
        lock.release()
        raise


def check_recovery(store: SqliteShardStore, folder: Path) -> None:
    """Refuse to begin anew over state that is there: without its pointers it would be dropped.

    Raises:
        StateError: names both folders and the way out.
    """
    if store.inspect().held and not (folder / "recovery").exists():
        raise StateError(
            f"{folder / 'recovery'} is missing while {folder / 'shards.sqlite'} holds orders: "
            "put the folder back, or move the store away to begin anew"
        )


def place_of(path: Path) -> Place:
    """The files of this host."""
    return Place(path, path.with_name("recovery"), len(SHARDS))


def journal_of(
    settings: StateSettings, stopping: Callable[[], bool], waits: Callable[[str], None]
) -> Journal:
    """The objects of the store.

    Raises:
        SettingsError: no bucket is named, or the client isn't installed.
    """
    return Journal(bucket_of(settings), Patience(stopping, waits))


def bucket_of(settings: StateSettings) -> Bucket:
    """Where the objects of the store lie.

    Raises:
        SettingsError: no bucket is named, or the client isn't installed.
    """
    return Bucket(settings, "000")
