"""Start of a run in a bucket: the one before is fenced, and this host's files are made ready.

The caller holds the lock on the state file; no other process has the file open.
"""

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

from dataflows.state.bytewax_recovery_files import write_recovery
from dataflows.state.local.disk_space import explained_room
from dataflows.state.local.schema import explained
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.local.state_files import StateFiles, make_file
from dataflows.state.remote.follower import Follower, ReplaySegment
from dataflows.state.remote.garbage_collection import is_whole, whole_from
from dataflows.state.remote.import_local import publish, refuse_older
from dataflows.state.remote.log import StoredObjects, TakenOver
from dataflows.state.remote.records import (
    FORMAT,
    End,
    Owner,
    Run,
    run_name,
    sealed,
)
from dataflows.state.remote.runs import ResumePoint, Successor, fence, resume_point_after, unfenced
from dataflows.state.states import packed, unpacked
from schemas.errors import StateError
from schemas.private_files import private_folder

# What a run adds to a restore beside its commits: its own object, and a list of each log.
RUN_ENTRIES = 10


class Plan(NamedTuple):
    """Plan of a new run: see `Run`."""

    members: int
    hosts: int = 1
    addresses: Sequence[str] = ()
    token: int = 0


class Before(NamedTuple):
    """The run before: its number, its data for the next, and its generation."""

    run: int
    behind: int
    origin: "Origin"


class Origin(NamedTuple):
    """Beginning of a state: its generation (schemas/versions.py), and the instant in ms."""

    generation: int
    begun_at: int


def begin_run(
    objects: StoredObjects, files: StateFiles, plan: Plan, anew: Origin | None = None
) -> Run:
    """Take the store over, and begin the next run; the files are made ready.

    With `anew` the run begins a new state: the one that the store holds is discarded.

    Raises:
        StateError: the file or the bucket is damaged, or one is not of the other's store.
        TakenOver: another process has begun this run.
        SettingsError: the bucket can't be used with these settings.
        Busy: the object store is unavailable.
    """
    successor = Successor(secrets.token_hex(4), socket.gethostname())
    found = objects.owner()
    owner = found or publish(objects, files, discard_older=anew is not None)
    numbers = objects.runs()
    with following(objects, files, owner) as follower:
        if numbers:
            last = objects.run(numbers[-1])
            lasts = [fence(objects, last, member, successor) for member in range(last.members)]
            point = resume_point_after(objects, last, lasts)
            check_not_ahead(follower, last, lasts, point)
            ends = point.committed_lengths
            follower.catch_up(segments(objects, numbers, follower, ends), owner.base)
            origin = Origin(last.generation, last.begun_at)
            before = Before(last.number, behind_of(objects, last), origin)
        else:
            origin = Origin(owner.generation, follower.store.meta.begun_at)
            point, before = first_resume_point(objects, owner), Before(0, 0, origin)
            if found and owner.base:
                follower.restore_base(owner.base)
        if anew:
            point, before = point._replace(states={}), before._replace(origin=anew)
        run = new_run(owner, successor, plan, point, before)
        create_run(objects, run)
        follower.enter(run)
    write_recovery(files.recovery, point.states)
    if numbers:
        objects.remove(objects.names(f"signals/{numbers[-1]:06}"))
    return run


def join_run(objects: StoredObjects, files: StateFiles, run: Run) -> None:
    """Bring this host's files to the beginning of a run that another host has begun.

    Raises:
        StateError: the file or the bucket is damaged, or one is not of the other's store.
    """
    owner = objects.owner()
    if owner is None:
        raise StateError(f"{objects.bucket.name}: holds a run and no owner; restore its objects")
    numbers = [number for number in objects.runs() if number <= run.number]
    with following(objects, files, owner) as follower:
        follower.catch_up(segments(objects, numbers, follower, ()), owner.base)
    write_recovery(files.recovery, unpacked(run.states))


def fetch_state(objects: StoredObjects, files: StateFiles) -> int:
    """Make the files as the bucket has them; how many commits. The flow may run meanwhile.

    Raises:
        StateError: the bucket holds no state, or something in it is damaged, or was removed while
            it was read.
    """
    owner = objects.owner()
    numbers = objects.runs() if owner else []
    if owner is None or not numbers:
        refuse_older(objects)
        name = objects.bucket.name
        raise StateError(f"{name}: holds no state; correct state.bucket or state.prefix")
    last = objects.run(numbers[-1])
    point = resume_point_after(
        objects, last, [unfenced(objects, last, m) for m in range(last.members)]
    )
    with following(objects, files, owner) as follower:
        follower.catch_up(segments(objects, numbers, follower, point.committed_lengths), owner.base)
    write_recovery(files.recovery, point.states)
    return last.commits + max(point.committed_lengths)


