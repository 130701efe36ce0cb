"""`ordertide track` with several workers: a process each, and one that starts and watches them all.

bytewax's workers are threads of a process or processes of a cluster; threads share one interpreter
and gain nothing in Python. The processes share the state file: each stages and commits its own
shards, and after a stop any of them can open any shard, so that their number may change between
runs. A process that ends takes the others with it, as bytewax can't go on with a part; they are
started again together, from the last epoch that all of them had ended.
"""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from commands.grant import stamp
from dataflows.state.lock import ProcessLock
from schemas.errors import OrdertideError, StateError

LOGGER = logging.getLogger("ordertide.track")
LOOK_EVERY_S = 0.1
# From SIGTERM: time for the epoch to close, the broker's answer included.
END_WITHIN_S = 60.0
# bytewax notices a dead peer within a second where it does; one that hangs in a barrier may not.
FOLLOW_WITHIN_S = 3.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
RAN_WELL_S = 60.0  # after so long the next failure is a new one, not the same again
OUR_ERROR = 2  # the exit code of what starting again doesn't mend: settings, state, a lost lease
LOCK_PATIENCE_S = 5.0  # the members of a run that was killed have to notice it


class Member(msgspec.Struct, frozen=True):
    """One process of a cluster: its number, the host:port of all of them, and the state's lock.

    `lock` is the descriptor of the lock on the state, inherited from the process that watches: as
    long as one member is left, nobody else gets it.
    """

    index: int
    addresses: list[str]
    lock: int


class Ended(NamedTuple):
    """How a run of the cluster ended: the exit code, and a sentence."""

    code: int
    reason: str


class Cluster:
    """The processes of one run, from `start` to the end of the `with`."""

    def __init__(self, command: Sequence[str], workers: int, lock: ProcessLock) -> None:
        """`command` runs a member once its own options are added; nothing is started yet."""
        self.command = command
        self.workers = workers
        self.lock = lock
        self.members: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, addresses: list[str]) -> None:
        """Start a process for each address."""
        for index in range(self.workers):
            member = Member(index, addresses, self.lock.descriptor)
            # Its standard input ends when we do, however we do.
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*self.command, "--member", msgspec.json.encode(member).decode()],
                stdin=subprocess.PIPE,
                bufsize=0,
                pass_fds=[member.lock],
            )
            self.members.append(process)
            os.set_blocking(stdin_of(process), False)

    def grant(self, at_s: float) -> None:
        """Tell all that run that the lease was ours at `at_s` (see commands.grant)."""
        for member in self.running():
            # One that is held has a full pipe, and stays without; one that has ended needs none.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(stdin_of(member), stamp(at_s))

    def tell(self, number: int) -> None:
        """Send a signal to all that run."""
        for member in self.running():
            member.send_signal(number)

    def running(self) -> list[subprocess.Popen[bytes]]:
        """Those that have not ended."""
        return [member for member in self.members if member.poll() is None]

    def wait(self, watch: Callable[[], None]) -> Ended:
        """Until the first has ended, and the others with it; `watch` is called in between."""
        while len(self.running()) == self.workers:
            watch()
            time.sleep(LOOK_EVERY_S)
        is_clean = all(member.poll() in {None, 0} for member in self.members)
        give_up_at_s = time.monotonic() + (END_WITHIN_S if is_clean else FOLLOW_WITHIN_S)
        while self.running() and time.monotonic() < give_up_at_s:
            if is_clean:
                watch()  # the last epoch is flushed under the lease as well
            time.sleep(LOOK_EVERY_S)
        ended = self.judged()
        self.kill()
        return ended

    def judged(self) -> Ended:
        """What the members that have ended by themselves say of the run."""
        codes = {index: member.poll() for index, member in enumerate(self.members)}
        failed = {index: code for index, code in codes.items() if code}
        if not failed:
            left = [index for index, code in codes.items() if code is None]
            reason = f"member {left[0]} did not end with the others" if left else ""
            return Ended(int(bool(left)), reason)
        # A member that was killed says more than those that broke off for want of it.
        index = min(failed, key=lambda each: (failed[each] != OUR_ERROR, failed[each] > 0, each))
        code = failed[index]
        if code < 0:
            name = signal.Signals(-code).name
            return Ended(1, f"member {index} was killed ({name})")
        return Ended(code, f"member {index} ended with exit code {code}; its log says why")

    def kill(self) -> None:
        """Leave nothing running."""
        for member in self.members:
            member.kill()  # does nothing to one that has ended
            member.wait()


def supervise(
    command: Sequence[str],
    workers: int,
    lock: ProcessLock,
    stopping: threading.Event,
    watch: Callable[[], bool],
) -> None:
    """Run the cluster until it is told to stop, starting it again with growing pauses.

    `watch` is called ten times a second: whether the lease is ours. What it raises ends the cluster
    at once.

    Raises:
        ClusterEnded: for a reason that a new start doesn't mend.
    """
    pause_s = FIRST_PAUSE_S
    while not stopping.is_set():
        began_s = time.monotonic()
        with Cluster(command, workers, lock) as cluster:
            cluster.start(free_addresses(workers))
            ended = cluster.wait(lambda: pass_on(stopping, cluster, watch))
        if stopping.is_set() and ended.code != OUR_ERROR:
            return
        if ended.code == OUR_ERROR:
            raise ClusterEnded(f"track: {ended.reason}")
        if time.monotonic() - began_s > RAN_WELL_S:
            pause_s = FIRST_PAUSE_S
        LOGGER.error("track: %s; all are started again in %.1f s", ended.reason, pause_s)
        stopping.wait(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class ClusterEnded(OrdertideError):
    """A member ended for a reason that it has told."""


def pass_on(stopping: threading.Event, cluster: Cluster, watch: Callable[[], bool]) -> None:
    """Let the members know that they shall stop, and that the lease is theirs until they have."""
    if stopping.is_set():
        cluster.tell(signal.SIGTERM)
    asked_at_s = time.monotonic()
    if watch():
        cluster.grant(asked_at_s)


def stdin_of(member: subprocess.Popen[bytes]) -> int:
    """The descriptor that a member's standard input is written to."""
    if member.stdin is None:
        raise AssertionError("a member is started with a pipe")
    return member.stdin.fileno()


def free_addresses(count: int) -> list[str]:
    """Addresses on loopback on which nobody listens: bytewax's exchange is for nobody else."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(f"127.0.0.1:{listener.getsockname()[1]}")
    return found


def lock_state(path: Path, stopping: Callable[[], bool]) -> ProcessLock:
    """The lock on the state file `path`; members of a run that was killed are waited for.

    Raises:
        StateError: somebody has it and keeps it.
    """
    give_up_at_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return ProcessLock(path.with_name(f"{path.name}.lock"), path)
        except StateError:
            if stopping() or time.monotonic() > give_up_at_s:
                raise
            time.sleep(LOOK_EVERY_S)
