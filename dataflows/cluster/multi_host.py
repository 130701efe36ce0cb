"""One run on many hosts, with its state in a bucket (`ordertide track --hosts`).

Every host has a process that watches its workers. The first host's coordinates: it holds the run
lease, begins the runs, and starts its workers once all hosts have joined. The others participate:
they wait for a run, make their files ready and join it. A run has a fencing token, which each
worker verifies before it flushes. The hosts signal through the bucket (rendezvous.py).

When any process ends, bytewax ends its peers, and all hosts start again with the next run. When
any host is stopped, all end cleanly with the epoch they are in; the first host ends with that, the
others wait for the next run, and the first one waits for a host that has left.

The hosts gather before any worker starts, and not by bytewax's own connecting: a worker that waits
for a peer there takes no signal, so that it could only be killed.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from broker.lease import RunLease
from dataflows.cluster.begin_anew import Launch, prepare_bucket
from dataflows.cluster.open_store import STORE, Waits, objects_of, state_files
from dataflows.cluster.rendezvous import ENDED, READ_EVERY_S, Rendezvous, RunMonitor, joined
from dataflows.cluster.supervisor import (
    END_WITHIN_S,
    LOOK_EVERY_S,
    OUR_ERROR,
    Cluster,
    ClusterEnded,
    Member,
    RunResult,
    confirm,
    lock_state,
    new_token,
    supervise,
)
from dataflows.state.local.lock import ProcessLock
from dataflows.state.local.sqlite import MEMBERS
from dataflows.state.local.state_files import StateFiles
from dataflows.state.remote.log import StoredObjects
from dataflows.state.remote.records import STARTED, Run
from dataflows.state.remote.run_start import Origin, Plan, begin_run, join_run
from schemas.errors import OrdertideError, SettingsError, StateError
from schemas.private_files import private_folder
from schemas.settings.kinds import fault_of_addresses
from schemas.settings.model import Settings

LOGGER = logging.getLogger("ordertide.track")
LOG_AFTER_S = 5.0


class RunOver(OrdertideError):
    """The run ended on another host, or there is a next one."""


class HostContext(NamedTuple):
    """A host's part in its runs. `stop` is set when it is stopped."""

    host: int
    command: Sequence[str]
    objects: StoredObjects
    files: StateFiles
    lock: ProcessLock
    stop: threading.Event


def run_multi_host(launch: Launch) -> None:
    """Take part in runs until stopped.

    Raises:
        OrdertideError: the settings, the state or the broker can't be used.
    """
    settings, connection, stop = launch.settings, launch.connection, launch.stop
    hosts = hosts_of(settings)
    if launch.begin_anew and settings.track.host:
        raise SettingsError(
            f"--begin-anew: this is host {settings.track.host}; give it to host 0, which begins "
            "the runs, and start this one without it"
        )
    path = Path(settings.track.folder) / STORE
    private_folder(path.parent)
    objects = objects_of(settings.state, stop.is_set, Waits())
    objects.owner()  # one try: a wrong setting shows here
    LOGGER.warning(
        "track: personal data is sealed with the key file of the host that reads it; a customer's "
        "key on one host is not the one on another (docs/operations.md, Many hosts)"
    )
    lock = lock_state(path, stop.is_set)
    track = settings.track
    context = HostContext(track.host, launch.command, objects, state_files(path), lock, stop)
    try:
        if track.host:
            participate(context)
            return
        with RunLease(connection, track.group, stopping=stop.is_set) as lease:
            plan = plan_of(hosts, track.workers)
            origin = prepare_bucket(launch.start(lease.verify), objects, context.files)
            origins = iter([origin])  # for the first run alone
            token = partial(new_token, lease, connection, track.group, stop)
            supervise(lambda: coordinate(context, plan, token, lease, next(origins, None)), stop)
    finally:
        lock.release()


def hosts_of(settings: Settings) -> list[str]:
    """The address of each host, if the other settings fit.

    Raises:
        SettingsError: they don't.
    """
    track = settings.track
    if fault := fault_of_addresses(track.hosts or ""):
        raise SettingsError(f"track.hosts: {fault}")
    hosts = [address.strip() for address in (track.hosts or "").split(",")]
    if settings.state.store == "folder":
        raise SettingsError('track.hosts needs the state in a bucket: set state.store = "s3"')
    if track.host >= len(hosts):
        raise SettingsError(
            f"track.host is {track.host}, but track.hosts lists {len(hosts)} hosts; "
            f"use a value from 0 to {len(hosts) - 1}"
        )
    if len(hosts) * track.workers > MEMBERS:
        raise SettingsError(
            f"{len(hosts)} hosts with {track.workers} workers each are more than {MEMBERS}, to "
            "which orders are shared out evenly; set track.workers lower"
        )
    return hosts


