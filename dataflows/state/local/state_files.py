"""Location of a host's state."""

from pathlib import Path
from typing import NamedTuple

from dataflows.state.local.schema import LAYOUT, Meta, connect, create
from schemas.private_files import private_folder


class StateFiles(NamedTuple):
    """A state file on this host, its recovery folder, and the number of shards."""

    path: Path
    recovery: Path
    shards: int


def make_file(path: Path, store: str, shards: int) -> None:
    """An empty file of a store; it appears whole or not at all."""
    fresh = path.with_name(f"{path.name}.fetched")
    private_folder(path.parent)
    remove(fresh)
    database = connect(fresh)
    create(database, Meta(LAYOUT, store, shards, sequence=0, commits=0))
    database.close()  # folds SQLite's log into the file
    fresh.rename(path)


def remove(path: Path) -> None:
    """Remove a state file, with what SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
