"""Cost of a transaction an epoch: `ordertide track` with it and without, in turn, on real Kafka.

Each arm of a pair has a Kafka, a folder and a process of its own, one after the other; the order
changes from pair to pair. Latency is from the intended send of an event (no coordinated omission)
to its order's document at a reader that reads committed, once probes have been sent for a while:
in a process and a broker that have just started, and behind a backlog, single ones take seconds,
with transactions and without. Throughput is over the last 90 % of
events that lie in the topic when the process starts, by the positions that it reports after each
barrier: documents become visible an epoch at a time.
"""

import contextlib
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from confluent_kafka import TopicPartition

from benchmarks.report import Section, machine, put_sections, table
from broker.committed import committed
from broker.connect import Connection
from broker.fetcher import Fetcher
from broker.produce import Producer, Record
from broker.topics import ensure_topics
from deploy.installation import RUN, Installation, Process, Tables, write_settings
from deploy.stack.kafka import Kafka
from schemas.errors import Busy
from schemas.instants import format_instant
from schemas.topics import EVENTS, ORDERS_CHANGES

PARTITIONS = 8
SEED = 0  # nothing is drawn
DRAIN_WITHIN_S, STOP_WITHIN_S = 300.0, 30.0
SETTLE_S, WARM_UP_S = 3.0, 30.0
ANSWER_S, POLL_S = 10.0, 0.02
GROUP = "ordertide-track"
ARMS = ("transactions", "none")
# The same command, but its producers have no transactional id.
WITHOUT = "import commands.track as t; t.transactional_id = lambda *_: None; import run; run.main()"


class Plan(NamedTuple):
    """Plan of every arm: events at once, then probes a second for some seconds.

    The probes of the first `warm_up_s` are not counted.
    """

    events: int
    per_s: float
    seconds: float
    warm_up_s: float
    epoch_ms: int


class Found(NamedTuple):
    """Figures of an arm."""

    events_per_s: float
    latencies_ms: list[float]