def last_origin(objects: StoredObjects, files: StateFiles) -> Origin | None:
    """Origin of the state that a run would resume, in the bucket or published from this host.

    None where there is no state yet.

    Raises:
        StateError: the file or an object is damaged.
    """
    numbers = objects.runs()
    if numbers:
        last = objects.run(numbers[-1])
        return Origin(last.generation, last.begun_at)
    owner = objects.owner()
    if owner and owner.base:
        return Origin(owner.generation, 0)
    if owner or not files.path.exists():
        return None
    store = SqliteShardStore(files.path, files.shards, member=0)
    try:
        is_begun = store.meta.commits or store.meta.begun_at
        return Origin(store.generation, store.meta.begun_at) if is_begun else None
    finally:
        store.close()


@contextmanager
def following(objects: StoredObjects, files: StateFiles, owner: Owner) -> Iterator[Follower]:
    """The file, made if there is none.

    Raises:
        StateError: it is another store's.
    """
    with explained_room(files.path.parent), explained(files.path):
        private_folder(files.path.parent)
        if not files.path.exists():
            make_file(files.path, owner.store, owner.shards)
    store = SqliteShardStore(files.path, owner.shards, member=0)
    try:
        if store.meta.store != owner.store:
            raise StateError(
                f"{files.path}: is store {store.meta.store}, and {objects.bucket.name} holds store "
                f"{owner.store}; set another state.prefix, or move the file and the recovery "
                "folder away to resume from the bucket"
            )
        yield Follower(store, objects)
    finally:
        store.close()


def segments(
    objects: StoredObjects,
    numbers: Sequence[int],
    follower: Follower,
    committed_lengths: Sequence[int],
) -> list[ReplaySegment]:
    """Segments that a file may replay: from its own run, or the newest that needs no other."""
    first = whole_from(objects, numbers)
    at = follower.store.tables.bucket_run()
    if at in numbers:
        first = max(at, first)
    runs = [*objects.read_all([run_name(n) for n in numbers if n >= first], Run)]
    return [
        *(ReplaySegment(one, two.committed_lengths) for one, two in pairwise(runs)),
        ReplaySegment(runs[-1], committed_lengths),
    ]


def check_not_ahead(
    follower: Follower, last: Run, lasts: Sequence[int], point: ResumePoint
) -> None:
    """Check that the file isn't ahead of the bucket.

    Raises:
        StateError: it is.
    """
    store = follower.store
    at = store.tables.bucket_run()
    is_ahead = at > last.number or store.meta.commits > point.commits
    if at == last.number:
        positions = [store.tables.position(member) for member in range(last.members)]
        is_ahead |= any(had > there for had, there in zip(positions, lasts, strict=True))
    if is_ahead:
        raise StateError(
            f"{store.path}: has commits that {follower.objects.bucket.name} hasn't: the bucket "
            "was rolled back, or the file was used without it; to resume from the bucket, move the "
            "file and the recovery folder away"
        )


def first_resume_point(objects: StoredObjects, owner: Owner) -> ResumePoint:
    """Resume point of the first run."""
    if not owner.base:
        return ResumePoint([], {}, commits=0, sequence=0)
    base = objects.read(f"{owner.base}/end", End)
    return ResumePoint([], unpacked(base.states), base.commits, base.sequence)


def behind_of(objects: StoredObjects, run: Run) -> int:
    """Number of requests that a new host needs for a run and those before it."""
    kept = sum(len(objects.numbers(run.number, member)) for member in range(run.members))
    return kept + RUN_ENTRIES + (0 if is_whole(objects, run) else run.behind)


def new_run(
    owner: Owner, successor: Successor, plan: Plan, point: ResumePoint, before: Before
) -> Run:
    """The object of the next run."""
    return Run(
        format=FORMAT,
        store=owner.store,
        number=before.run + 1,
        token=successor.token,
        host=successor.host,
        members=plan.members,
        committed_lengths=point.committed_lengths,
        sequence=point.sequence,
        commits=point.commits,
        states=packed(point.states),
        hosts=plan.hosts,
        addresses=list(plan.addresses),
        behind=before.behind,
        fencing_token=plan.token,
        generation=before.origin.generation,
        begun_at=before.origin.begun_at,
    )


def create_run(objects: StoredObjects, run: Run) -> None:
    """Begin a run, unless another process has.

    Raises:
        TakenOver: it has.
        SettingsError: the object store would let both.
    """
    name = run_name(run.number)
    content = sealed(name, run)
    is_ours = objects.create(name, content)
    if is_ours:
        objects.check_create(name, content)
    # A process that slept here may find its number free again: obsolete objects are removed.
    if not is_ours or objects.runs()[-1] != run.number:
        raise TakenOver(
            f"{objects.bucket.name}: another process has just begun run {run.number} or a later "
            "one; this one has to stop"
        )
