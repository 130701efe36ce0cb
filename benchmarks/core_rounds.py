"""The core with several numbers of live orders, side by side.

Each size has a process of its own, so that none sees the other's memory or garbage. They run
in turn, round after round (10k, 100k, 1M, 10k, …): what slows the machine down hits all of them.
"""

import gc
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from benchmarks.core import MODES, Core, Gate, Mode, Stages, lines_of
from benchmarks.events import Traffic
from benchmarks.report import Section, spread, table, verdict
from telemetry.collector import collect_seldom

TARGET_EVENTS_PER_S = 120_000
TARGET_RATIO = 0.85
STAGES = ("decode", "fact", "judge", "encode", "store")


class Population(NamedTuple):
    """A process that holds live orders, and what has been measured of it."""

    orders: int
    process: BaseProcess
    pipe: Connection
    found: dict[Mode, list[Stages]]

    @property
    def name(self) -> str:
        return f"{self.orders:,}"


class Load(NamedTuple):
    """Load of every process in a round."""

    events: int
    batch: int
    rounds: int
    seed: int
    duplicates: float


class Filled(NamedTuple):
    """State of a process once its orders are there."""

    live: int
    mean_history: float


def serve(pipe: Connection, gate: Gate, orders: int, load: Load) -> None:
    """Fill, then run a round in every requested mode, until None."""
    traffic = Traffic(orders, load.seed, duplicates=load.duplicates)
    core = Core(load.batch)
    collect_seldom()  # as every command does
    with gate:
        core.fill(traffic)
    pipe.send(Filled(core.live, core.mean_history()))
    stream = traffic.steady()
    while mode := pipe.recv():
        lines = lines_of(stream, load.batch + load.events)
        gc.collect()
        pipe.send(core.run(lines, mode))


def populations_of(sizes: Sequence[int], gate: Gate, load: Load) -> list[Population]:
    """Start a process of each size."""
    return [populate(orders, gate, load) for orders in sizes]


def populate(orders: int, gate: Gate, load: Load) -> Population:
    """Start the process of one size; it begins to fill."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, gate, orders, load), daemon=True)
    process.start()
    theirs.close()
    return Population(orders, process, ours, {mode: [] for mode in MODES})


def measure_core(populations: Sequence[Population], load: Load) -> Section:
    """Every size and mode in turn, `load.rounds` times after one to warm up."""
    filled: list[Filled] = [population.pipe.recv() for population in populations]
    for number in range(load.rounds + 1):
        for mode in MODES:
            for population in populations:
                population.pipe.send(mode)
                stages = population.pipe.recv()
                if number:
                    population.found[mode].append(stages)
    for population in populations:
        population.pipe.send(None)
        population.process.join()
    return Section("core", report(populations, filled, load))


def report(populations: Sequence[Population], filled: Sequence[Filled], load: Load) -> str:
    """The tables and the verdicts."""
    held = ", ".join(f"{one.live:,} (with {one.mean_history:.1f} events each)" for one in filled)
    said = (
        f"{load.rounds} rounds of {load.events:,} events in batches of {load.batch:,}, "
        f"{load.duplicates:.0%} of them duplicates; sizes and modes in turn; live orders at the "
        f"start: {held}. Events/s on one core: median (least - most)."
    )
    parts = [
        said,
        table(["live orders", *MODES], [rates(one) for one in populations]),
        "Median µs an event in each stage:",
        table(
            ["live orders, mode", *STAGES, "documents an event", "alerts", "actions"],
            [costs(one, mode) for one in populations for mode in MODES],
        ),
        table(["aim", "measured", ""], verdicts(populations)),
    ]
    return "\n\n".join(parts)


def rates(population: Population) -> list[str]:
    """A row of events/s."""
    found = population.found
    return [
        population.name,
        *(spread([one.events_per_s for one in found[mode]]).text() for mode in MODES),
    ]


def costs(population: Population, mode: Mode) -> list[str]:
    """A row of µs per event by stage, and what came of the events."""
    found = population.found[mode]
    stages = [[getattr(one, f"{stage}_s") * 1e6 / one.events for one in found] for stage in STAGES]
    events = sum(one.events for one in found)
    said = [sum(getattr(one, name) for one in found) for name in ("documents", "alerts", "actions")]
    return [
        f"{population.name} {mode}",
        *(f"{spread(stage).median:.2f}" for stage in stages),
        *(f"{count / events:.3f}" for count in said),
    ]


def verdicts(populations: Sequence[Population]) -> list[list[str]]:
    """The aims, held against the medians of the modes with and without publishing."""
    rows = []
    small, large = populations[0], populations[-1]
    for mode in MODES:
        by_size = {one.orders: median_rate(one, mode) for one in populations}
        slowest = min(by_size.values())
        rows.append(
            [
                f"{mode}: {TARGET_EVENTS_PER_S:,} events/s at every size",
                f"{slowest:,.0f}",
                verdict(is_met=slowest >= TARGET_EVENTS_PER_S),
            ]
        )
        ratio = by_size[large.orders] / by_size[small.orders]
        rows.append(
            [
                f"{mode}: {large.orders:,} within 15 % of {small.orders:,}",
                f"{ratio - 1:+.0%}",
                verdict(is_met=ratio >= TARGET_RATIO),
            ]
        )
    return rows


def median_rate(population: Population, mode: Mode) -> float:
    return spread([one.events_per_s for one in population.found[mode]]).median
