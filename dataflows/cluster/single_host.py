"""Several workers of one host: who begins their runs, and has the lease and the lock."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from broker.lease import RunLease
from dataflows.cluster.begin_anew import Launch, Start, prepare_bucket, prepare_folder
from dataflows.cluster.open_store import STORE, Waits, objects_of, state_files
from dataflows.cluster.supervisor import (
    Member,
    RunResult,
    confirm,
    is_silent,
    local_members,
    local_run,
    lock_state,
    new_token,
    supervise,
)
from dataflows.state.local.lock import ProcessLock
from dataflows.state.remote.run_start import Plan, begin_run
from dataflows.track import recovery
from schemas.private_files import private_folder


def run_local_workers(launch: Launch) -> None:
    """Run the dataflow in several processes, and watch them.

    Raises:
        OrdertideError: the settings, the state or the broker can't be used.
    """
    settings, connection, stop = launch.settings, launch.connection, launch.stop
    folder = Path(settings.track.folder)
    private_folder(folder)
    lock = lock_state(folder / STORE, stop.is_set)
    try:
        begin = prepare_folder_state if settings.state.store == "folder" else prepare_bucket_state
        with ExitStack() as stack:
            # With a bucket another host may resume: there a run that ends has to leave.
            name = lock.name if settings.state.store == "folder" else None
            group = settings.track.group
            lease = RunLease(connection, group, instance=name, stopping=stop.is_set)
            verify = stack.enter_context(lease).verify
            begun = begin(launch.start(verify), stop, lock)
            token = partial(new_token, lease, connection, group, stop)
            silent = partial(is_silent, connection)
            supervise(lambda: one_run(launch.command, begun, token, lease, stop, silent), stop)
    finally:
        lock.release()


def one_run(
    command: Sequence[str],
    begun: Callable[[int], list[Member]],
    next_token: Callable[[], int | None],
    lease: RunLease,
    stop: threading.Event,
    silent: Callable[[], bool],
) -> RunResult:
    """Begin a run under a fencing token of its own, and watch it until it ends."""
    token = next_token()
    if token is None:
        return RunResult(0, "stopped")
    return local_run(command, begun(token), stop, lambda: confirm(lease), silent)


def prepare_folder_state(
    start: Start, _: threading.Event, lock: ProcessLock
) -> Callable[[int], list[Member]]:
    """Members that share the state file of this host."""
    track = start.settings.track
    files = state_files(Path(track.folder) / STORE)
    prepare_folder(start, files)
    recovery(files.recovery)
    return lambda token: local_members(track.workers, lock, token)


def prepare_bucket_state(
    start: Start, stop: threading.Event, lock: ProcessLock
) -> Callable[[int], list[Member]]:
    """Members of a new run in the bucket."""
    settings = start.settings
    objects = objects_of(settings.state, stop.is_set, Waits())
    files = state_files(Path(settings.track.folder) / STORE)
    origins = iter([prepare_bucket(start, objects, files)])  # for the first run alone

    def begun(token: int) -> list[Member]:
        plan = Plan(settings.track.workers, token=token)
        run = begin_run(objects, files, plan, next(origins, None))
        return local_members(run.members, lock, token, run.number)

    return begun
