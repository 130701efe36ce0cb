"""`python -m benchmarks`: measures, and prints Markdown. See docs/benchmarks.md.

python -m benchmarks                       all of it, under ten minutes
python -m benchmarks --quick               a smoke run of seconds; its figures mean nothing
python -m benchmarks --only core --orders 10000,1000000
python -m benchmarks --only dataflow --bootstrap kafka:9092
python -m benchmarks --only dataflow --kafka --orders 100000,1000000
python -m benchmarks --out docs/benchmarks.md
python -m benchmarks profile --mode judge
python -m benchmarks latency               on real servers, started for it
python -m benchmarks transactions          a transaction an epoch beside none
python -m benchmarks numbers               the resolver's numbers
python -m benchmarks door                  a message at the door
python -m benchmarks blocks                accepted events as messages and as blocks of lines
python -m benchmarks serving               the REST gateway
python -m benchmarks callbacks             queries beside callbacks at ten times their limit
python -m benchmarks board                 the board in Chromium beside 19 stream readers
python -m benchmarks tiers                 look-ups through the API in every tier
python -m benchmarks polling               the poll plan: 100,000 parcels for a week
python -m benchmarks polling-http          the poller over HTTP: six hours, with faults
python -m benchmarks actions               confirmation, dead-receiver and kills of `act`
python -m benchmarks workers               two workers beside one
python -m benchmarks compare               the same job in other systems, which it fetches
python -m benchmarks catchup               and deadlines, flashsale, longlives, recovery
"""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click

from benchmarks.actions import actions
from benchmarks.blocks import blocks
from benchmarks.board import board
from benchmarks.callbacks import callbacks
from benchmarks.catchup import catchup
from benchmarks.compare.command import compare
from benchmarks.core import BATCH, MODES, Mode
from benchmarks.core_rounds import Load, measure_core, populations_of
from benchmarks.dataflow import Trial, measure_dataflow
from benchmarks.deadlines import deadlines
from benchmarks.door import door
from benchmarks.flashsale import flashsale
from benchmarks.latency import latency
from benchmarks.longlives import longlives
from benchmarks.memory import measure_memory, start_weighing
from benchmarks.number_costs import numbers
from benchmarks.polling import polling
from benchmarks.polling_http import polling_http
from benchmarks.profiling import profile_core
from benchmarks.recovery import recovery
from benchmarks.report import Section, machine, put_sections, table
from benchmarks.serving import serving
from benchmarks.tier_lookups import tier_lookups
from benchmarks.transactions import transactions
from benchmarks.workers import workers
from commands.wiring.groups import Group

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (200, 400)
PARTS = ("core", "memory", "dataflow")
SEED = 20_161_004
DATAFLOW_SIZES, DATAFLOW_SECONDS, DATAFLOW_ROUNDS = (10_000,), 6.0, 3


class Sizes(click.ParamType[tuple[int, ...]]):
    """`10000,1000000`."""

    name = "sizes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            return tuple(int(size) for size in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: write numbers with commas, like 10000,1000000", param, ctx)


@click.group(cls=Group, invoke_without_command=True)
@click.option("--quick", is_flag=True, help="a smoke run of seconds")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="this part (repeatable)")
@click.option("--orders", type=Sizes(), help="numbers of live orders, with commas")
@click.option("--events", default=20_000, show_default=True, help="a round of the core")
@click.option("--rounds", default=5, show_default=True)
@click.option("--duplicates", default=0.0, show_default=True, help="share of events sent twice")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--bootstrap", help="a Kafka without our topics, for the dataflow")
@click.option("--kafka", is_flag=True, help="start a Kafka for each size of the dataflow")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its sections")
@click.pass_context
def main(  # noqa: PLR0913  # a command has as many parameters as it has options
    context: click.Context,
    *,
    quick: bool,
    only: tuple[str, ...],
    orders: tuple[int, ...] | None,
    events: int,
    rounds: int,
    duplicates: float,
    seed: int,
    bootstrap: str | None,
    kafka: bool,
    out: Path | None,
) -> None:
    """Measure the core, its memory and the dataflow."""
    if context.invoked_subcommand:
        return
    sizes = orders or (QUICK_SIZES if quick else SIZES)
    load = Load(events, BATCH, rounds, seed, duplicates)
    live = orders if orders and only == ("dataflow",) else DATAFLOW_SIZES
    if bootstrap and len(live) > 1:
        raise click.UsageError("--bootstrap is good for one size; --kafka starts one for each")
    trial = Trial(live, DATAFLOW_SECONDS, DATAFLOW_ROUNDS, seed, bootstrap, kafka)
    if quick:
        load = load._replace(events=600, batch=200, rounds=1)
        trial = trial._replace(sizes=(200,), seconds=0.2, rounds=1)
    sections = [tell(section) for section in measure(only or PARTS, sizes, load, trial)]
    if out:
        put_sections(out, sections)


def measure(
    parts: tuple[str, ...], sizes: tuple[int, ...], load: Load, trial: Trial
) -> Iterator[Section]:
    """The sections, each as soon as it is there.

    Memory and core fill side by side, which isn't timed; nothing runs beside what is.
    """
    yield Section("machine", machine(load.seed))
    gate = multiprocessing.get_context("spawn").Semaphore(os.cpu_count() or 1)
    weighing = start_weighing(sizes, gate, load.seed) if "memory" in parts else []
    populations = populations_of(sizes, gate, load) if "core" in parts else []
    if weighing:
        yield measure_memory(weighing)
    if populations:
        yield measure_core(populations, load)
    if "dataflow" in parts:
        yield measure_dataflow(trial)


def tell(section: Section) -> Section:
    """Print a section as soon as it is there."""
    click.echo(f"## {section.name}\n\n{section.text}\n")
    return section


@main.command()
@click.option("--orders", default=10_000, show_default=True)
@click.option("--events", default=50_000, show_default=True)
@click.option("--mode", type=click.Choice(MODES), default="publish", show_default=True)
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def profile(orders: int, events: int, mode: str, seed: int, out: Path | None) -> None:
    """Show the 25 functions of the core that cost most (own time, µs an event, under cProfile)."""
    lines = profile_core(orders, events, cast("Mode", mode), seed)
    rows = [
        [f"`{n}`", f"{calls:.2f}", f"{own:.2f}", f"{share:.1%}", f"{total:.2f}"]
        for n, calls, own, total, share in lines
    ]
    said = f"{machine(seed)}; {orders:,} live orders, {events:,} events, mode {mode}"
    shown = table(["function", "calls an event", "own µs", "share", "with callees µs"], rows)
    section = tell(Section(f"profile-{mode}", f"{said}\n\n{shown}"))
    if out:
        put_sections(out, [section])


main.add_command(actions)
main.add_command(compare)
main.add_command(latency)
main.add_command(workers)
main.add_command(catchup)
main.add_command(deadlines)
main.add_command(flashsale)
main.add_command(longlives)
main.add_command(numbers)
main.add_command(door)
main.add_command(blocks)
main.add_command(recovery)
main.add_command(serving)
main.add_command(callbacks)
main.add_command(board)
main.add_command(tier_lookups)
main.add_command(polling)
main.add_command(polling_http)
main.add_command(transactions)

if __name__ == "__main__":
    main()
