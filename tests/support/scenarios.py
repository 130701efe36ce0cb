"""Scenarios of several workers: their processes, and feeds during which one of them is killed."""

import os
import random
import signal
from pathlib import Path

from tests.support.engine import Engine, Json
from tests.support.samples import END, arrival_at
from tests.support.waiting import wait_until


def members(engine: Engine) -> list[int]:
    """The processes of the workers."""
    assert engine.process is not None
    stats = [stat_of(path) for path in Path("/proc").glob("[0-9]*/stat")]
    fields = [(int(stat.split()[0]), stat.rpartition(")")[2].split()) for stat in stats if stat]
    return sorted(pid for pid, rest in fields if int(rest[1]) == engine.process.pid)


def stat_of(path: Path) -> str:
    """The kernel's state of a process; empty if it ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""


def wait_for_members(engine: Engine, count: int, without: int = 0) -> list[int]:
    def complete() -> list[int]:
        found = members(engine)
        return found if len(found) == count and without not in found else []

    return wait_until(complete, f"{count} workers", shown=engine.output)


def shared_out(events: list[Json], parts: int) -> list[list[Json]]:
    size = len(events) // parts + 1
    return [events[start : start + size] for start in range(0, len(events), size)]


def feed_and_wait(engine: Engine, part: list[Json], *, kill: bool = False) -> None:
    """Feed, and let the clock come half the way."""
    engine.feed(part[: len(part) // 2])
    if kill:
        victim = random.Random(arrival_at(part[0])).choice(wait_for_members(engine, 2))
        os.kill(victim, signal.SIGKILL)
        wait_for_members(engine, 2, without=victim)
    engine.feed(part[len(part) // 2 :])
    engine.pass_half(part)


def kill_a_worker_in_each_of_three_parts(engine: Engine, events: list[Json]) -> None:
    """Feed in three parts, during each of which a worker is killed, and finish."""
    for part in shared_out(events, 3):
        feed_and_wait(engine, part, kill=True)
    engine.finish(END)
    assert engine.output().count("was killed (SIGKILL); restarting all workers in") == 3
