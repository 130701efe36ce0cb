"""`python -m benchmarks callbacks`: queries beside callbacks at ten times their limit.

python -m benchmarks callbacks                            three rounds of two minutes
python -m benchmarks callbacks --seconds 5 --rounds 1 --orders 2000      a look
python -m benchmarks callbacks --out docs/benchmarks.md   update its section

`serve` has one core; the senders of queries and callbacks, Redis and Kafka share the other.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event
from typing import NamedTuple

import click
import msgspec

from benchmarks.callback_senders import (
    BUSY,
    LIMITED,
    TAKEN,
    Flood,
    Patience,
    Probes,
    send_patiently,
    withhold_bodies,
)
from benchmarks.http_load import OTHER_CORE, SERVE_CORE, paced, percentile
from benchmarks.report import Section, machine, put_sections, spread, table, verdict
from benchmarks.scenario_installation import cpu_seconds
from benchmarks.serving import SEED, TEMPLATES, Serve, fill_redis, installed, publish, start_serve
from broker.connect import Connection
from broker.consume import read_all
from deploy.installation import ROOT
from gateway.limits import RATES, rate_of
from schemas import topics

QUERIES_PER_S = 200
TIMES = 10  # the flood, beside the limit
AIM_RATIO = 2.0
TOKEN = "a-token-of-the-benchmark"  # noqa: S105 - of an account that ends with the run
SECRETS = {"ORDERTIDE_SERVE_CARRIERS_REST_MAIN_TOKEN": TOKEN}
PATIENT_PER_S = 2
IDLE_S, CALM_S, CALM_SHARE = 5.0, 15, 0.75


class Round(NamedTuple):
    """A round: latencies (ms, ascending) without and with the flood, and what the flood was.

    `cpu_s` is what `serve` took with the flood, `lasted_s` its length.
    """

    calm_ms: list[float]
    flooded_ms: list[float]
    flood: Flood
    taken: list[str]
    patience: Patience
    probes: Probes
    cpu_s: float
    lasted_s: float

    @property
    def ratio(self) -> float:
        """The queries' p99 with the flood, in those without."""
        return percentile(self.flooded_ms, 0.99) / percentile(self.calm_ms, 0.99)

    @property
    def refused(self) -> int:
        """All refusals."""
        return self.flood.refused + self.patience.refusals + self.probes.refused


class Costs(NamedTuple):
    """CPU seconds of `serve`: in a second without requests, for a query, for a callback taken."""

    idle: float
    query: float
    taken: float

    def of_refusals(self, found: Round) -> float:
        """CPU seconds that the refusals of a round took, each."""
        taken = len(found.taken) + len(found.patience.events)
        others = self.idle * found.lasted_s + self.query * len(found.flooded_ms)
        return (found.cpu_s - others - self.taken * taken) / found.refused


# ---------------------------------------------------------------- load
def limit_per_s() -> float:
    """Callbacks a second that an account may send."""
    rate = rate_of("callback", RATES["callback"])
    return rate.amount / rate.length_s


@contextmanager
def flooded(url: str, per_s: float, seconds: float, folder: Path) -> Iterator[list[Flood]]:
    """A flood beside the block, which waits for its end; the list holds its outcome then."""
    acknowledged = folder / "acknowledged.txt"
    words = [url, str(per_s), str(seconds), str(acknowledged)]
    command = [sys.executable, "-m", "benchmarks.callback_senders", *words]
    found: list[Flood] = []
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            yield found
            said, _ = process.communicate()
        finally:
            process.terminate()
    found.append(msgspec.json.decode(said, type=Flood))


def measure_costs(serve: Serve, url: str, paths: Sequence[str], folder: Path) -> Costs:
    """CPU time of a query and of a callback, each alone and within its rate."""
    pid = serve.process.pid
    begun = cpu_seconds(pid)
    time.sleep(IDLE_S)
    idle = (cpu_seconds(pid) - begun) / IDLE_S
    begun, began_s = cpu_seconds(pid), time.monotonic()
    asked = len(paced(serve.client, paths, QUERIES_PER_S, CALM_S))
    query = (cpu_seconds(pid) - begun - idle * (time.monotonic() - began_s)) / asked
    begun, began_s = cpu_seconds(pid), time.monotonic()
    with flooded(url, limit_per_s() * CALM_SHARE, CALM_S, folder) as sent:
        pass
    taken = (cpu_seconds(pid) - begun - idle * (time.monotonic() - began_s)) / sent[0].taken
    return Costs(idle, query, taken)


def measure_round(
    serve: Serve, url: str, paths: Sequence[str], seconds: int, folder: Path
) -> Round:
    """Queries alone, then beside the flood, the sender that retries, and the withheld bodies."""
    calm_ms = paced(serve.client, paths, QUERIES_PER_S, seconds)
    begun, began_s, over = cpu_seconds(serve.process.pid), time.monotonic(), Event()
    with ThreadPoolExecutor(2) as pool:
        with flooded(url, TIMES * limit_per_s(), seconds, folder) as sent:
            patient = pool.submit(send_patiently, url, PATIENT_PER_S * seconds, seconds)
            probing = pool.submit(withhold_bodies, url, over)
            flooded_ms = paced(serve.client, paths, QUERIES_PER_S, seconds)
            over.set()
        patience = patient.result()
    return Round(
        calm_ms,
        flooded_ms,
        sent[0],
        (folder / "acknowledged.txt").read_text("utf-8").split(),
        patience,
        probing.result(),
        cpu_seconds(serve.process.pid) - begun,
        time.monotonic() - began_s,
    )


