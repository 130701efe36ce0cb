"""Beginning of a store in an empty bucket, with what this host's files hold, if anything."""

from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles
from dataflows.state.pointers import check_files, states_in
from dataflows.state.remote.checkpoints import Upload
from dataflows.state.remote.log import OWNER, StoredObjects, TakenOver
from dataflows.state.remote.records import FORMAT, Owner, sealed
from dataflows.state.states import States, packed
from schemas.errors import StateError

# Objects of the format before this one: one log, for one process.
OLDER_OBJECT, OLDER_FOLDERS = "store", ("log/", "copies/")


def publish(objects: StoredObjects, files: StateFiles, *, discard_older: bool = False) -> Owner:
    """Begin a store in the bucket, with what the file holds already.

    Raises:
        StateError: the bucket holds state of an older version, and it is not to be discarded; or
            the file has no recovery folder.
        TakenOver: another process has just done so.
    """
    older = older_objects(objects)
    if older and not discard_older:
        raise refused(objects)
    store = SqliteShardStore(files.path, files.shards, member=0)
    try:
        meta = store.meta
        states = recovered(files, store) if meta.commits else {}
    finally:
        store.close()
    base = ""
    if meta.commits:
        base = Upload(objects, files.path).make("full/000001/base", None, 0, packed(states)).folder
    owner = Owner(FORMAT, meta.store, meta.shards, base, max(meta.generation, 0))
    if not objects.create(OWNER, sealed(OWNER, owner)):
        raise TakenOver(f"{objects.bucket.name}: another process has just begun it")
    objects.remove(older)
    return owner


def refuse_older(objects: StoredObjects) -> None:
    """Check that the bucket holds no state of an older version.

    Raises:
        StateError: it does.
    """
    if older_objects(objects):
        raise refused(objects)


def older_objects(objects: StoredObjects) -> list[str]:
    """The names of the objects that an older version has left; none in a store of this one."""
    if objects.owner():
        return []
    names = objects.names("")
    return [name for name in names if name == OLDER_OBJECT or name.startswith(OLDER_FOLDERS)]


def refused(objects: StoredObjects) -> StateError:
    """The error for a bucket with state of an older version."""
    return StateError(
        f"{objects.bucket.name}: holds state of an older version (object `{OLDER_OBJECT}`), this "
        f"version reads format {FORMAT}; use the version that wrote it, or {REMEDY}"
    )


def recovered(files: StateFiles, store: SqliteShardStore) -> States:
    """States that bytewax would resume with by the recovery folder of this host.

    Raises:
        StateError: it is missing, can't be read, or has no pointers into the file.
    """
    check_files(store, files)
    return states_in(read_recovery(files.recovery))