def plan_of(hosts: Sequence[str], workers: int) -> Plan:
    """The members of each run."""
    every = addresses(hosts, workers)
    return Plan(len(every), hosts=len(hosts), addresses=every)


def addresses(hosts: Sequence[str], workers: int) -> list[str]:
    """Addresses of each worker's exchange, host by host: the ports after the host's own."""
    found = []
    for host in hosts:
        name, _, port = host.rpartition(":")
        found += [f"{name}:{int(port) + worker}" for worker in range(workers)]
    return found


# ---------------------------------------------------------------- the first host
def coordinate(
    context: HostContext,
    plan: Plan,
    next_token: Callable[[], int | None],
    lease: RunLease,
    anew: Origin | None = None,
) -> RunResult:
    """Begin a run, and run it to its end; with `anew` it begins a new state.

    Raises:
        LeaseLost: another run has the lease.
        TakenOver: another process has begun a run.
    """
    token = next_token()
    if token is None:
        return RunResult(0, "stopped")
    run = begin_run(context.objects, context.files, plan._replace(token=token), anew)
    rendezvous = Rendezvous(context.objects, run, context.host)
    with closing(RunMonitor(rendezvous, context.stop)) as monitor:
        if not wait_for_hosts(context, rendezvous, monitor, lease):
            rendezvous.signal(ENDED, "host 0 was stopped")
            return RunResult(0, monitor.ended.reason if monitor.ended else "stopped")
        rendezvous.signal(STARTED)
        LOGGER.info("track: run %d begins on %d hosts", run.number, run.hosts)
        result = run_host_workers(context, rendezvous, monitor, lambda: confirm(lease))
        if monitor.is_superseded:  # two that lead would go on taking it from each other
            reason = (
                f"another process has begun run {run.number + 1} of this state; stop one of them"
            )
            return RunResult(OUR_ERROR, reason)
        return result


def wait_for_hosts(
    context: HostContext, rendezvous: Rendezvous, monitor: RunMonitor, lease: RunLease
) -> bool:
    """Wait until all hosts have joined.

    False: told to stop, or a host has ended the run already.
    """
    log_at_s = time.monotonic() + LOG_AFTER_S
    while missing := rendezvous.missing():
        if time.monotonic() > log_at_s:
            log_at_s += LOG_AFTER_S
            run = rendezvous.run
            names = ", ".join(f"{host} ({run.addresses[first_of(run, host)]})" for host in missing)
            LOGGER.warning("track: run %d waits for host %s", run.number, names)
        if not sleep_while_leading(context, monitor, lease, READ_EVERY_S):
            return False
    return not context.stop.is_set()


def sleep_while_leading(
    context: HostContext, monitor: RunMonitor, lease: RunLease, pause_s: float
) -> bool:
    """Sleep while verifying the lease; False once the run is not to be waited for any more."""
    until_s = time.monotonic() + pause_s
    while time.monotonic() < until_s:
        confirm(lease)
        if context.stop.wait(LOOK_EVERY_S) or monitor.ended:
            return False
    return not context.stop.is_set()


# ---------------------------------------------------------------- the other hosts
def participate(context: HostContext) -> None:
    """Take part in run after run of the first host, until stopped.

    Raises:
        ClusterEnded: a worker ended for a reason that a new run doesn't mend.
    """
    known = 0
    while run := next_run(context, known):
        known = run.number
        rendezvous = Rendezvous(context.objects, run, context.host)
        try:
            result = join(context, rendezvous)
        except StateError:
            if max(context.objects.runs()) == known:
                raise
            result = RunResult(0, "a later one begun while this host made its files ready")
        if result.code == OUR_ERROR and not rendezvous.is_superseded():
            raise ClusterEnded(f"track: {result.reason}")
        if not context.stop.is_set():
            LOGGER.warning("track: run %d is over (%s); waiting for the next", known, result.reason)


