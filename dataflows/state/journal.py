"""The log of commits in a bucket, and the copies that let its beginning go.

Numbers in the log have no gaps, and an object is created only where there is none: of two processes
that write commit 17, one is told that it is there, and stops. So the log is one line whoever writes
it, without leases or clocks. A process that takes over first writes an entry of its own (a claim):
from then on the one before can add nothing.

What lies before the newest copy goes. A process that slept through that may find its number free
again and write it: what it writes lies before the copy and counts for nobody, and it stops where it
meets the kept log.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from dataflows.state.bucket import AlreadyThere, Bucket, Patience
from dataflows.state.entry import (
    Content,
    End,
    Entry,
    Owner,
    Part,
    copy_name,
    log_name,
    number_of,
    sealed,
    unsealed,
)
from schemas.errors import Busy, SettingsError, StateError

# Reads that are under way together: 4,000 commits of 20 ms each are read within seconds.
READERS = 16
OWNER = "store"

Answer = TypeVar("Answer")


class TakenOver(StateError):
    """Another process has written the commit that was ours to write."""


class Head(NamedTuple):
    """How far a bucket has come: its newest whole copy, and the last number of its log."""

    copy: End | None
    last: int

    @property
    def first(self) -> int:
        """The oldest commit that a state file may have come to, and still go on by the log."""
        return self.copy.number if self.copy else 0


class Journal:
    """Reads and writes the log. Waits as long as the object store gives no answer."""

    def __init__(self, bucket: Bucket, patience: Patience) -> None:
        """`patience` says when to give up."""
        self.bucket = bucket
        self.patience = patience

    def asked(self, ask: Callable[[], Answer]) -> Answer:
        """The answer, however long it takes.

        Raises:
            Busy: told to stop.
        """
        while True:
            try:
                return ask()
            except Busy as busy:
                self.patience.wait(busy)

    def read(self, name: str, kind: type[Content]) -> Content:
        """An object.

        Raises:
            StateError: it isn't there, or damaged.
        """
        return unsealed(name, self.asked(lambda: self.bucket.read(name)), kind)

    def owner(self) -> Owner | None:
        """Who made the store; None in an empty bucket. One try: a wrong setting shows here."""
        found = self.bucket.read(OWNER)
        return unsealed(OWNER, found, Owner) if found else None

    def head(self) -> Head:
        """How far it has come."""
        names = self.asked(lambda: self.bucket.names("copies"))
        ends = [name for name in names if name.endswith("/end")]
        copy = self.read(ends[-1], End) if ends else None
        first = copy.number if copy else 0
        log = [number_of(name) for name in self.asked(lambda: self.bucket.names("log"))]
        return Head(copy, max([first, *log]))

    def entries(self, first: int, last: int) -> Iterator[Entry]:
        """The commits of these numbers, in order.

        Raises:
            StateError: one is missing or damaged.
        """
        yield from self.read_all([log_name(n) for n in range(first, last + 1)], Entry)

    def parts(self, copy: End) -> Iterator[Part]:
        """The parts of a copy.

        Raises:
            StateError: one is missing or damaged.
        """
        folder = copy_name(copy.number, copy.run)
        yield from self.read_all([f"{folder}/{n:06}" for n in range(copy.parts)], Part)

    def read_all(self, names: list[str], kind: type[Content]) -> Iterator[Content]:
        """Objects in the order of their names, a few read at the same time."""
        with ThreadPoolExecutor(READERS) as pool:
            for first in range(0, len(names), READERS):
                yield from pool.map(
                    lambda name: self.read(name, kind), names[first : first + READERS]
                )

    def append(self, entry: Entry) -> int:
        """Store a commit, durable when this returns; its size in bytes.

        Raises:
            TakenOver: another process has written this number.
            Busy: told to stop while there was no answer: it is stored or not.
        """
        name = log_name(entry.number)
        content = sealed(name, entry)
        if not self.create(name, content):
            theirs = self.read(name, Entry)
            whose = "this" if theirs.run == entry.run else "another"
            raise TakenOver(
                f"{self.bucket.name}: commit {entry.number} was written by {whose} process "
                f"({theirs.host}, run {theirs.run}); this one has to stop, and a new one goes on "
                "from there"
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
        """See that the object store refuses to create `name`, which is there, again.

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
            "version 19 and Garage know it)"
        )

    def drop_before(self, copy: End) -> None:
        """Remove what `copy` has made superfluous, and what a process without right has left."""
        kept = copy_name(copy.number, copy.run)
        log = [name for name in self.bucket.names("log") if number_of(name) < copy.number]
        copies = [
            name
            for name in self.bucket.names("copies")
            if number_of(name) <= copy.number and not name.startswith(f"{kept}/")
        ]
        # The end of a copy goes first: one without is no copy.
        copies.sort(key=lambda name: not name.endswith("/end"))
        self.bucket.remove([*copies, *log])
