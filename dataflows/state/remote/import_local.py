"""A store begins in a bucket: with what an older version left there, or this host's files hold."""

from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.local.place import Place, make_file, remove
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.pointers import check_files, states_in
from dataflows.state.remote.checkpoints import Upload
from dataflows.state.remote.log import OWNER, Journal, TakenOver
from dataflows.state.remote.one_log import (
    OldLog,
    drop_log,
    end_log,
    keep_older_away,
    old_owner,
    read_log,
)
from dataflows.state.remote.records import FORMAT, Owner, sealed
from dataflows.state.states import States, packed


def publish(journal: Journal, place: Place) -> Owner:
    """Begin a store in the bucket, with what it holds in format 1 or what the file holds already.

    Raises:
        StateError: another process has just done so; or the file has no recovery folder.
    """
    old = old_owner(journal)
    log = end_log(journal, old) if old else None
    if old and log:
        fill_from_old(journal, place, old.store, old.shards, log)
    store = SqliteShardStore(place.path, place.shards, member=0)
    try:
        meta = store.meta
        states = recovered(place, store) if meta.commits else {}
    finally:
        store.close()
    base = ""
    if meta.commits:
        base = Upload(journal, place.path).make("full/000001/base", None, 0, packed(states)).folder
    owner = Owner(FORMAT, meta.store, meta.shards, base, max(meta.generation, 0))
    if not journal.create(OWNER, sealed(OWNER, owner)):
        raise TakenOver(f"{journal.bucket.name}: another process has just begun it")
    if log:
        drop_log(journal, log)
    else:
        keep_older_away(journal, meta.store, meta.shards)
    return owner


def fill_from_old(journal: Journal, place: Place, store: str, shards: int, log: OldLog) -> OldLog:
    """Make the files of a log of format 1; what this host had goes, it is in the log."""
    remove(place.path)
    make_file(place.path, store, shards)
    file = SqliteShardStore(place.path, shards, member=0)
    try:
        read_log(journal, log, file, place.recovery)
    finally:
        file.close()
    return log


def recovered(place: Place, store: SqliteShardStore) -> States:
    """States that bytewax would resume with by the recovery folder of this host.

    Raises:
        StateError: it is missing, can't be read, or has no pointers into the file.
    """
    check_files(store, place)
    return states_in(read_recovery(place.recovery))
