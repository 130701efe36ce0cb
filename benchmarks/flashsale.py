"""`python -m benchmarks flashsale`: the load triples, and one order in a hundred takes a third.

python -m benchmarks flashsale                            500 events/s, two minutes of sale
python -m benchmarks flashsale --rate 1000 --seconds 600  the ten minutes of the aim
python -m benchmarks flashsale --out docs/benchmarks.md   update its section

In real time on the broker's clock, `ordertide load --flash-sale` in an open loop. Beside it orders
of our own fall due all the while (`benchmarks/due_orders.py`) and are looked up in Redis, which
`ordertide write hot` fills. Afterwards the final states are compared with what the load expects,
and the sale's shape with the request.
"""

import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from benchmarks.catchup import outcome
from benchmarks.deadlines import arm
from benchmarks.due_orders import PERCENTILES, PREFIX, Lateness, due_orders, watching
from benchmarks.lookups import Lookups, asking
from benchmarks.report import Section, machine, put_sections, table
from benchmarks.scenario_installation import (
    Kind,
    ScenarioInstallation,
    Table,
    scenario_installation,
)
from broker.connect import Connection
from broker.consume import read_all
from commands.wiring.process import now_ms
from deploy.installation import Process
from deploy.stack.redis import Redis
from loadgen.lives import SALE_FROM
from schemas.topics import EVENTS

SEED = 20_161_004
TIMES = 3
# Live orders of the load for each event a second; it begins with all they have lived through.
LIVE_FOR_S = 5
DUE_PER_S = 10
ARMED_S = 20  # before the first falls due; the load's history has been read by then
UNKNOWN_S = 1e9  # a clock that is further behind has not begun
DRAIN_WITHIN_S = 600.0
ROWS = 12  # of the table over time
LOAD_NAME = "sale"

Json = dict[str, Any]


class Sale(NamedTuple):
    """`rate` events/s, three times that for `seconds`, with as much before as after: `calm_s`."""

    rate: int
    seconds: int
    calm_s: int
    seed: int

    @property
    def whole_s(self) -> int:
        return self.seconds + 2 * self.calm_s


class Sample(NamedTuple):
    """State at an instant, ms."""

    at: int
    lag: int
    clock_behind_s: float
    resident_bytes: int


class Seen(NamedTuple):
    """Observations of a sale."""

    samples: list[Sample]
    lateness: dict[str, Lateness]
    lookups: Lookups | None
    expected: Json


def measure(kind: Kind, sale: Sale) -> Section:
    """Play it."""
    said = machine(sale.seed)
    with ExitStack() as stack:
        more: dict[str, Table] = {}
        if kind == "kafka":
            redis = stack.enter_context(Redis(Path(stack.enter_context(TemporaryDirectory()))))
            more["hot"] = {"url": redis.address["url"]}
        installation = stack.enter_context(scenario_installation(kind, {"clock": "broker"}, **more))
        seen = play(installation, sale, with_lookups="hot" in more)
        problems = check(installation.connection, seen.expected)
        count, share = hot_share(installation.connection, sale, seen.expected)
        installation.stop_track()
    head = (
        f"{said}\n\n{kind} broker; {sale.rate:,} events/s, {TIMES} times that for {sale.seconds} s "
        f"from second {sale.calm_s} on ({count / sale.seconds:,.0f} came); 1 % of its orders took "
        f"{share:.0%} of the events in it."
    )
    return Section("flashsale", f"{head}\n\n{report(seen, sale, problems)}")


def play(installation: ScenarioInstallation, sale: Sale, *, with_lookups: bool) -> Seen:
    """Run the load with deadlines and look-ups beside it, and drain it."""
    installation.start_track()
    if with_lookups:
        installation.start("write", "hot")
    first_at = now_ms() + ARMED_S * 1000
    count = DUE_PER_S * sale.whole_s
    orders = due_orders("sale", first_at, count, sale.whole_s * 1000)
    with watching(installation.connection) as watch, ExitStack() as stack:
        arm(installation, orders)
        names = [due.order_id for due in orders]
        asked = stack.enter_context(asking(installation, names)) if with_lookups else None
        samples = follow(installation, sale)
        time.sleep(max(orders[-1].at - now_ms(), 0) / 1000)
        installation.wait_until(lambda: watch.is_complete(orders), "shows all alerts")
        lateness = watch.lateness(orders)
    expected = json.loads((installation.folder / "expect.json").read_text("utf-8"))
    return Seen(samples, lateness, asked, expected)


def follow(installation: ScenarioInstallation, sale: Sale) -> list[Sample]:
    """Sample every second, to the end of the load and until it is drained."""
    loading = start_load(installation, sale)
    began = time.monotonic()
    samples: list[Sample] = []
    while loading.poll() is None or samples[-1].lag > sale.rate:
        samples.append(sample(installation))
        if time.monotonic() - began > sale.whole_s + DRAIN_WITHIN_S:
            raise RuntimeError(f"not drained: {samples[-1]}")
        time.sleep(1.0)
    if loading.returncode:
        raise RuntimeError(loading.log_tail())
    installation.drain()
    return samples


def sample(installation: ScenarioInstallation) -> Sample:
    """Take a sample now."""
    behind_s = installation.metrics().get("ordertide_stream_clock_behind_seconds", 0.0)
    return Sample(now_ms(), installation.lag(), behind_s, installation.resident_bytes())


