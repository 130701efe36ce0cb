"""Commit log of the remote state: runs, a log of commits for each member, and full copies.

Theory of operation: the commit protocol
----------------------------------------
The bucket is the truth. A host's SQLite file is a working copy of it, never ahead of it, and can be
rebuilt from it at any time. The protocol needs one guarantee of the object store: of several writes
that create an object of one name, one succeeds and the others are refused (If-None-Match).
`check_create` verifies that at the start of every run.

A log is in one of three states. *Open*: its last object is a commit, and its member may append the
next number. *Fenced*: its last object is a fence record, written by the run that takes over.
Whoever else tries to create that number is refused, stops, and can't have written anything.
*Dropped*: copies hold everything, and only the fence record is left. Fence records are never
deleted: a member that was paused during the takeover tries to write the fence record's number, no
matter how late, and fails.

Who writes what, and in which order:

    1  run start     a fence record in each log of the run before (runs.py)
    2  run start     `runs/N`: the next run, and where it resumes: the newest epoch that all members
                     had committed, with the states that bytewax resumes from (run_start.py)
    3  every host    its file, from what it has, the copies and the logs (follower.py)
    4  every epoch   each member `logs/N/MEMBER/NUMBER`: blobs, retired orders, states (store.py)
    5  every epoch   each member the same as one transaction of its file
    6  seldom        each member `full/N/MEMBER/…`: a copy in parts, `end` last; then the log before
                     it is deleted, but for three commits (checkpoints.py)

A crash leaves, and the next run does:

    between 1 and 2   fenced logs without a next run: that run finds the fence records, adds none,
                      and resumes from the same epoch
    during 2          `runs/N` exists or not; of two hosts that create it, one is refused and stops
    during 3          a file behind the bucket: it catches up from where it is
    during 4          the commit exists or not; without an answer, the member reads it back. An
                      epoch that some members committed and others didn't: the next run resumes from
                      the epoch before, and the surplus is dropped from the files
    between 4 and 5   a file behind the bucket by one commit: it is read back from the log
    during 6          a copy without `end`: it counts for nothing, and the next copy deletes it.
                      With `end` and a log that is not deleted yet: both give the same file

The outputs of an epoch are committed before step 4 (broker/transactions.py), so that after a crash
between the two they are emitted again, with the same ids and versions.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from broker.backoff import Backoff
from dataflows.state.remote.bucket import AlreadyThere, Bucket, Patience
from dataflows.state.remote.records import (
    Content,
    End,
    LogRecord,
    Owner,
    Part,
    Run,
    copy_folder,
    log_folder,
    log_name,
    number_of,
    run_name,
    sealed,
    unsealed,
)
from schemas.errors import Busy, SettingsError, StateError

# Reads that are under way together: 4,000 commits of 20 ms each are read within seconds.
READERS = 16
LONGEST_WAIT_S = 5.0  # an epoch waits for its commit
OWNER = "owner"

Answer = TypeVar("Answer")


class TakenOver(StateError):
    """Another process has written the commit that was ours to write."""


class StoredObjects:
    """Reads and writes the objects of an installation; waits while the object store is away."""

    def __init__(self, bucket: Bucket, patience: Patience) -> None:
        """Create the access to a bucket; `patience` decides when to give up."""
        self.bucket = bucket
        self.patience = patience

    def asked(self, ask: Callable[[], Answer]) -> Answer:
        """Return the answer, however long it takes.

        Raises:
            Busy: stopped.
        """
        backoff = Backoff(LONGEST_WAIT_S)
        while True:
            try:
                return ask()
            except Busy as busy:
                self.patience.wait(busy, backoff.next_s(busy.retry_after_s))

    def find(self, name: str, kind: type[Content]) -> Content | None:
        """An object, if it is there.

        Raises:
            StateError: it is damaged.
        """
        found = self.asked(lambda: self.bucket.read(name))
        return unsealed(name, found, kind) if found else None

    def read(self, name: str, kind: type[Content]) -> Content:
        """An object.

        Raises:
            StateError: it isn't there, or damaged.
        """
        return unsealed(name, self.asked(lambda: self.bucket.read(name)), kind)

    def read_all(self, names: list[str], kind: type[Content]) -> Iterator[Content]:
        """Objects in the order of their names, a few read at the same time."""
        with ThreadPoolExecutor(READERS) as pool:
            for first in range(0, len(names), READERS):
                yield from pool.map(
                    lambda name: self.read(name, kind), names[first : first + READERS]
                )

    def names(self, folder: str) -> list[str]:
        """The names of all objects below `folder`, sorted."""
        return self.asked(lambda: self.bucket.names(folder))

    def owner(self) -> Owner | None:
        """The store's creator; None in an empty bucket. One try: a wrong setting shows here."""
        found = self.bucket.read(OWNER)
        return unsealed(OWNER, found, Owner) if found else None

    def runs(self) -> list[int]:
        """The numbers of all runs that are kept, in order."""
        return [number_of(name) for name in self.names("runs")]

    def run(self, number: int) -> Run:
        """A run.

        Raises:
            StateError: it isn't there, or damaged.
        """
        return self.read(run_name(number), Run)

    def numbers(self, run: int, member: int) -> list[int]:
        """The commits that are kept of a member, in order, its fence record included."""
        return [number_of(name) for name in self.names(log_folder(run, member))]

    def records(self, run: int, member: int, first: int, last: int) -> Iterator[LogRecord]:
        """The commits of these numbers, in order.

        Raises:
            StateError: one is missing or damaged.
        """
        names = [log_name(run, member, number) for number in range(first, last + 1)]
        yield from self.read_all(names, LogRecord)

    def copy(self, run: int, member: int) -> End | None:
        """The newest whole copy of a member."""
        folder = copy_folder(run, member)
        ends = [name for name in self.names(folder) if name.endswith("/end")]
        return self.read(ends[-1], End) if ends else None

    def parts(self, copy: End) -> Iterator[Part]:
        """The parts of a copy.

        Raises:
            StateError: one is missing or damaged.
        """
        yield from self.read_all([f"{copy.folder}/{n:06}" for n in range(copy.parts)], Part)

    def append(self, record: LogRecord) -> int:
        """Store a commit, durable on return; return its size in bytes.

        Raises:
            TakenOver: another process has written this number.
            Busy: stopped while the store was unavailable: it is stored or not.
        """
        name = log_name(record.run, record.member, record.number)
        content = sealed(name, record)
        if not self.create(name, content):
            theirs = self.read(name, LogRecord)
            whose = "this" if theirs.token == record.token else "another"
            raise TakenOver(
                f"{self.bucket.name}: commit {record.number} of member {record.member} was written "
                f"by {whose} process ({theirs.host}, run {theirs.token}); this one has to stop, "
                "and a new one resumes from there"
            )
        return len(content)

    def create(self, name: str, content: bytes) -> bool:
        """Store an object; False if there is another of its name.

        One that got no answer may have arrived: it is ours if it has our bytes.
        """
        try:
            self.asked(lambda: self.bucket.create(name, content))
        except AlreadyThere:
            return self.asked(lambda: self.bucket.read(name)) == content
        return True

    def check_create(self, name: str, content: bytes) -> None:
        """Check that the object store refuses to create the existing `name` again.

        Raises:
            SettingsError: it doesn't, so that two processes could write the same commit.
        """
        try:
            self.asked(lambda: self.bucket.create(name, content))
        except AlreadyThere:
            return
        raise SettingsError(
            f"{self.bucket.name}: {self.bucket.where} ignores If-None-Match, so that two processes "
            "could damage each other's state; name another state.endpoint (AWS, MinIO, Ceph from "
            "version 19 and Garage support it)"
        )

    def remove(self, names: list[str]) -> None:
        """Remove objects."""
        self.asked(lambda: self.bucket.remove(names))
