"""Resume point between runs.

All members of a run commit each epoch, one after the other, and bytewax begins no epoch before all
have committed the one before it: so their logs end with the same epoch, or some with the next. A
run resumes at the newest epoch that all members have committed; commits of single members beyond it
are discarded.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import FORMAT, LogRecord, Run, log_name, sealed
from dataflows.state.states import States, unpacked

BEGINNING = 0  # the epoch before the first


class ResumePoint(NamedTuple):
    """Resume point of a run: see `Run`."""

    committed_lengths: list[int]
    states: States
    commits: int
    sequence: int


class Successor(NamedTuple):
    """The host and token that take over."""

    token: str
    host: str


def fence(objects: StoredObjects, run: Run, member: int, successor: Successor) -> int:
    """Fence a member of a run; return the number of commits in its log."""
    last = max(objects.numbers(run.number, member), default=0)
    while True:
        if last and objects.read(log_name(run.number, member, last), LogRecord).is_fence:
            return last - 1
        record = LogRecord(
            format=FORMAT,
            store=run.store,
            run=run.number,
            member=member,
            number=last + 1,
            epoch=BEGINNING,
            token=successor.token,
            host=successor.host,
            sequence=run.sequence,
            changes=[],
            states=b"",
            is_fence=True,
        )
        name = log_name(run.number, member, record.number)
        if objects.create(name, sealed(name, record)):
            return last
        last += 1  # its member was still writing, or another process has fenced it


def unfenced(objects: StoredObjects, run: Run, member: int) -> int:
    """Number of commits in the log of a member, without a fence record."""
    last = max(objects.numbers(run.number, member), default=0)
    is_fence = last and objects.read(log_name(run.number, member, last), LogRecord).is_fence
    return last - 1 if is_fence else last


def resume_point_after(objects: StoredObjects, run: Run, lasts: Sequence[int]) -> ResumePoint:
    """Resume point after a run whose logs have `lasts` commits.

    Raises:
        StateError: an object is missing or damaged.
    """
    newest = [record_at(objects, run, member, last) for member, last in enumerate(lasts)]
    epoch = min(record.epoch if record else BEGINNING for record in newest)
    common = [
        up_to(objects, run, member, last, epoch) if epoch else None
        for member, last in enumerate(lasts)
    ]
    states = unpacked(run.states)
    for record in common:
        states.update(unpacked(record.states) if record else {})
    return ResumePoint(
        committed_lengths=[record.number if record else 0 for record in common],
        states=states,
        commits=run.commits + max(lasts),
        sequence=max([run.sequence, *(record.sequence for record in newest if record)]),
    )


def record_at(objects: StoredObjects, run: Run, member: int, number: int) -> LogRecord | None:
    """A commit; None before the first."""
    return objects.read(log_name(run.number, member, number), LogRecord) if number else None


def up_to(objects: StoredObjects, run: Run, member: int, last: int, epoch: int) -> LogRecord | None:
    """The newest commit of a member that is not beyond an epoch: the last, or the one before it."""
    for number in range(last, 0, -1):
        record = record_at(objects, run, member, number)
        if record and record.epoch <= epoch:
            return record
    return None