def start_load(installation: ScenarioInstallation, sale: Sale) -> Process:
    """`ordertide load` with the sale."""
    options = {
        "--rate": sale.rate,
        "--live-orders": sale.rate * LIVE_FOR_S,
        "--duration": f"{sale.whole_s}s",
        "--flash-sale": f"{sale.calm_s}s",
        "--flash-sale-length": f"{sale.seconds}s",
        "--flash-sale-times": TIMES,
        "--clock": "live",
        "--seed": sale.seed,
        "--prefix": LOAD_NAME,
        "--expect": "expect.json",
    }
    return installation.start("load", *(str(word) for option in options.items() for word in option))


def check(connection: Connection, expected: Json) -> list[str]:
    """Faults of the final states; none if they are as expected."""
    found = outcome(connection, without=PREFIX).statuses
    wanted = expected["orders_by_status"]
    return [
        f"{status}: expected {wanted.get(status, 0)}, found {found.get(status, 0)}"
        for status in sorted({*found, *wanted})
        if found.get(status) != wanted.get(status)
    ]


def hot_share(connection: Connection, sale: Sale, expected: Json) -> tuple[int, float]:
    """The sale's messages, and what share of them 1 % of its orders took, the busiest."""
    begin_at = expected["started_at"] + sale.calm_s * 1000
    end_at = begin_at + sale.seconds * 1000
    counts: Counter[bytes] = Counter()
    all_messages = 0
    first = f"{LOAD_NAME}-{SALE_FROM:010d}".encode()
    for message in read_all(connection, EVENTS):
        if begin_at <= message.timestamp_ms < end_at:
            all_messages += 1
            key = message.key or b""
            counts[key] += len(key) == len(first) and key >= first
    of_sale = sorted((+counts).values(), reverse=True)
    hot = sum(of_sale[: max(len(of_sale) // 100, 1)])
    return all_messages, hot / max(all_messages, 1)


def report(seen: Seen, sale: Sale, problems: list[str]) -> str:
    """The tables. Before the load's start its history is read: that is no part of the scenario."""
    start_at = seen.expected["started_at"]
    samples = [one for one in seen.samples if one.at >= start_at + sale.calm_s * 500]
    behind = [(one.at - start_at) / 1000 for one in samples if one.lag > sale.rate]
    late_s = max(behind, default=0.0) - sale.calm_s - sale.seconds
    end = "before its end" if late_s < 0 else f"{late_s:,.0f} s after its end"
    drained = (
        f"Most behind: {max(one.lag for one in samples):,} events. Less than a second of the usual "
        f"rate behind for good: {end}. The load itself was {seen.expected['behind_ms']:,} ms late "
        "at most."
    )
    orders = f"{sum(seen.expected['orders_by_status'].values()):,} orders by status: "
    orders += "; ".join(problems) or "as the load expects"
    parts = [over_time(seen.samples, start_at), drained, lateness_table(seen), f"{orders}."]
    return "\n\n".join(parts)


def over_time(samples: list[Sample], start_at: int) -> str:
    """Some moments out of all, in seconds from the load's start."""
    step = max(len(samples) // ROWS, 1)
    heads = ["second", "events behind", "stream clock behind, s", "resident MiB"]
    rows = [
        [
            f"{(one.at - start_at) / 1000:.0f}",
            f"{one.lag:,}",
            f"{one.clock_behind_s:.1f}" if one.clock_behind_s < UNKNOWN_S else "-",
            f"{one.resident_bytes / 2**20:,.0f}",
        ]
        for one in samples[::step]
    ]
    return table(heads, rows)


def lateness_table(seen: Seen) -> str:
    """Lateness of alerts and actions after their deadlines, and of look-ups after their start."""
    heads = ["what", "how many", "p50 ms", "p90", "p99", "most", "wrong"]
    rows = [
        [
            f"deadline to {topic}",
            f"{len(found.found_ms):,}",
            *(f"{found.at(share):,.0f}" for share in (*PERCENTILES, 100)),
            found.problems,
        ]
        for topic, found in seen.lateness.items()
    ]
    if seen.lookups:
        times = seen.lookups.times()
        spots = [f"{times.at(share):,.1f}" for share in (*PERCENTILES, 100)]
        asked = ["look-up in Redis", f"{len(times.found_ms):,}", *spots]
        rows.append([*asked, f"{seen.lookups.not_found:,} not found"])
    return table(heads, rows)


@click.command()
@click.option("--rate", type=click.IntRange(1), default=500, show_default=True, help="events/s")
@click.option("--seconds", type=click.IntRange(1), default=120, show_default=True, help="of sale")
@click.option(
    "--calm", type=click.IntRange(1), default=30, show_default=True, help="s before, after"
)
@click.option("--broker", type=click.Choice(["kafka", "embedded"]), default="kafka")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def flashsale(
    *, rate: int, seconds: int, calm: int, broker: Kind, quick: bool, seed: int, out: Path | None
) -> None:
    """Follow a flash sale: the lag, the recovery, the lateness of alerts, the speed of look-ups."""
    sale = Sale(rate, seconds, calm, seed)
    if quick:
        broker, sale = "embedded", Sale(30, 6, 3, seed)
    section = measure(broker, sale)
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
