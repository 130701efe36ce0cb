"""Profile of the core: cProfile over a steady state, the top of it as a table."""

import cProfile
import pstats
import re
from pathlib import Path
from typing import NamedTuple

from benchmarks.core import Core, Mode, lines_of
from benchmarks.events import Traffic


class Line(NamedTuple):
    """One function of a profile, times in µs per event."""

    function: str
    calls: float
    own_us: float
    total_us: float
    own_share: float


def profile_core(orders: int, events: int, mode: Mode, seed: int, top: int = 25) -> list[Line]:
    """The functions with the most time of their own, cProfile's overhead included."""
    traffic, core = Traffic(orders, seed), Core()
    core.fill(traffic)
    stream = traffic.steady()
    core.run(lines_of(stream, 2 * core.batch), mode)  # warm
    lines = lines_of(stream, events)
    profile = cProfile.Profile()
    profile.runcall(core.run, lines, mode)
    return summary(pstats.Stats(profile), events)[:top]


def summary(stats: pstats.Stats, events: int) -> list[Line]:
    """All functions, those with the most own time first."""
    rows = stats.stats.items()  # type: ignore[attr-defined]  # its stubs lack it
    all_s = sum(own for _, (_, _, own, _, _) in rows)
    found = [
        Line(named(function), calls / events, own * 1e6 / events, total * 1e6 / events, own / all_s)
        for function, (_, calls, own, total, _) in rows
    ]
    return sorted(found, key=lambda line: -line.own_us)


def named(function: tuple[str, int, str]) -> str:
    """`core/shard.py:53 advance`, or what C code is called."""
    file, number, name = function
    path = Path(file)
    if number:
        return f"{path.parent.name}/{path.name}:{number} {name}"
    return re.sub(" at 0x[0-9a-f]+", "", name.strip("<>"))
