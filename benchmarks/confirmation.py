"""`python -m benchmarks actions confirmation`: from an order's creation to its receiver.

python -m benchmarks actions confirmation                        1,000 to 10,000 events/s
python -m benchmarks actions confirmation --part act             `act` alone, from orders.actions
python -m benchmarks actions confirmation --rates 4000 --seconds 60
python -m benchmarks actions confirmation --batch 100            in batches
python -m benchmarks actions confirmation --out docs/benchmarks.md

Kafka, `track`, `act` and the receiver are processes of their own, started for the run. A fifth of
the events creates an order, whose confirmation the receiver gets as a webhook.
"""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.action_installation import (
    TICK_S,
    Site,
    action_installation,
    action_of,
    at_share,
    cpu_s,
    cpu_us,
    encode,
    paced,
    share_of,
)
from benchmarks.action_receiver import ActionReceiver
from benchmarks.events import Arrived, event_of, journey, order_id, to_json
from benchmarks.report import Section, machine, put_sections, table, verdict
from benchmarks.scenario_installation import Kind
from broker.produce import Record
from schemas.topics import EVENTS, ORDERS_ACTIONS

SEED = 20_161_004
KIND = "confirm_order"
AIM_P99_S, AIM_RATE = 5.0, 10_000
EVENTS_EACH = 5  # of an order: 2,000 are created among 10,000 events
GAP_TICKS = round(2 / TICK_S)  # between two events of an order
WARM_UP_S = EVENTS_EACH * GAP_TICKS * TICK_S
JOURNEY = journey(EVENTS_EACH)[:EVENTS_EACH]
DRAIN_S, STALLED_S = 60.0, 10.0
PARTS = ("track", "act")
MANY = 64  # actions in the first burst, which starts every thread and connection


class Run(NamedTuple):
    """Figures of a rate; `found_s` are the latencies of those orders that were confirmed."""

    rate: int
    per_s: float
    sent: int
    found_s: list[float]
    late_s: float
    cpu_us: dict[str, float]
    load_average: float

    @property
    def is_met(self) -> bool:
        return len(self.found_s) == self.sent and at_share(self.found_s, 0.99) < AIM_P99_S


class Orders:
    """Orders of a load: when each was to be created, by its running number."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.intended: list[float] = []

    @property
    def following(self) -> int:
        return self.first + len(self.intended)

    def created_at(self, name: str) -> float | None:
        """The intended instant of an order of this load."""
        number = int(name.rpartition("-")[2]) - self.first
        return self.intended[number] if 0 <= number < len(self.intended) else None

    def events(self, tick: int, at: float, per_s: float) -> Iterator[Record]:
        """The events of a tick: orders created, and a later step of those of ticks before."""
        for step, status in enumerate(JOURNEY):
            for number in share_of(tick - step * GAP_TICKS, per_s):
                if number < 0:
                    continue
                if step == 0:
                    self.intended.append(at)
                serial = self.first + number
                event = event_of(serial, step, status, int(at * 1000))
                message = to_json(Arrived(int(at * 1000), event))
                yield Record(order_id(serial).encode(), message)

    def actions(self, tick: int, at: float, per_s: float) -> Iterator[Record]:
        """The actions of a tick, as `track` requests them."""
        for number in share_of(tick, per_s):
            self.intended.append(at)
            name = order_id(self.first + number)
            yield Record(name.encode(), encode(action_of(name, KIND, int(at * 1000))))


def measure_part(
    part: str, rates: tuple[int, ...], seconds: float, broker: Kind, batch: int
) -> list[Run]:
    """Rates one after the other, ascending, up to the first that isn't kept."""
    runs: list[Run] = []
    with (
        ActionReceiver() as receiver,
        action_installation(receiver, {KIND: receiver.url(KIND)}, broker, batch) as site,
    ):
        if part == "track":
            site.installation.start_track()
            site.pids["track"] = site.installation.running().pid
        site.start_act()
        orders = warmed_up(site, receiver)
        for rate in rates:
            orders = Orders(orders.following)
            runs.append(run(site, receiver, part, rate, seconds, orders))
            if not runs[-1].is_met:
                break
    return runs


def warmed_up(site: Site, receiver: ActionReceiver) -> Orders:
    """Let some actions through, so that everything has started."""
    orders = Orders(0)
    due = partial(orders.actions, per_s=MANY / TICK_S)
    paced(site.installation.connection, ORDERS_ACTIONS, TICK_S, due)
    collect(receiver, orders, DRAIN_S)
    return orders


