"""`python -m benchmarks latency`: from an event's intended send time to where it can be seen.

python -m benchmarks latency                                    200 to 10,000 events/s
python -m benchmarks latency --rates 10000 --seconds 300         five minutes, as the aim has it
python -m benchmarks latency --out docs/benchmarks.md           update its section

Servers of its own: Kafka, Redis, Elasticsearch, Alertmanager (see `ordertide stack`).
"""

import os
import tempfile
import time
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.latency_installation import START_WITHIN_S, RunningInstallation, installed
from benchmarks.latency_probes import (
    SEEN_BY,
    Sightings,
    Webhook,
    send_probes,
    watched,
)
from benchmarks.report import Section, machine, put_sections, table
from deploy.installation import Process

SEED = 20_161_004
PER_S = 10.0  # probes, at most
PROBES = 450  # at most; Alertmanager shows no more than 500 of a group
# Live orders of the load for each message a second; it begins with all they have lived through.
LIVE_FOR_S = 1
DRAIN_S = 30.0
# In its first seconds everything starts cold: two Java servers, the load's orders all at once.
WARM_UP_S = 15.0
# Some hundreds of samples are kept as they are; HdrHistogram is for millions.
PERCENTILES = (50, 90, 99)
EDGES_MS = (50, 100, 200, 300, 500, 800, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000)


class Run(NamedTuple):
    """Figures of a rate."""

    rate: int
    sent: int
    behind: int  # events that the dataflow was behind at the end of the load
    latencies_ms: dict[str, list[float]]
    load_average: float


class Pace(NamedTuple):
    """Length of the load before the first probe, and length of the probes."""

    warm_up_s: float
    seconds: float
    seed: int


def measure(rates: tuple[int, ...], pace: Pace) -> Section:
    """All rates, one after the other, on one installation."""
    said = machine(pace.seed)
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        webhook = Webhook()
        with installed(Path(folder), webhook.url) as installation:
            arrive(installation, webhook)
            runs = [run(installation, webhook, rate, pace) for rate in rates]
        webhook.shutdown()
    return Section("latency", f"{said}\n\n{report(runs, pace.seconds)}")


def arrive(installation: RunningInstallation, webhook: Webhook) -> None:
    """Let one probe through, so that everything has started and every index is there."""
    sightings = Sightings("first")
    with watched(installation, webhook, sightings):
        send_probes(installation, sightings, 1, 1)
        drain(installation, sightings, START_WITHIN_S)
    missing = [where for where in SEEN_BY if sightings.pending(where)]
    if missing:
        raise RuntimeError(f"not seen within {START_WITHIN_S:.0f} s: {', '.join(missing)}")


def run(installation: RunningInstallation, webhook: Webhook, rate: int, pace: Pace) -> Run:
    """Load and probes side by side, then wait for what is still under way."""
    sightings = Sightings(f"probe{rate}")
    with watched(installation, webhook, sightings):
        with load(installation, rate, pace) as loading:
            time.sleep(pace.warm_up_s)
            send_probes(installation, sightings, per_s_of(pace.seconds), pace.seconds)
            behind = installation.lag()
        if loading.returncode:
            raise RuntimeError(loading.log_tail())
        drain(installation, sightings, DRAIN_S)
    found = {where: sightings.latencies_ms(where) for where in SEEN_BY}
    return Run(rate, len(sightings.intended), behind, found, os.getloadavg()[0])


def load(installation: RunningInstallation, rate: int, pace: Pace) -> Process:
    """`ordertide load`, open loop; it ends when the probes do."""
    options = {
        "--rate": rate,
        "--live-orders": rate * LIVE_FOR_S,
        "--duration": f"{int(pace.seconds + pace.warm_up_s)}s",
        "--clock": "live",
        "--seed": pace.seed,
        "--prefix": f"L{rate}",
    }
    words = (str(word) for option in options.items() for word in option)
    return installation.tools.start("load", *words)


def drain(installation: RunningInstallation, sightings: Sightings, within_s: float) -> None:
    """Wait until all probes were seen everywhere, but not for ever."""
    give_up_at = time.monotonic() + within_s
    while any(sightings.pending(where) for where in SEEN_BY):
        installation.check()
        if time.monotonic() > give_up_at:
            return
        time.sleep(0.1)


def report(runs: list[Run], seconds: float) -> str:
    """The tables."""
    heads = ["events/s", "seen by", "probes", "p50 ms", "p90", "p99", "most", "never seen"]
    rows = [
        [f"{one.rate:,}", where, len(found), *spots(found), one.sent - len(found)]
        for one in runs
        for where, found in one.latencies_ms.items()
    ]
    kept = ["events/s", "behind at the end of the load", "kept", "load average"]
    lags = [
        [f"{one.rate:,}", f"{one.behind:,}", verdict(one), f"{one.load_average:.1f}"]
        for one in runs
    ]
    return "\n\n".join(
        [
            f"{seconds:.0f} s at each rate, {per_s_of(seconds):.3g} probes a second.",
            table(heads, rows),
            "Events that the dataflow was behind:",
            table(kept, lags),
            "How many probes took at most so many ms:",
            histogram(runs),
        ]
    )


def per_s_of(seconds: float) -> float:
    """Probes a second."""
    return min(PER_S, PROBES / seconds)


def verdict(one: Run) -> str:
    """Verdict: the dataflow kept the rate if it is at most two seconds of events behind."""
    return "yes" if one.behind <= 2 * one.rate else "**no**"


def spots(found: list[float]) -> list[str]:
    """The percentiles and the most, of sorted values."""
    if not found:
        return ["-"] * (len(PERCENTILES) + 1)
    places = [min(len(found) * share // 100, len(found) - 1) for share in PERCENTILES]
    return [f"{found[installation]:,.0f}" for installation in (*places, -1)]


def histogram(runs: list[Run]) -> str:
    """Number of probes seen within each span."""
    heads = ["events/s, seen by", *(f"{edge:,}" for edge in EDGES_MS), "more"]
    rows = []
    for one in runs:
        for where, found in one.latencies_ms.items():
            within = [bisect_right(found, edge) for edge in EDGES_MS]
            counts = [b - a for a, b in zip([0, *within], [*within, one.sent], strict=True)]
            rows.append([f"{one.rate:,} {where}", *counts])
    return table(heads, rows)


@click.command()
@click.option(
    "--rates", default="200,1000,5000,10000", show_default=True, help="events/s, with commas"
)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True)
@click.option("--quick", is_flag=True, help="a smoke run; its figures mean nothing")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def latency(*, rates: str, seconds: float, quick: bool, seed: int, out: Path | None) -> None:
    """Time events from their intended send time to Redis, Elasticsearch and a webhook."""
    pace = Pace(1.0, 2.0, seed) if quick else Pace(WARM_UP_S, seconds, seed)
    section = measure((50,) if quick else tuple(int(rate) for rate in rates.split(",")), pace)
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
