"""Two workers beside one: the same events through `ordertide track` with either, in turn.

Each has a broker, a state and processes of its own, and all live through the whole run; those that
are not being measured are held. Brokers and processes share the cores of this machine.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.dataflow import TRACK, fill_lines, in_a_folder, lines_of, ticks, track_command
from benchmarks.events import Traffic
from benchmarks.flow import ROUND_EVENTS, Flow, Pace
from benchmarks.report import Section, machine, put_sections, spread, table
from broker.embedded import EmbeddedBroker
from schemas.topics import TOPICS

SEED = 20_161_004


@click.command("workers")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--workers", default=2, show_default=True, help="beside one")
@click.option("--orders", default=10_000, show_default=True, help="live orders")
@click.option("--rounds", default=4, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def workers(*, quick: bool, workers: int, orders: int, rounds: int, out: Path | None) -> None:
    """Compare several workers with one.

    \b
    python -m benchmarks workers
    python -m benchmarks workers --workers 3 --rounds 6 --out docs/benchmarks.md
    """
    live, events, turns = (200, 1_000, 1) if quick else (orders, ROUND_EVENTS, rounds)
    with in_a_folder(), contextlib.ExitStack() as stack:
        flows = [stack.enter_context(running(count)) for count in (1, workers)]
        found = paces(flows, Traffic(live, SEED), events, turns)
    section = Section("workers", report(workers, live, found))
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])


@contextlib.contextmanager
def running(count: int) -> Iterator[Flow]:
    """`ordertide track` with so many workers, in a folder of its own, held."""
    folder = Path(f"workers-{count}")
    folder.mkdir()
    with EmbeddedBroker() as broker, contextlib.chdir(folder):
        for topic in TOPICS:
            broker.create(topic.name)
        flow = Flow(TRACK, track_command(broker.connection, count), broker.connection)
        try:
            with contextlib.chdir(".."):
                yield flow
        finally:
            flow.close()


def paces(flows: list[Flow], traffic: Traffic, events: int, rounds: int) -> list[list[Pace]]:
    """Fill both, then rounds in turn: the paces of each flow."""
    for part in fill_lines(traffic):
        for flow in flows:
            flow.round(part, ticks(traffic))
    stream = traffic.steady()
    found: list[list[Pace]] = [[] for _ in flows]
    for _ in range(rounds):
        lines = lines_of(stream, events)
        for flow, held in zip(flows, found, strict=True):
            held.append(flow.round(lines, ticks(traffic)))
    return found


def report(workers: int, orders: int, found: list[list[Pace]]) -> str:
    """The table."""
    one, more = found
    ratios = [b.events_per_s / a.events_per_s for a, b in zip(one, more, strict=True)]
    costs = [b.cpu_us / a.cpu_us for a, b in zip(one, more, strict=True)]
    rows = [
        [
            str(count),
            spread([pace.events_per_s for pace in held]).text(),
            spread([pace.cpu_us for pace in held]).text(1),
        ]
        for count, held in ((1, one), (workers, more))
    ]
    heads = ["workers", "events/s", "CPU µs an event, all processes"]
    said = (
        f"{machine(SEED)}; `ordertide track` on the embedded broker, {orders:,} live orders, "
        f"{len(one)} rounds each in turn; median (least - most)."
    )
    share = (
        f"{workers} workers do {spread(ratios).text(2)} times what one does, and take "
        f"{spread(costs).text(2)} times its CPU time an event: the exchange, and each shard's "
        "epoch in another process."
    )
    return "\n\n".join([said, table(heads, rows), share])
