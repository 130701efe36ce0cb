"""Pointers into a state file, checked before a flow resumes: a shard without one is emptied."""

from collections.abc import Mapping
from pathlib import Path

from dataflows.state.bytewax_recovery import Recovery, read_recovery
from dataflows.state.local.frame import REMEDY
from dataflows.state.local.schema import explained
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles
from dataflows.state.states import SHARDED, States, StepState, decode_state
from dataflows.state.store import Pointer
from schemas.errors import StateError


def states_in(recovery: Recovery) -> States:
    """States that a resume takes, by step and key."""
    rows = recovery.taken
    return {(row.step, row.key): row.state for row in rows if row.state is not None}


def pointers_in(states: States) -> dict[str, Pointer]:
    """Pointer of each shard, by its name."""
    found: list[StepState] = [
        decode_state(state) for (step, _), state in states.items() if step in SHARDED
    ]
    return {state.name: state.pointer for state in found}


def check_pointers(
    store: SqliteShardStore, pointers: Mapping[str, Pointer], recovery: Path
) -> None:
    """Check that a resume has a pointer for every shard that the file holds something of.

    A file that no resume has had a pointer into yet (a crash in the first epochs) needs none: the
    flow reads the same events again.

    Raises:
        StateError: a shard has none.
    """
    if not store.meta.confirmed:
        return
    held = store.tables.shards()
    lost = [shard for shard in held if shard not in pointers]
    if lost:
        raise StateError(
            f"{recovery}: has no pointer for {len(lost)} of {len(held)} shards that {store.path} "
            f"holds, so their orders would be deleted; "
            f"{REMEDY}"
        )


def check_files(store: SqliteShardStore, files: StateFiles) -> None:
    """Check that the state file and the recovery folder of a host can be resumed together.

    Raises:
        StateError: a part of the recovery folder is missing, damaged or of another state file.
    """
    with explained(files.path):
        if files.recovery.exists():
            pointers = pointers_in(states_in(read_recovery(files.recovery)))
            check_pointers(store, pointers, files.recovery)
            check_owner(store, pointers, files)
        elif store.tables.shards():
            raise StateError(
                f"{files.recovery}: missing, while {files.path} holds orders; put the folder "
                f"back: {REMEDY}"
            )


def check_owner(
    store: SqliteShardStore, pointers: Mapping[str, Pointer], files: StateFiles
) -> None:
    """Check that pointers are into this file.

    Raises:
        StateError: they are into another one.
    """
    foreign = {pointer.store for pointer in pointers.values()} - {store.meta.store}
    if foreign:
        raise StateError(
            f"{files.recovery}: its state lies in store {min(foreign)}, and {files.path} is store "
            f"{store.meta.store}; {REMEDY}"
        )
