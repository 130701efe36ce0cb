"""Supervision of `ordertide track` with several workers: a process each.

bytewax's workers are threads of a process or processes of a cluster; threads share one interpreter
and gain nothing in Python. The processes share the state file: each stages and commits its own
shards, and after a stop any of them can open any shard, so that their number may change between
runs. A process that ends takes the others with it, as bytewax can't continue with a part; they are
restarted together, from the last epoch that all of them had ended. Each verifies the fencing
token of its run before it flushes (broker.fence): one that was paused during a takeover ends.
"""

import logging
import math
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from confluent_kafka import KafkaException

from broker.backoff import Backoff
from broker.clients import Admin
from broker.connect import Connection
from broker.fence import fence_writers
from broker.interrupts import STOPPING
from broker.lease import RunLease
from dataflows.state.local.lock import ProcessLock
from schemas.errors import Busy, OrdertideError, StateError
from telemetry.child_process import start_child
from telemetry.screen import show

LOGGER = logging.getLogger("ordertide.track")
LOOK_EVERY_S = 0.1
# From SIGTERM: time for the epoch to close, the broker's answer included.
END_WITHIN_S = 60.0
# bytewax notices a dead peer within a second where it does; one that hangs in a barrier may not.
FOLLOW_WITHIN_S = 3.0
# From SIGTERM: members that still run then are killed where the broker doesn't answer either.
STUCK_AFTER_S, ANSWER_WITHIN_S = 2.0, 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
RAN_WELL_S = 60.0  # after so long the next failure is a new one, not the same again
OUR_ERROR = 2  # the exit code of what starting again doesn't mend: settings, state
RUN_AGAIN = 1  # the exit code of what starting again mends
FENCED = 3  # the exit code of a worker that another run has replaced
LAST_LINES = 5
LOCK_PATIENCE_S = 5.0  # the members of a run that was killed have to notice it


class Member(msgspec.Struct, frozen=True):
    """One process of a cluster: its number, the host:port of all of them, and the state's lock.

    `lock` is the descriptor of the lock on the state, inherited from the supervisor: as long as one
    member is left, no other process gets it. `run` is the number of the run in the bucket,
    `worker` that of the process on its host, `token` the fencing token of the run.
    """

    index: int
    addresses: list[str]
    lock: int
    worker: int = 0
    run: int = 0
    token: int = 0


class RunResult(NamedTuple):
    """Result of a run of the cluster: the exit code, and a sentence."""

    code: int
    reason: str


class Cluster:
    """The processes of one run, from `start` to the end of the `with`."""

    def __init__(self, command: Sequence[str]) -> None:
        """Create a cluster without processes; `command` runs a member, its options added."""
        self.command = command
        self.numbers: list[int] = []
        self.members: list[subprocess.Popen[bytes]] = []
        self.stderr_tails: list[StderrTail] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, members: Sequence[Member]) -> None:
        """Start a process for each."""
        for member in members:
            process = start_child(
                [*self.command, "--member", msgspec.json.encode(member).decode()],
                stderr=subprocess.PIPE,
                keeps=[member.lock],
            )
            self.numbers.append(member.index)
            self.members.append(process)
            self.stderr_tails.append(StderrTail(process))

    def tell(self, number: int) -> None:
        """Send a signal to all that run."""
        for member in self.running():
            member.send_signal(number)

    def running(self) -> list[subprocess.Popen[bytes]]:
        """Those that have not ended."""
        return [member for member in self.members if member.poll() is None]

    def wait(self, watch: Callable[[], None]) -> RunResult:
        """Until the first has ended, and the others with it; `watch` is called in between."""
        while len(self.running()) == len(self.members):
            watch()
            time.sleep(LOOK_EVERY_S)
        is_clean = all(member.poll() in {None, 0} for member in self.members)
        give_up_at_s = time.monotonic() + (END_WITHIN_S if is_clean else FOLLOW_WITHIN_S)
        while self.running() and time.monotonic() < give_up_at_s:
            if is_clean:
                watch()  # the last epoch is flushed under the lease as well
            time.sleep(LOOK_EVERY_S)
        ended = self.result()
        self.kill()
        return ended

    def result(self) -> RunResult:
        """Result of the run by the members that have ended by themselves."""
        codes = {index: member.poll() for index, member in enumerate(self.members)}
        failed = {index: code for index, code in codes.items() if code}
        if not failed:
            left = [self.numbers[index] for index, code in codes.items() if code is None]
            reason = f"member {left[0]} did not end with the others" if left else ""
            return RunResult(int(bool(left)), reason)
        # A killed member is the cause; those that broke off for want of it are effects.
        index = min(failed, key=lambda each: (rank_of(failed[each]), each))
        code, number = failed[index], self.numbers[index]
        if code < 0:
            return RunResult(1, f"member {number} was killed ({signal.Signals(-code).name})")
        last_output = self.stderr_tails[index].last_output()
        return RunResult(
            code, f"member {number} ended with exit code {code}, and last said: {last_output}"
        )

    def kill(self) -> None:
        """Leave nothing running."""
        for member in self.members:
            member.kill()  # does nothing to one that has ended
            member.wait()


def rank_of(code: int) -> int:
    """The place of an exit code among several: what a new start doesn't mend explains the most."""
    if code in {OUR_ERROR, FENCED}:
        return [OUR_ERROR, FENCED].index(code)
    return 2 if code < 0 else 3


