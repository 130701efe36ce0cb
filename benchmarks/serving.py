"""`python -m benchmarks serving`: the REST gateway under load. Needs `wrk` (apt-get install wrk).

python -m benchmarks serving                              all parts, about ten minutes
python -m benchmarks serving --part orders --orders 20000
python -m benchmarks serving --part live --orders 1000000
python -m benchmarks serving --out docs/benchmarks.md     update its section

`serve` has one core, the generator the other, with Redis and Kafka, all started for the run.
"""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import msgspec

from benchmarks.core import Core, in_batches
from benchmarks.events import Arrived, Traffic, to_json
from benchmarks.http_load import (
    ANSWER_S,
    CONNECTIONS,
    OTHER_CORE,
    SERVE_CORE,
    answers,
    asking,
    bare_framework,
    paced,
    percentile,
    pin,
    sending,
    wait_until,
    wrk,
)
from benchmarks.report import Section, machine, put_sections, spread, table, verdict
from benchmarks.scenario_installation import (
    ScenarioInstallation,
    resident_bytes,
    scenario_installation,
)
from broker.group_lags import GroupLags
from broker.produce import Producer
from commands.wiring.tiers import writer_group
from dataflows.core.intake import Origin
from deploy.installation import Process
from deploy.stack.ports import free_port
from deploy.stack.redis import Redis
from schemas import topics
from telemetry.http_client import HttpClient

SEED = 20_161_004
TEMPLATES = 2_000  # orders that are made; the others are copies under other ids
BATCH_EVENTS = 500
UNLIMITED = "1000000 per 1 second"
PARTS = ("orders", "events", "live")
AIM_ORDERS_PER_S, AIM_ORDERS_P99_MS, AIM_EVENTS_PER_S = 3_000, 20.0, 20_000
AIM_LOADED_S, AIM_ORDER_BYTES, AIM_PAGE_MS = 30.0, 250, 20.0
ROUNDS = 3
SAMPLED = 101  # answers, of which the median is the size of one
LIMITED = ("query", "ingest")  # classes of routes
FAST = {"appendonly": "no"}  # filling isn't measured

Line = tuple[bytes, bytes]  # key, value


class Copied(NamedTuple):
    """Messages of orders: (key, document), and the (key, event) of each, by a clock (ms)."""

    documents: list[Line]
    events: list[Line]
    clock_at: int


# ---------------------------------------------------------------- orders
def templates(count: int) -> Copied:
    """Orders at all stages, as `track` publishes them, and their accepted events."""
    core, traffic = Core(), Traffic(count, SEED)
    core.set_mode("judge")
    place, events = Origin("events", 0, 0), list[Line]()
    for batch in in_batches(traffic.fill(), core.batch):
        facts = [
            core.intake.fact(one, one.order_id or "", to_json(Arrived(at, one)), at, place)
            for at, one in batch
        ]
        for out in core.advance(facts, batch[-1].at):
            events += [(key.encode(), value) for key, value in out.written.accepted]
    documents = [
        (key.encode(), document)
        for shard in core.shards
        for key, data in shard.orders().items()
        if (document := shard.document(key, data))
    ]
    return Copied(documents, events, traffic.now_at)


