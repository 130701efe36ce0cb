"""A state in one sentence, before `ordertide track --begin-anew` discards it."""

from pathlib import Path

import msgspec

from broker.generations import offsets_text
from commands.state.files import open_files
from commands.state.inspect import inspect
from dataflows.source_task import SourceTaskState
from dataflows.state.states import EVENTS
from schemas.instants import format_instant
from schemas.settings.model import Settings


def describe(settings: Settings, path: Path) -> str:
    """The state in the file `path`: how many orders, since when, how far it has read.

    Raises:
        StateError: the files can't be read.
    """
    with open_files(settings, path) as files:
        view, meta = inspect(files, is_quick=False), files.reader.meta
        rows = files.recovery.taken if files.recovery else []
    tasks = [
        msgspec.msgpack.decode(r.state, type=SourceTaskState)
        for r in rows
        if r.step == EVENTS
        if r.state
    ]
    positions = {p: at.position for task in tasks for p, at in task.partitions.items()}
    since = f" since {format_instant(meta.begun_at)}" if meta.begun_at else ""
    read = f"read up to {offsets_text(positions)}" if positions else "no positions"
    return (
        f"generation {max(meta.generation, 0)} in {path}, kept{since}: {view.live or 0:,} "
        f"live and {view.retired:,} retired orders, {read}"
    )