def next_run(context: HostContext, known: int) -> Run | None:
    """The newest run after `known`, once there is one that is not over; None if stopped."""
    while not context.stop.is_set():
        newest = max(context.objects.runs(), default=0)
        if newest > known:
            run = context.objects.run(newest)
            rendezvous = Rendezvous(context.objects, run, context.host)
            if run.hosts > context.host and not rendezvous.get(ENDED):
                return run
        context.stop.wait(READ_EVERY_S)
    return None


def join(context: HostContext, rendezvous: Rendezvous) -> RunResult:
    """Take part in a run from its beginning to its end."""
    if rendezvous.get(joined(context.host)):
        rendezvous.signal(ENDED, f"host {context.host} was started anew", is_clean=False)
        return RunResult(0, "it had begun without this process")
    join_run(context.objects, context.files, rendezvous.run)
    rendezvous.join()
    with closing(RunMonitor(rendezvous, context.stop)) as monitor:
        while not rendezvous.get(STARTED):
            if context.stop.wait(READ_EVERY_S) or monitor.ended or monitor.is_superseded:
                if context.stop.is_set():
                    rendezvous.signal(ENDED, f"host {context.host} was stopped")
                return RunResult(0, "it did not begin")
        return run_host_workers(context, rendezvous, monitor)


# ---------------------------------------------------------------- the workers of a host
def no_watch() -> None:
    """For hosts without the lease."""


def run_host_workers(
    context: HostContext,
    rendezvous: Rendezvous,
    monitor: RunMonitor,
    watch: Callable[[], None] = no_watch,
) -> RunResult:
    """Run this host's workers to the end of the run, and signal the result to the other hosts.

    `watch` is called ten times a second; what it raises ends the workers at once.
    """
    try:
        with Cluster(context.command) as cluster:
            cluster.start(members_of(context, rendezvous.run))
            result = cluster.wait(WorkerTick(context, cluster, monitor, watch))
    except RunOver as over:
        result = RunResult(1, str(over))
    rendezvous.signal(ENDED, result.reason, is_clean=result.code == 0)
    first = rendezvous.get(ENDED)
    if first and first.host != context.host and first.reason not in result.reason:
        return RunResult(
            result.code, f"host {first.host}: {first.reason}; here: {result.reason or 'end'}"
        )
    return result


class WorkerTick:
    """Forwards a stop or the end of the run to the workers, each time it is called."""

    def __init__(
        self, context: HostContext, cluster: Cluster, monitor: RunMonitor, watch: Callable[[], None]
    ) -> None:
        """Create the tick of `run_host_workers`."""
        self.context = context
        self.cluster = cluster
        self.monitor = monitor
        self.watch = watch
        self.give_up_at_s = math.inf

    def __call__(self) -> None:
        """Check once.

        Raises:
            RunOver: the workers have to end at once.
            OrdertideError: the bucket can't be read any more, or the lease is lost.
        """
        self.check()
        is_ending = self.monitor.ended or self.context.stop.is_set()
        if is_ending and self.give_up_at_s == math.inf:
            # Once: a second one kills a worker that has ended its part and is about to exit.
            self.give_up_at_s = time.monotonic() + END_WITHIN_S
            self.cluster.tell(signal.SIGTERM)
        self.watch()

    def check(self) -> None:
        """Check that there is no reason to end at once."""
        monitor = self.monitor
        if monitor.failed:
            raise monitor.failed
        if monitor.is_superseded:
            raise RunOver("there is a next run")
        if monitor.ended and not monitor.ended.is_clean:
            raise RunOver(f"host {monitor.ended.host}: {monitor.ended.reason}")
        # bytewax waits for ever for a peer that is cut off without a word.
        if time.monotonic() > self.give_up_at_s:
            raise RunOver(f"the epoch did not end within {END_WITHIN_S:.0f} s")


def members_of(context: HostContext, run: Run) -> list[Member]:
    """The workers on this host."""
    first, count = first_of(run, context.host), run.members // run.hosts
    return [
        Member(
            first + n,
            run.addresses,
            context.lock.descriptor,
            worker=n,
            run=run.number,
            token=run.fencing_token,
        )
        for n in range(count)
    ]


def first_of(run: Run, host: int) -> int:
    """The number of the first worker on a host."""
    return host * (run.members // run.hosts)