def copies(lines: Sequence[Line], orders: int, of: int) -> Iterator[Line]:
    """Messages of so many orders: those of the templates again and again, under other ids."""
    for number in range(-(-orders // of)):
        suffix = b"-%d" % number
        for key, value in lines:
            yield key + suffix, value.replace(b'"%s"' % key, b'"%s"' % (key + suffix))


def publish(installation: ScenarioInstallation, orders: int, *, with_events: bool) -> list[str]:
    """Write the topics of so many orders; the ids of some."""
    made = templates(TEMPLATES)
    with Producer(installation.connection) as producer:
        clock = (topics.HEADER_CLOCK, b"%d" % made.clock_at)
        if with_events:
            for key, value in copies(made.events, orders, len(made.documents)):
                producer.send(topics.ORDERS_EVENTS, key, value, [clock])
        for key, value in copies(made.documents, orders, len(made.documents)):
            producer.send(topics.ORDERS_CHANGES, key, value, [clock])
    return [key.decode() for key, _ in copies(made.documents, orders, len(made.documents))]


# ---------------------------------------------------------------- processes
class Serve(NamedTuple):
    """A running `serve`: its process, address and administrator's key."""

    process: Process
    url: str
    key: str

    def client(self) -> HttpClient:
        """A client with the key."""
        return HttpClient(self.url, token=self.key, timeout_s=ANSWER_S)

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        client = self.client()
        try:
            return client.request("GET", path).body
        finally:
            client.close()


def start_serve(
    installation: ScenarioInstallation, port: int, secrets: Mapping[str, str] | None = None
) -> tuple[Serve, float]:
    """`serve` on its core, and the seconds until its live view was ready."""
    health = free_port()
    process = installation.processes.start("serve", port=health, environment=secrets)

    loaded_s = wait_until(
        lambda: answers(f"http://127.0.0.1:{health}/readyz"), "serve gets ready", process
    )
    pin(process.pid, SERVE_CORE)
    key = (installation.folder / "serve" / "admin-key").read_text("utf-8").strip()
    return Serve(process, f"http://127.0.0.1:{port}", key), loaded_s


# ---------------------------------------------------------------- parts
@contextmanager
def installed(*, with_redis: bool) -> Iterator[tuple[ScenarioInstallation, int]]:
    """Kafka and Redis, and the port of `serve`."""
    port = free_port()
    more: dict[str, dict[str, object]] = {
        "serve": {"port": port, "folder": "serve", "limits": dict.fromkeys(LIMITED, UNLIMITED)}
    }
    with ExitStack() as stack:
        if with_redis:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="serving-")))
            server = stack.enter_context(Redis(folder, options=FAST))
            more["hot"] = {"url": server.address["url"]}
            if running := server.process():
                pin(running.pid, OTHER_CORE)
        yield stack.enter_context(scenario_installation("kafka", {}, **more)), port


def fill_redis(installation: ScenarioInstallation) -> None:
    """Run `write hot` until it has written everything."""
    writer = installation.processes.start("write", "hot")
    group = writer_group("hot")
    read = {group: [topics.ORDERS_CHANGES, topics.ORDERS_EVENTS]}
    with GroupLags(installation.connection, read) as lags:

        def is_written() -> bool:
            lags.look()
            return lags.of[group].behind == 0

        wait_until(is_written, "write hot", writer)
    writer.stop(ANSWER_S)