class Documents:
    """Notes when each order's first document is seen by a reader that reads committed."""

    def __init__(self, connection: Connection) -> None:
        """Read orders.changes from its beginning in a thread of its own, until `close`."""
        self.seen: dict[str, float] = {}
        self.is_over = threading.Event()
        self.fetcher = Fetcher(connection, "benchmark")
        self.fetcher.client.assign(
            [TopicPartition(ORDERS_CHANGES, number, 0) for number in range(PARTITIONS)]
        )
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Until `close`."""
        while not self.is_over.is_set():
            for message in self.fetcher.fetch(500, 0.05):
                self.seen.setdefault((message.key or b"").decode(), time.time())

    def wait(self, count: int, prefix: str, check: Process) -> None:
        """Wait for `count` orders whose ids begin with `prefix`.

        Raises:
            RuntimeError: they don't come.
        """
        give_up_at_s = time.monotonic() + DRAIN_WITHIN_S
        while True:
            seen = sum(key.startswith(prefix) for key in list(self.seen))
            if seen >= count:
                return
            if check.poll() is not None or time.monotonic() > give_up_at_s:
                raise RuntimeError(f"{seen} of {count} documents came; see track.log")
            time.sleep(0.1)

    def close(self) -> None:
        """Read no more."""
        self.is_over.set()
        self.thread.join()
        self.fetcher.client.close()


@click.command("transactions")
@click.option("--quick", is_flag=True, help="a smoke run of seconds; its figures mean nothing")
@click.option("--pairs", default=3, show_default=True)
@click.option("--events", default=100_000, show_default=True, help="for the throughput")
@click.option("--seconds", default=60.0, show_default=True, help="of probes that count")
@click.option("--per-s", default=50.0, show_default=True, help="probes a second")
@click.option("--epoch-ms", default=200, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def transactions(
    *,
    quick: bool,
    pairs: int,
    events: int,
    seconds: float,
    per_s: float,
    epoch_ms: int,
    out: Path | None,
) -> None:
    """Compare `track` with a transaction an epoch and without.

    \b
    python -m benchmarks transactions
    python -m benchmarks transactions --pairs 5 --out docs/benchmarks.md
    """
    plan = Plan(events, per_s, seconds, WARM_UP_S, epoch_ms)
    if quick:
        plan = Plan(500, 20.0, 1.0, 1.0, epoch_ms)
    began = machine(SEED)
    found: dict[str, list[Found]] = {arm: [] for arm in ARMS}
    for pair in range(1 if quick else pairs):
        for arm in ARMS if pair % 2 == 0 else ARMS[::-1]:
            found[arm].append(measure(arm, plan))
            click.echo(f"{arm}: {line_of([found[arm][-1]])}", err=True)
    section = Section("transactions", f"{began}\n\n{report(found, plan)}")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])


def measure(arm: str, plan: Plan) -> Found:
    """One arm, from an empty Kafka on."""
    with tempfile.TemporaryDirectory(prefix="transactions-") as name:
        folder = Path(name)
        with Kafka(folder / "kafka") as kafka:
            connection = Connection(kafka.address["bootstrap"])
            ensure_topics(connection, PARTITIONS)
            time.sleep(SETTLE_S)
            with Producer(connection) as producer:
                events = (event(f"many-{number}", time.time()) for number in range(plan.events))
                producer.send_many(EVENTS, events)
            with contextlib.closing(Documents(connection)) as documents:
                with running(arm, plan, folder, kafka.address["bootstrap"]) as process:
                    pace = pace_of(connection, plan.events, process)
                    documents.wait(plan.events, "many-", process)
                    time.sleep(SETTLE_S)
                    send_probes(connection, plan.per_s, plan.warm_up_s, "warm-up")
                    intended = send_probes(connection, plan.per_s, plan.seconds, "probe")
                    documents.wait(len(intended), "probe-", process)
                latencies = [(documents.seen[key] - at) * 1e3 for key, at in intended.items()]
    return Found(pace, sorted(latencies))


def pace_of(connection: Connection, events: int, check: Process) -> float:
    """Events a second from the first tenth on, by what the process reports as done.

    From its start on where one epoch does all, as in a smoke run.

    Raises:
        RuntimeError: it doesn't get there.
    """
    give_up_at_s = time.monotonic() + DRAIN_WITHIN_S
    partitions = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
    started = time.monotonic(), 0
    begun: tuple[float, int] | None = None
    with Fetcher(connection, GROUP) as fetcher:
        while True:
            stored = positions_of(fetcher, partitions)
            at_s, done = time.monotonic(), sum(max(part.offset, 0) for part in stored)
            if begun is None and done >= events // 10:
                begun = (at_s, done) if done < events else started
            if begun is not None and done >= events:
                return (events - begun[1]) / (at_s - begun[0])
            if check.poll() is not None or at_s > give_up_at_s:
                raise RuntimeError(f"{done} of {events} events are done; see track.log")
            time.sleep(POLL_S)


def positions_of(fetcher: Fetcher, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """The reported positions; none while the broker is unavailable."""
    try:
        return committed(fetcher.client, GROUP, partitions, ANSWER_S)
    except Busy:
        return []


@contextlib.contextmanager
def running(arm: str, plan: Plan, folder: Path, bootstrap: str) -> Iterator[Process]:
    """`ordertide track`, with transactions or without."""
    tables: Tables = {
        "broker": {"bootstrap": bootstrap},
        "track": {"folder": str(folder / "track"), "epoch_ms": plan.epoch_ms},
        "privacy": {"keys": str(folder / "keys.json")},
        "telemetry": {"level": "WARNING", "logs": "text"},
    }
    path = write_settings(folder / "ordertide.toml", tables)
    program = RUN if arm == "transactions" else (sys.executable, "-c", WITHOUT)
    process = Installation(path, folder, folder=folder, program=program).start("track")
    try:
        yield process
    except RuntimeError as failed:
        raise RuntimeError(process.log_tail()) from failed
    finally:
        process.stop(STOP_WITHIN_S)


def send_probes(
    connection: Connection, per_s: float, seconds: float, prefix: str
) -> dict[str, float]:
    """Send on schedule; when each was to be sent."""
    intended: dict[str, float] = {}
    with Producer(connection, linger_ms=0) as producer:
        began = time.time()
        for number in range(int(per_s * seconds)):
            due = began + number / per_s
            time.sleep(max(due - time.time(), 0))
            name = f"{prefix}-{number}"
            intended[name] = due
            producer.send(EVENTS, *event(name, due)[:2])
    return intended


def event(name: str, at: float) -> Record:
    """An order that is paid."""
    said = {
        "event_id": f"{name}-paid",
        "source": "probe",
        "order_id": name,
        "status_code": "PAID",
        "timestamp": format_instant(int(at * 1000)),
    }
    return Record(name.encode(), json.dumps(said).encode())


def report(found: dict[str, list[Found]], plan: Plan) -> str:
    """The medians of the arms, and of the differences within pairs."""
    rows = [
        [arm, f"{paces_of(runs):,.0f}", *(f"{median_of(runs, share):,.0f}" for share in (50, 99))]
        for arm, runs in found.items()
    ]
    pairs = list(zip(*(found[arm] for arm in ARMS), strict=True))
    slower = statistics.median(
        1 - with_.events_per_s / without.events_per_s for with_, without in pairs
    )
    later = [
        statistics.median(
            percentile(with_, share) - percentile(without, share) for with_, without in pairs
        )
        for share in (50, 99)
    ]
    rows.append(["cost (median of pairs)", f"{slower:.0%}", *(f"{ms:+,.0f}" for ms in later)])
    heads = ["arm", "events/s", "p50 ms", "p99 ms"]
    said = (
        f"{len(pairs)} interleaved pairs; epochs of {plan.epoch_ms} ms, {plan.events:,} events at "
        f"once, then {plan.per_s:.0f} probes a second: those of {plan.seconds:.0f} s count, behind "
        f"{plan.warm_up_s:.0f} s of others; medians."
    )
    return f"{said}\n\n{table(heads, rows)}"


def line_of(runs: list[Found]) -> str:
    """An arm in a line."""
    shares = ", ".join(f"p{share} {median_of(runs, share):,.0f} ms" for share in (50, 99))
    return f"{paces_of(runs):,.0f} events/s, {shares}"


def paces_of(runs: list[Found]) -> float:
    """The median throughput."""
    return statistics.median(run.events_per_s for run in runs)


def median_of(runs: list[Found], share: int) -> float:
    """The median of a percentile."""
    return statistics.median(percentile(run, share) for run in runs)


def percentile(run: Found, share: int) -> float:
    """The latency that `share` % of the probes don't exceed."""
    return run.latencies_ms[min(len(run.latencies_ms) * share // 100, len(run.latencies_ms) - 1)]