def run(
    site: Site, receiver: ActionReceiver, part: str, rate: int, seconds: float, orders: Orders
) -> Run:
    """Load at a rate: its first seconds, in which the mix comes about, aren't measured."""
    per_s = rate / EVENTS_EACH
    due = orders.events if part == "track" else orders.actions
    topic = EVENTS if part == "track" else ORDERS_ACTIONS
    warm_up_s = WARM_UP_S if part == "track" else 1.0
    before: dict[str, float] = {}

    def measured(tick: int, at: float) -> Iterator[Record]:
        if tick == round(warm_up_s / TICK_S):
            before.update(cpu_s(site.pids))
        return due(tick, at, per_s)

    late_s = paced(site.installation.connection, topic, warm_up_s + seconds, measured)
    load_average = os.getloadavg()[0]
    found = collect(receiver, orders, DRAIN_S)
    each_us = cpu_us(before, cpu_s(site.pids), per_s * seconds)
    begin = orders.intended[0] + warm_up_s
    counted = [at for at in orders.intended if at >= begin]
    latencies = sorted(came - at for at, came in found if at >= begin)
    return Run(rate, per_s, len(counted), latencies, late_s, each_us, load_average)


def collect(receiver: ActionReceiver, orders: Orders, within_s: float) -> list[tuple[float, float]]:
    """(intended, received) of each order, once; waits while more of them come."""
    came: dict[str, float] = {}
    give_up_at = time.monotonic() + within_s
    progress_at = time.monotonic()
    while len(came) < len(orders.intended) and time.monotonic() < give_up_at:
        before = len(came)
        for request in receiver.taken():
            if orders.created_at(request.order_id) is not None:
                came.setdefault(request.order_id, request.at)
        if len(came) > before:
            progress_at = time.monotonic()
        elif time.monotonic() - progress_at > STALLED_S:
            break
        time.sleep(0.1)
    return [(orders.created_at(name) or 0.0, at) for name, at in came.items()]


# ---------------------------------------------------------------- report
def report(runs: list[Run]) -> str:
    """The table of a part."""
    heads = ["events/s", "orders/s", "confirmed", "never", "p50 s", "p99", "most", "p99 < 5 s"]
    heads += ["CPU µs an order"]
    rows = [
        [
            f"{one.rate:,}",
            f"{one.per_s:,.0f}",
            f"{len(one.found_s):,}",
            f"{one.sent - len(one.found_s):,}",
            *(f"{at_share(one.found_s, share):.2f}" for share in (0.5, 0.99, 1)),
            verdict(is_met=one.is_met),
            ", ".join(f"{name} {each:,.0f}" for name, each in one.cpu_us.items()),
        ]
        for one in runs
        if one.found_s
    ]
    return table(heads, rows)


TITLES = {
    "track": "**Creation appended to receiver**, through `track` and `act`:",
    "act": "**`act` alone**, from orders.actions to the receiver (a fifth of the events):",
}


def conclusion(runs: list[Run]) -> str:
    """The highest rate that was kept."""
    kept = [one for one in runs if one.is_met]
    if not kept:
        return f"None of the rates is kept, not even {runs[0].per_s:,.0f} orders/s."
    most = kept[-1]
    return f"Highest rate kept: {most.per_s:,.0f} orders/s among {most.rate:,} events/s."


@click.command()
@click.option(
    "--rates",
    default="1000,2000,4000,6000,8000,10000",
    show_default=True,
    help="events/s",
)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True)
@click.option("--part", type=click.Choice(PARTS), multiple=True, help="this part (repeatable)")
@click.option("--batch", default=0, show_default=True, help="actions in a request; 0: single ones")
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def confirmation(
    *,
    rates: str,
    seconds: float,
    part: tuple[str, ...],
    batch: int,
    broker: Kind,
    out: Path | None,
) -> None:
    """Time confirmations from an order's creation to the receiver, at ascending rates."""
    sent = f"batches of up to {batch}" if batch else "single webhooks"
    texts = [f"{machine(SEED)}; {sent}, {seconds:.0f} s at each rate"]
    for each in part or PARTS:
        runs = measure_part(
            each, tuple(int(rate) for rate in rates.split(",")), seconds, broker, batch
        )
        texts += [TITLES[each], report(runs), conclusion(runs)]
    section = Section("confirmation-batches" if batch else "confirmation", "\n\n".join(texts))
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