def median_answer(serve: Serve, paths: Sequence[str]) -> bytes:
    """The answer of median size, of some by chance."""
    sampled = random.Random(SEED).sample(paths, SAMPLED)
    return sorted(map(serve.get, sampled), key=len)[SAMPLED // 2]


def measure_orders(orders: int, seconds: int) -> str:
    """Look-ups of orders in Redis, beside the framework alone."""
    with installed(with_redis=True) as (installation, port):
        paths = [f"/v1/orders/{name}" for name in publish(installation, orders, with_events=True)]
        fill_redis(installation)
        serve, _ = start_serve(installation, port)
        folder = installation.folder
        script = asking(folder, paths, serve.key)
        body = median_answer(serve, paths)
        with bare_framework(folder, body) as bare:
            runs = [
                (
                    wrk(bare, script, seconds, CONNECTIONS),
                    wrk(serve.url, script, seconds, CONNECTIONS),
                )
                for _ in range(ROUNDS)
            ]
        os.sched_setaffinity(0, {OTHER_CORE})
        half = median(ours.per_s for _, ours in runs) / 2
        latencies = paced(serve.client, paths, half, seconds)
        os.sched_setaffinity(0, {SERVE_CORE, OTHER_CORE})
    rows = [
        [
            name,
            spread([run.per_s for run in found]).text(),
            f"{found[-1].p50_ms:.1f}",
            f"{found[-1].p99_ms:.1f}",
            sum(run.faults for run in found),
        ]
        for name, found in (
            ("the framework alone, the same bytes", [bare_run for bare_run, _ in runs]),
            ("`GET /v1/orders/{id}`", [ours for _, ours in runs]),
        )
    ]
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    rate = median(ours.per_s for _, ours in runs)
    aims = [
        [
            f"at least {AIM_ORDERS_PER_S:,}/s",
            f"{rate:,.0f}",
            verdict(is_met=rate >= AIM_ORDERS_PER_S),
        ],
        [
            f"p99 below {AIM_ORDERS_P99_MS:.0f} ms at half that",
            f"{p99:.1f} ms (p50 {p50:.1f}) at {half:,.0f}/s",
            verdict(is_met=p99 < AIM_ORDERS_P99_MS),
        ],
    ]
    head = (
        f"**Orders**: {orders:,} of them in Redis; an answer has {len(body):,} bytes, the median "
        f"of {SAMPLED}; "
        f"{CONNECTIONS} connections, {ROUNDS} rounds of {seconds} s in turn."
    )
    heads = ["asked", "requests/s", "p50 ms", "p99 ms", "faults"]
    return "\n\n".join([head, table(heads, rows), table(["aim", "measured", ""], aims)])


def measure_events(seconds: int) -> str:
    """Events in batches, answered when all replicas have them."""
    traffic = Traffic(BATCH_EVENTS * 20, SEED)
    lines = [to_json(arrived) for arrived in islice(traffic.steady(), BATCH_EVENTS * 20)]
    bodies = [b"\n".join(part) for part in in_batches(lines, BATCH_EVENTS)]
    with installed(with_redis=False) as (installation, port):
        serve, _ = start_serve(installation, port)
        script = sending(installation.folder, bodies, serve.key)
        found = [wrk(serve.url, script, seconds, 8) for _ in range(ROUNDS)]
        with GroupLags(installation.connection, {"serving": [topics.EVENTS]}) as lags:
            lags.look()
            held = lags.of["serving"].behind
    rates = [run.per_s * BATCH_EVENTS for run in found]
    rate = median(rates)
    head = (
        f"**Events**: `POST /v1/events`, NDJSON, {BATCH_EVENTS} events a request, 8 connections, "
        f"{ROUNDS} rounds of {seconds} s; faults: {sum(run.faults for run in found)}; afterwards "
        f"the topic held {held:,} events."
    )
    aim = [
        f"at least {AIM_EVENTS_PER_S:,} events/s",
        f"{spread(rates).text()}; p99 of a batch {found[-1].p99_ms:.0f} ms",
        verdict(is_met=rate >= AIM_EVENTS_PER_S),
    ]
    return "\n\n".join([head, table(["aim", "measured", ""], [aim])])


def measure_live(orders: int, seconds: int) -> str:
    """The live view: loading it, its memory, and pages of a lane."""
    with installed(with_redis=False) as (installation, port):
        empty, _ = start_serve(installation, port)
        before_bytes = resident_bytes(empty.process.pid)
        empty.process.stop(ANSWER_S)
        publish(installation, orders, with_events=False)
        serve, loaded_s = start_serve(installation, port)
        grown_bytes = resident_bytes(serve.process.pid) - before_bytes
        counts = msgspec.json.decode(serve.get("/v1/lanes"))["lanes"]
        lane = max(("warning", "overdue"), key=lambda name: counts[name]["orders"])
        held = counts[lane]["orders"]
        paths = [f"/v1/lanes/{lane}?limit=50&skip={skip}" for skip in range(0, held, 50)]
        script = asking(installation.folder, paths, serve.key)
        pages = wrk(serve.url, script, seconds, 1)
    aims = [
        [
            f"loaded within {AIM_LOADED_S:.0f} s",
            f"{loaded_s:.1f} s, the interpreter's start included",
            verdict(is_met=loaded_s <= AIM_LOADED_S),
        ],
        [
            f"at most {AIM_ORDER_BYTES} B an order",
            f"{grown_bytes / orders:,.0f} B",
            verdict(is_met=grown_bytes / orders <= AIM_ORDER_BYTES),
        ],
        [
            f"any page of a lane at most {AIM_PAGE_MS:.0f} ms p99",
            f"{pages.p99_ms:.1f} ms (p50 {pages.p50_ms:.1f}) of 50 cards, among {held:,}",
            verdict(is_met=pages.p99_ms <= AIM_PAGE_MS),
        ],
    ]
    head = f"**Live view**: {orders:,} live orders on Kafka, {held:,} of them in the lane `{lane}`."
    return "\n\n".join([head, table(["aim", "measured", ""], aims)])


@click.command()
@click.option("--part", type=click.Choice(PARTS), multiple=True, help="this part (repeatable)")
@click.option(
    "--orders", type=click.IntRange(min=TEMPLATES), help="[default: 200,000; live: 1,000,000]"
)
@click.option("--seconds", default=15, show_default=True, help="length of a round")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def serving(part: tuple[str, ...], orders: int | None, seconds: int, out: Path | None) -> None:
    """Measure the REST gateway: look-ups, events, and the live view."""
    said = [machine(SEED)]
    for name in part or PARTS:
        if name == "orders":
            said.append(measure_orders(orders or 200_000, seconds))
        elif name == "events":
            said.append(measure_events(seconds))
        else:
            said.append(measure_live(orders or 1_000_000, seconds))
        click.echo(said[-1] + "\n")
    if out:
        put_sections(out, [Section("serving", "\n\n".join(said))])
