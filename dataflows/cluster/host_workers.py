"""A host's part in a run on many hosts: its workers, from the run's beginning to its end."""

import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dataflows.cluster.rendezvous import OVER, Ear, Meeting
from dataflows.cluster.supervisor import END_WITHIN_S, Cluster, Ended, Member
from dataflows.state.local.lock import ProcessLock
from dataflows.state.local.place import Place
from dataflows.state.remote.log import Journal
from dataflows.state.remote.records import Run
from schemas.errors import OrdertideError


class RunOver(OrdertideError):
    """The run ended on another host, or there is a next one."""


class Part(NamedTuple):
    """A host's part in its runs. `stop` is set when it is stopped."""

    host: int
    command: Sequence[str]
    journal: Journal
    place: Place
    lock: ProcessLock
    stop: threading.Event


def no_watch() -> None:
    """For hosts without the lease."""


def take_part(
    part: Part, meeting: Meeting, ear: Ear, watch: Callable[[], None] = no_watch
) -> Ended:
    """Run this host's workers until the run is over, and signal its end to the others.

    `watch` is called ten times a second; what it raises ends the workers at once.
    """
    try:
        with Cluster(part.command) as cluster:
            cluster.start(members_of(part, meeting.run))
            ended = cluster.wait(Look(part, cluster, ear, watch))
    except RunOver as over:
        ended = Ended(1, str(over))
    meeting.say(OVER, ended.reason, is_clean=ended.code == 0)
    first = meeting.heard(OVER)
    if first and first.host != part.host and first.reason not in ended.reason:
        return Ended(
            ended.code, f"host {first.host}: {first.reason}; here: {ended.reason or 'end'}"
        )
    return ended


class Look:
    """Tick of the workers: passes signals on to them, each time it is called."""

    def __init__(self, part: Part, cluster: Cluster, ear: Ear, watch: Callable[[], None]) -> None:
        """Create it; see `take_part`."""
        self.part = part
        self.cluster = cluster
        self.ear = ear
        self.watch = watch
        self.give_up_at_s = math.inf

    def __call__(self) -> None:
        """Run one tick.

        Raises:
            RunOver: the workers have to end at once.
            OrdertideError: the other hosts are unreachable, or the lease is lost.
        """
        self.check()
        is_ending = self.ear.over or self.part.stop.is_set()
        if is_ending and self.give_up_at_s == math.inf:
            # Once: a second one kills a worker that has ended its part and is about to exit.
            self.give_up_at_s = time.monotonic() + END_WITHIN_S
            self.cluster.tell(signal.SIGTERM)
        self.watch()

    def check(self) -> None:
        """Check that there is no reason to end at once."""
        ear = self.ear
        if ear.failed:
            raise ear.failed
        if ear.is_superseded:
            raise RunOver("there is a next run")
        if ear.over and not ear.over.is_clean:
            raise RunOver(f"host {ear.over.host}: {ear.over.reason}")
        # bytewax waits for ever for a peer that is cut off without a word.
        if time.monotonic() > self.give_up_at_s:
            raise RunOver(f"the epoch did not end within {END_WITHIN_S:.0f} s")


def members_of(part: Part, run: Run) -> list[Member]:
    """The workers on this host."""
    first, count = first_of(run, part.host), run.members // run.hosts
    return [
        Member(
            first + n,
            run.addresses,
            part.lock.descriptor,
            worker=n,
            run=run.number,
            token=run.fencing_token,
        )
        for n in range(count)
    ]


def first_of(run: Run, host: int) -> int:
    """The number of the first worker on a host."""
    return host * (run.members // run.hosts)
