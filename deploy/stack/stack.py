"""The stack as a whole: up, down, and what of it runs."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from deploy.stack.errors import NoAnswer, StackError
from deploy.stack.library import alone
from deploy.stack.programs import require
from deploy.stack.server import Server
from deploy.stack.services import SERVICES, Service, StackFolder

RECORD = "stack.json"
# Generous: on a busy machine with two cores the slowest, Elasticsearch, took 40 s.
ANSWER_TIMEOUT_S = 180.0


class Step(NamedTuple):
    """Step of a service; the last one ends the requested work."""

    service: str
    text: str
    is_last: bool = False


OnStep = Callable[[Step], None]


class ServerState(msgspec.Struct, frozen=True):
    """One server as it is now; `pid` is None where it doesn't run, `trouble` where it answers."""

    service: str
    server: str
    address: str
    pid: int | None
    memory_bytes: int
    trouble: str | None


def up(place: StackFolder, names: Iterable[str], on_step: OnStep) -> None:
    """Start what doesn't run of the named services, side by side, and wait until all answer.

    Raises:
        StackError: for all services that didn't come up; the others run.
    """
    with alone(place.folder):
        services = [SERVICES[name](place) for name in names]
        require(
            program for each in services for server in each.servers for program in server.needs()
        )
        try:
            _for_each(services, _bring_up, on_step)
        finally:
            write_record(place)


def down(place: StackFolder, names: Iterable[str], on_step: OnStep) -> None:
    """End what runs of the named services: what this folder's `up` started, and nothing else."""
    with alone(place.folder):
        try:
            _for_each(list(known(place, names)), _bring_down, on_step)
        finally:
            write_record(place)


def wipe(place: StackFolder, names: Iterable[str]) -> None:
    """Remove the named services' data and logs; the jars that were fetched stay.

    Raises:
        StackError: one of them still runs.
    """
    with alone(place.folder):
        for service in known(place, names):
            if any(server.process() is not None for server in service.servers):
                raise StackError(f"{service.name} still runs: 'ordertide stack down' first")
            shutil.rmtree(place.data(service.name))
            for server in service.servers:
                server.log.unlink(missing_ok=True)


def states(place: StackFolder, names: Iterable[str]) -> list[ServerState]:
    """Every server of the named services that was ever started here, each queried now."""
    pairs = [(service, server) for service in known(place, names) for server in service.servers]
    with ThreadPoolExecutor(max(1, len(pairs))) as threads:
        return list(threads.map(lambda pair: _state(*pair), pairs))


def known(place: StackFolder, names: Iterable[str]) -> Iterator[Service]:
    """Those of the named services that have a folder: making the others would pick their ports."""
    return (SERVICES[name](place) for name in names if place.data(name).is_dir())


def write_record(place: StackFolder) -> None:
    """Write stack.json: the addresses of the services that run."""
    running = {
        service.name: service.address for service in known(place, SERVICES) if service.is_running()
    }
    unfinished = place.folder / f".{RECORD}"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2) + b"\n")
    unfinished.replace(place.folder / RECORD)


def _bring_up(service: Service, on_step: OnStep) -> None:
    begun_s = time.monotonic()
    if service.is_running() and service.answers():
        on_step(Step(service.name, "already runs", is_last=True))
        return
    on_step(Step(service.name, "starts"))
    for server in service.servers:
        server.start()
    on_step(Step(service.name, "runs, doesn't answer yet"))
    for server in service.servers:
        server.wait(ANSWER_TIMEOUT_S)
    took_s = time.monotonic() - begun_s
    on_step(Step(service.name, f"answers after {took_s:.1f} s", is_last=True))


def _bring_down(service: Service, on_step: OnStep) -> None:
    if not any(server.process() is not None for server in service.servers):
        on_step(Step(service.name, "doesn't run", is_last=True))
        return
    on_step(Step(service.name, "ends"))
    for server in reversed(service.servers):
        server.stop()
    on_step(Step(service.name, "ended", is_last=True))


def _for_each(
    services: list[Service], do: Callable[[Service, OnStep], None], on_step: OnStep
) -> None:
    """Do it with all services at once, to the end, and only then raise what failed."""
    with ThreadPoolExecutor(max(1, len(services))) as threads:
        tasks = [threads.submit(_say_failure, one, do, on_step) for one in services]
    failures = [failure for task in tasks if (failure := task.exception())]
    for failure in failures:
        if not isinstance(failure, StackError):
            raise failure
    if failures:
        raise StackError("\n".join(map(str, failures)))


def _say_failure(service: Service, do: Callable[[Service, OnStep], None], on_step: OnStep) -> None:
    try:
        do(service, on_step)
    except StackError:
        on_step(Step(service.name, "failed", is_last=True))
        raise


def _state(service: Service, server: Server) -> ServerState:
    process = server.process()
    return ServerState(
        service=service.name,
        server=server.label,
        address=next(iter(server.address.values())),
        pid=process.pid if process else None,
        memory_bytes=process.memory_bytes() if process else 0,
        trouble=_trouble(server) if process else "doesn't run",
    )


def _trouble(server: Server) -> str | None:
    try:
        server.ask()
    except NoAnswer as reason:
        return str(reason)
    return None