class Sent(msgspec.Struct):
    """An event as it lies in the topic."""

    event_id: str


def held_events(connection: Connection) -> Counter[str]:
    """The ids of all events in the topic, with how often each is there."""
    read, found = msgspec.json.Decoder(Sent), Counter[str]()
    for each in read_all(connection, topics.EVENTS):
        found[read.decode(each.value or b"").event_id] += 1
    return found


# ---------------------------------------------------------------- report
def report(rounds: Sequence[Round], costs: Costs, held: Counter[str]) -> str:
    """The section."""
    rows = [
        [
            f"round {number}",
            *(f"{percentile(each.calm_ms, share):.1f}" for share in (0.5, 0.99)),
            *(f"{percentile(each.flooded_ms, share):.1f}" for share in (0.5, 0.99)),
            f"{each.ratio:.2f}",
            f"{each.flood.per_s:,.0f}",
            ", ".join(f"{n:,} × {status}" for status, n in sorted(each.flood.statuses.items())),
            each.flood.unanswered,
            f"{each.cpu_s / each.lasted_s:.0%}",
        ]
        for number, each in enumerate(rounds, start=1)
    ]
    heads = ["", "p50 ms alone", "p99 ms alone", "p50 ms flooded", "p99 ms flooded", "p99 ratio"]
    heads += ["callbacks/s", "answers", "unanswered", "core of `serve`"]
    return "\n\n".join(
        [table(heads, rows), table(["aim", "measured", ""], aims(rounds, held, costs))]
    )


def aims(rounds: Sequence[Round], held: Counter[str], costs: Costs) -> list[list[str]]:
    """Rows of (aim, measured, verdict)."""
    ratio = median(each.ratio for each in rounds)
    refused = sum(each.refused for each in rounds)
    statuses = sum((Counter(each.flood.statuses) for each in rounds), Counter[int]())
    other = statuses.total() - sum(statuses[status] for status in (TAKEN, LIMITED, BUSY))
    without = sum(each.flood.without_delay + each.patience.without_delay for each in rounds)
    withheld = Probes(*map(sum, zip(*(each.probes for each in rounds), strict=True)))
    patient = [name for each in rounds for name in each.patience.events]
    taken = [name for each in rounds for name in each.taken]
    lost = [sum(name not in held for name in names) for names in (patient, taken)]
    let_in = f"{withheld.admitted:,} let in"
    again = sum(each.patience.refusals for each in rounds)
    beside = f"of the flood's {len(taken):,} acknowledged {lost[1]:,} lost"
    query = f"a query {costs.query * 1e6:,.0f}"
    refusal = spread([costs.of_refusals(each) * 1e6 for each in rounds]).text()
    return [
        [
            f"p99 of queries below {AIM_RATIO:g} times that without callbacks",
            f"{ratio:.2f} times, the median of {len(rounds)}",
            verdict(is_met=ratio < AIM_RATIO),
        ],
        [
            "every refusal has Retry-After",
            f"{refused:,} × 429, {statuses[BUSY]:,} × 503, {without:,} without; {other:,} others",
            verdict(is_met=not other and not without),
        ],
        [
            "refused before the body is read",
            f"{withheld.refused:,} before, {withheld.too_late:,} after it; {let_in}",
            verdict(is_met=bool(withheld.refused) and not withheld.too_late),
        ],
        [
            "a refusal is cheap",
            f"{refusal} µs of CPU; a callback taken {costs.taken * 1e6:,.0f}, {query}",
            "",
        ],
        [
            "a sender that retries loses nothing",
            f"{len(patient):,} events, refused {again:,} times: {lost[0]:,} lost; {beside}",
            verdict(is_met=bool(again) and not any(lost)),
        ],
    ]


@click.command()
@click.option("--orders", type=click.IntRange(min=TEMPLATES), default=20_000, show_default=True)
@click.option("--seconds", default=60, show_default=True, help="length of half a round")
@click.option("--rounds", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def callbacks(orders: int, seconds: int, rounds: int, out: Path | None) -> None:
    """Measure queries beside callbacks at ten times their limit."""
    began_with = machine(SEED)
    os.sched_setaffinity(0, {OTHER_CORE})  # all that is started from here shares it
    with installed(with_redis=True) as (installation, port):
        named = publish(installation, orders, with_events=True)
        fill_redis(installation)
        serve, _ = start_serve(installation, port, SECRETS)
        paths = [f"/v1/orders/{name}" for name in named]
        url = f"{serve.url}/v1/carriers/rest/main/callback/{TOKEN}"
        folder = installation.folder
        costs = measure_costs(serve, url, paths, folder)
        found = [measure_round(serve, url, paths, seconds, folder) for _ in range(rounds)]
        held = held_events(installation.connection)
    os.sched_setaffinity(0, {SERVE_CORE, OTHER_CORE})
    head = (
        f"{orders:,} orders in Redis, queries for them at {QUERIES_PER_S}/s in an open loop; "
        f"callbacks at {TIMES * limit_per_s():,.0f}/s to one account, whose limit is "
        f"`{RATES['callback']}`; {rounds} rounds of {seconds} s alone and {seconds} s flooded."
    )
    told = "\n\n".join([began_with, head, report(found, costs, held)])
    click.echo(told)
    if out:
        put_sections(out, [Section("callbacks", told)])
