"""The files of a shard store, opened together so that they are of the same moment."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from dataflows.state.bytewax_recovery import Recovery, read_recovery
from dataflows.state.local.chain import BlobInfo
from dataflows.state.local.lock import owner
from dataflows.state.local.reader import StateReader
from dataflows.state.states import SHARDED, StepState, decode_state
from schemas.errors import StateError
from schemas.settings.model import Settings

STORE, RECOVERY = "shards.sqlite", "recovery"

TRIES = 5

Item = TypeVar("Item")


class StateFiles(NamedTuple):
    """A store with bytewax's pointers into it; without a recovery folder there are none.

    `in_use_by` is the id of the process that holds the store, None if none does.
    """

    reader: StateReader
    recovery: Recovery | None
    in_use_by: str | None

    def states(self) -> dict[str, StepState]:
        """States that bytewax would give back to each shard, by the shard's name."""
        return states_of(self.recovery)

    def resumed(self, shard: str) -> Sequence[BlobInfo]:
        """The links of a shard up to its pointer, all of them without one."""
        state = self.states().get(shard)
        held = self.reader.held(shard).links
        return [link for link in held if state is None or link.sequence <= state.pointer.sequence]


@contextmanager
def open_files(settings: Settings, store: Path | None) -> Iterator[StateFiles]:
    """The store that the settings name, or the file `store`.

    Raises:
        StateError: there is none, or it can't be read.
    """
    path = store or Path(settings.track.folder) / STORE
    used_by = owner(path.with_name(f"{path.name}.lock"))
    try:
        reader, recovery = open_together(path)
    except StateError as error:
        if used_by:
            raise StateError(f"{error} (process {used_by} has it open)") from error
        raise
    try:
        yield StateFiles(reader, recovery, used_by)
    finally:
        reader.close()


def open_together(path: Path) -> tuple[StateReader, Recovery | None]:
    """The store and the pointers into it.

    The pointers are read first: what they name is in the store by then, and stays for three more
    commits. A flow in a hurry may have made these, then both are opened again.
    """
    folder = path.parent / RECOVERY
    recovery: Recovery | None = None
    for _ in range(TRIES):
        recovery = read_recovery(folder) if folder.exists() else None
        reader = StateReader(path)
        if not has_moved_on(reader, recovery):
            return reader, recovery
        reader.close()
    # Too slow: the pointers are old ones, and the caller must see it.
    return StateReader(path), recovery


def has_moved_on(reader: StateReader, recovery: Recovery | None) -> bool:
    """Return True if the store no longer holds what some pointer names."""
    states = states_of(recovery).values()
    try:
        return any(state.pointer.sequence < reader.floor(state.name) for state in states)
    except StateError:
        return False  # damage: the next reader raises it


def states_of(recovery: Recovery | None) -> dict[str, StepState]:
    """States that bytewax would give back to each shard, by the shard's name."""
    rows = recovery.taken if recovery else []
    states = [decode_state(row.state) for row in rows if row.step in SHARDED and row.state]
    return {state.name: state for state in states}


def shown(items: Iterable[Item], label: str, count: int) -> Iterator[Item]:
    """The items, with a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, length=count, label=label, file=sys.stderr) as bar:
        yield from bar