class StderrTail:
    """Hands on what a process writes to its standard error, and keeps the last lines."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Start to read at once, in a thread."""
        if process.stderr is None:
            raise AssertionError("a member is started with a pipe")
        self.source = process.stderr
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self.thread = threading.Thread(target=self.listen, name="stderr tail", daemon=True)
        self.thread.start()

    def listen(self) -> None:
        """Until the process has ended."""
        for line in self.source:
            text = line.decode(errors="replace")
            # A worker whose peer has ended already panics in bytewax: no news once all shall end.
            if not STOPPING.is_set():
                show(text.rstrip("\n"), err=True)
            if text.strip():
                self.lines.append(text.strip())

    def last_output(self) -> str:
        """The last lines of a process that has ended."""
        self.thread.join(LOOK_EVERY_S)
        return " | ".join(self.lines) or "nothing"


def supervise(run: Callable[[], RunResult], stopping: threading.Event) -> None:
    """Run again and again until stopped, with growing pauses where it fails.

    Raises:
        ClusterEnded: for a reason that a restart doesn't mend.
    """
    backoff = Backoff(LONGEST_PAUSE_S, FIRST_PAUSE_S)
    while not stopping.is_set():
        began_s = time.monotonic()
        ended = run()
        is_final = ended.code in {OUR_ERROR, FENCED}
        if stopping.is_set() and not is_final:
            return
        if is_final:
            raise ClusterEnded(f"track: {ended.reason}")
        if ended.code == 0 or time.monotonic() - began_s > RAN_WELL_S:
            backoff.reset()
        pause_s = backoff.next_s()
        LOGGER.error("track: %s; restarting all workers in %.1f s", ended.reason, pause_s)
        stopping.wait(pause_s)


def local_run(
    command: Sequence[str],
    members: Sequence[Member],
    stopping: threading.Event,
    watch: Callable[[], None],
    is_silent: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Run members that are all on this host, until they end or are stopped.

    `watch` is called ten times a second; what it raises ends the cluster at once. Members that
    don't stop are killed where `is_silent` finds the broker unavailable.
    """
    with Cluster(command) as cluster:
        cluster.start(members)
        return cluster.wait(StopSignal(stopping, cluster, watch, is_silent))


def local_members(workers: int, lock: ProcessLock, token: int, run: int = 0) -> list[Member]:
    """So many processes, on addresses that are free."""
    addresses = free_addresses(workers)
    return [
        Member(n, addresses, lock.descriptor, worker=n, run=run, token=token)
        for n in range(workers)
    ]


def new_token(
    lease: RunLease, connection: Connection, flow: str, stopping: threading.Event
) -> int | None:
    """The fencing token of the next run of `flow`; None if stopped.

    From then on no worker of an earlier run writes anything.

    Raises:
        LeaseLost: another run has taken over.
    """
    while not stopping.is_set():
        try:
            token = lease.begin_run()
            fence_writers(connection, flow, stopping.is_set)
        except Busy as busy:
            LOGGER.debug("%s", busy)
            stopping.wait(busy.retry_after_s)
        else:
            return token
    return None


def confirm(lease: RunLease) -> None:
    """Verify the lease; while the broker is unavailable no other run gets it either.

    Raises:
        LeaseLost: another run has taken over.
    """
    with suppress(Busy):
        lease.verify()


class ClusterEnded(OrdertideError):
    """A member ended for a reason that it has logged."""


class StopSignal:
    """Stop of the members once this process is stopped; watches until they have ended.

    A member can wait in librdkafka, where no signal reaches it, for a broker that is unavailable.
    Killing it loses nothing: its epoch doesn't count without the broker.
    """

    def __init__(
        self,
        stopping: threading.Event,
        cluster: Cluster,
        watch: Callable[[], None],
        is_silent: Callable[[], bool],
    ) -> None:
        """Create it; see `local_run`."""
        self.stopping = stopping
        self.cluster = cluster
        self.watch = watch
        self.is_silent = is_silent
        self.kill_at_s = math.inf

    def __call__(self) -> None:
        """Signal, and watch; kill members that are stuck."""
        if self.stopping.is_set():
            self.cluster.tell(signal.SIGTERM)
            now_s = time.monotonic()
            if self.kill_at_s == math.inf:
                self.kill_at_s = now_s + STUCK_AFTER_S
            elif now_s > self.kill_at_s:
                self.kill_at_s = now_s + STUCK_AFTER_S
                if self.is_silent():
                    self.cluster.kill()
        self.watch()


def is_silent(connection: Connection) -> bool:
    """Return True if the broker doesn't answer within a second."""
    with Admin(connection.config("admin")) as admin:
        try:
            admin.client.list_topics(timeout=ANSWER_WITHIN_S)
        except KafkaException:
            return True
    return False


def free_addresses(count: int) -> list[str]:
    """Free addresses on loopback: bytewax's exchange must not be reachable from elsewhere."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(f"127.0.0.1:{listener.getsockname()[1]}")
    return found


def lock_state(path: Path, stopping: Callable[[], bool]) -> ProcessLock:
    """Take the lock on the state file `path`; members of a killed run are waited for.

    Raises:
        StateError: another process holds it and keeps it.
    """
    give_up_at_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return ProcessLock(path.with_name(f"{path.name}.lock"), path)
        except StateError:
            if stopping() or time.monotonic() > give_up_at_s:
                raise
            time.sleep(LOOK_EVERY_S)
