"""Garbage collection of the remote state: what a new checkpoint makes obsolete.

Fence records stay for ever (log.py says why): one small object for each member and run.
"""

from collections.abc import Sequence

from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import End, Run, copy_folder, log_name, run_name

# A run may resume at the commit before a member's last (dataflows/state/remote/runs.py): its
# states are in the log. One more, as a run that ends makes a commit without any batch.
KEPT_ENTRIES = 3


def drop_before(objects: StoredObjects, run: Run, member: int, copy: End) -> None:
    """Remove what a member's new copy has made obsolete, of earlier runs too."""
    log = [
        log_name(run.number, member, number)
        for number in objects.numbers(run.number, member)
        if number <= copy.number - KEPT_ENTRIES
    ]
    folder = copy_folder(run.number, member)
    older = [name for name in objects.names(folder) if not name.startswith(f"{copy.folder}/")]
    objects.remove([*ends_first(older), *log])
    if is_whole(objects, run):
        drop_runs_before(objects, run)


def is_whole(objects: StoredObjects, run: Run) -> bool:
    """Return True if each member of a run has a copy, so that nothing before that run is needed."""
    names = objects.names(f"full/{run.number:06}")
    folders = {name.rpartition("/")[0].rpartition("/")[0] for name in names if is_end(name)}
    return folders >= {copy_folder(run.number, member) for member in range(run.members)}


def whole_from(objects: StoredObjects, numbers: Sequence[int]) -> int:
    """The newest run that is whole, else the oldest there is."""
    copied = {int(name.split("/")[1]) for name in objects.names("full") if is_end(name)}
    for number in reversed(numbers):
        if number in copied and is_whole(objects, objects.run(number)):
            return number
    return numbers[0]


def drop_runs_before(objects: StoredObjects, run: Run) -> None:
    """Remove earlier runs; of each the object that makes it one goes last."""
    for number in objects.runs():
        if number >= run.number:
            return
        logs = objects.names(f"logs/{number:06}")
        fences = {name.rpartition("/")[0]: name for name in logs}  # the last of each folder
        objects.remove(
            [
                *ends_first(objects.names(f"full/{number:06}")),
                *(name for name in logs if name not in fences.values()),
                *objects.names(f"signals/{number:06}"),
                run_name(number),
            ]
        )
    base = [name for name in objects.names("full/000001") if "/base/" in name]
    objects.remove(ends_first(base))


def is_end(name: str) -> bool:
    """Return True if an object is the last of a copy."""
    return name.endswith("/end")


def ends_first(names: Sequence[str]) -> list[str]:
    """In the order of removal: a copy without its end is no copy."""
    return sorted(names, key=lambda name: not is_end(name))
