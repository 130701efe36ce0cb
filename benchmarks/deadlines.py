"""`python -m benchmarks deadlines`: thousands of deadlines fall due within one second.

python -m benchmarks deadlines                            10,000, beside 1,000 events/s
python -m benchmarks deadlines --orders 1000 --rate 200
python -m benchmarks deadlines --out docs/benchmarks.md   update its section

In real time: the broker's clock, settings as they ship, `track` at the end of its partitions. An
order's time counts from its own deadline to when a consumer has read its alert or its action.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.due_orders import PERCENTILES, Due, Lateness, due_orders, paid, watching
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import Kind, ScenarioInstallation, scenario_installation
from broker.produce import Producer
from commands.wiring.process import now_ms
from schemas.topics import EVENTS

SEED = 20_161_004
AIM_P99_MS, AIM_MOST_MS = 1_000, 2_000
SPREAD_MS = 1_000
LIVE_FOR_S = 10  # live orders of the load for each event a second
SEEN_WITHIN_S = 60.0


class Burst(NamedTuple):
    """`orders` deadlines in a second, `lead_s` after they were armed, with `rate` events/s."""

    orders: int
    rate: int
    lead_s: int
    seed: int


class Seen(NamedTuple):
    """Observations of a burst."""

    by_topic: dict[str, Lateness]
    lag: int  # messages, when the first deadline fell due
    load_average: float


def measure(kind: Kind, burst: Burst) -> Section:
    """Play it."""
    said = machine(burst.seed)
    with scenario_installation(kind, {"clock": "broker"}) as installation:
        installation.start_track()
        seen = play(installation, burst)
        installation.stop_track()
    head = (
        f"{said}\n\n{kind} broker; {burst.orders:,} deadlines in {SPREAD_MS / 1000:.0f} s, "
        f"{burst.rate:,} events/s beside them; {seen.lag:,} messages unread when the first fell "
        f"due; load average then {seen.load_average:.1f}."
    )
    return Section("deadlines", f"{head}\n\n{report(seen)}")


def play(installation: ScenarioInstallation, burst: Burst) -> Seen:
    """Arm, let the load continue, wait for the due alerts."""
    with watching(installation.connection) as watch:
        load(installation, burst)
        first_at = now_ms() + burst.lead_s * 1000
        orders = due_orders("burst", first_at, burst.orders, SPREAD_MS)
        arm(installation, orders)
        time.sleep(max(first_at - now_ms(), 0) / 1000)
        lag, busy = installation.lag(), os.getloadavg()[0]
        give_up_at = time.monotonic() + SEEN_WITHIN_S
        time.sleep(AIM_MOST_MS / 1000)
        while not watch.is_complete(orders) and time.monotonic() < give_up_at:
            installation.running()
            time.sleep(1.0)
        return Seen(watch.lateness(orders), lag, busy)


def load(installation: ScenarioInstallation, burst: Burst) -> None:
    """`ordertide load` in real time, to well after the deadlines."""
    if not burst.rate:
        return
    options = {
        "--rate": burst.rate,
        "--live-orders": burst.rate * LIVE_FOR_S,
        "--duration": f"{burst.lead_s + 30}s",
        "--clock": "live",
        "--seed": burst.seed,
    }
    installation.start("load", *(str(word) for option in options.items() for word in option))


def arm(installation: ScenarioInstallation, orders: list[Due]) -> None:
    """Let all orders begin."""
    at = now_ms()
    with Producer(installation.connection) as producer:
        producer.send_many(EVENTS, (paid(due, at) for due in orders))
        producer.flush()


def report(seen: Seen) -> str:
    """The table."""
    heads = ["readable on", "seen", "p50 ms", "p90", "p99", "most", "twice, early, never"]
    heads += [f"p99 < {AIM_P99_MS:,}", f"most < {AIM_MOST_MS:,}"]
    rows = [
        [
            topic,
            f"{len(found.found_ms):,}",
            *(f"{found.at(share):,.0f}" for share in (*PERCENTILES, 100)),
            found.problems,
            verdict(is_met=found.at(99) < AIM_P99_MS),
            verdict(is_met=found.at(100) < AIM_MOST_MS),
        ]
        for topic, found in seen.by_topic.items()
    ]
    return table(heads, rows)


@click.command()
@click.option("--orders", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--rate", type=click.IntRange(0), default=1_000, show_default=True, help="events/s")
@click.option("--lead", type=click.IntRange(5), default=60, show_default=True, help="seconds armed")
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def deadlines(
    *, orders: int, rate: int, lead: int, broker: Kind, quick: bool, seed: int, out: Path | None
) -> None:
    """Time alerts and actions from their deadline to a consumer, many of them in one second."""
    burst = Burst(orders, rate, lead, seed)
    if quick:
        broker, burst = "embedded", Burst(200, 20, 8, seed)
    section = measure(broker, burst)
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
