"""`ordertide poll` over HTTP against a simulated carrier: six virtual hours.

The poller's own loop asks a carrier that runs as a process of its own, through two of the built-in
pollers: `rest` in batches, `kuaidi100` one by one. The carrier fails now and then for an hour, is
away for ten minutes, and the poller is restarted with a gap of five. Virtual time stands while a
request or a write is under way, then half a second has passed. Fails unless what is promised holds.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import msgspec
from confluent_kafka import TopicPartition

from benchmarks.polled_carrier import (
    AWAY_HOUR,
    BEGIN_AT,
    FAULTS,
    FAULTY_HOUR,
    HOURS,
    Clock,
    Heard,
    PolledCarrier,
    Record,
    heard_of,
    under_way,
)
from benchmarks.polled_lives import MINUTE_MS, Life
from benchmarks.report import table
from broker.confirm import ConfirmingProducer
from broker.embedded import PARTITIONS, EmbeddedBroker
from broker.fetcher import BATCH_MESSAGES, Fetcher
from commands.poll.accounts import Account
from commands.poll.asked import AskedParcels
from commands.poll.parcels import News
from commands.poll.worker import PollParts, PollWorker
from dataflows.carriers.installed import open_poller
from dataflows.carriers.pollable import Asked
from dataflows.carriers.polling import INTERVALS_MS, PROMISED, PROMISED_MS, SILENT_MS
from schemas.instants import HOUR_MS, parse_instant
from schemas.topics import EVENTS
from telemetry.metrics import Metrics

SEED = 21
LATENCY_MS = 500
QUEUE_MS = 5_000
RESTART_HOUR, DOWN_MS = 4, 5 * MINUTE_MS
RESTART_AT, END_AT = BEGIN_AT + RESTART_HOUR * HOUR_MS, BEGIN_AT + HOURS * HOUR_MS
BURST_S = 60
WAIT_S, FETCH_S = 60.0, 0.1
LAG_MS = 5 * MINUTE_MS  # of the news behind the virtual clock, at most
BATCH = 40
EVERY_MS = 7 * MINUTE_MS
# What may come on top in an hour with faults, as the plan has it: the account's pauses, and the
# time by which the parcels of a failed request step back.
NOTES = {FAULTY_HOUR: " (faults)", AWAY_HOUR: " (away for 10 min)", RESTART_HOUR: " (restart)"}
EXTRA_MS = {FAULTY_HOUR: 25 * MINUTE_MS, AWAY_HOUR: 25 * MINUTE_MS, RESTART_HOUR: 2 * DOWN_MS}


class Trial(NamedTuple):
    """One account: its poller, the carrier's code, parcels, and those of a request."""

    poller: str
    code: str
    parcels: int
    batch: int
    timeout: str

    @property
    def rate(self) -> float:
        return 2.0 * self.parcels / self.batch / 1_000

    @property
    def account(self) -> str:
        return f"{self.poller}/trial"

    @property
    def title(self) -> str:
        return f"{self.parcels:,} parcels, {self.poller}, {self.rate:g} requests/s of {self.batch}"

    @property
    def options(self) -> dict[str, str]:
        options = {"rate": str(self.rate), "carriers": self.code, "timeout": self.timeout}
        if self.poller == "rest":
            return options | {"batch": str(self.batch)}
        return options | {"secret": "a key", "customer": "a customer"}

    @property
    def allowed_ms(self) -> float:
        """The promise, the time of two requests, and the wait for a token or in a short queue."""
        return PROMISED_MS + 2 * LATENCY_MS + max(1_000 / self.rate, QUEUE_MS)


class Outcome(NamedTuple):
    """Outcome of a trial: the carrier's record, events in the topic, and what is wrong."""

    record: Record
    events: int
    wrong: list[str]
    took_s: float


class Topic:
    """The topic `events`, read while the poller writes it."""

    def __init__(self, fetcher: Fetcher, parcels: list[Life]) -> None:
        self.fetcher = fetcher
        places = [TopicPartition(EVENTS, number, 0) for number in range(PARTITIONS)]
        fetcher.client.assign(places)
        self.known = {life.number: heard_of(life, BEGIN_AT) for life in parcels}
        self.scans: dict[str, set[int]] = {life.number: set() for life in parcels}
        self.changed = set(self.known)
        self.read = self.doubles = 0

    def fetch(self, timeout_s: float = 0.0) -> None:
        """Take what is at hand."""
        for message in self.fetcher.fetch(BATCH_MESSAGES, timeout_s):
            event = msgspec.json.decode(message.value or b"")
            number, at = event["waybill"], parse_instant(event["timestamp"])
            self.read += 1
            self.doubles += at in self.scans[number]
            self.scans[number].add(at)
            if at > self.known[number].news_at:
                self.known[number] = Heard(at, event["status_code"], at)
                self.changed.add(number)

    def changes(self, code: str) -> dict[str, News | None]:
        """By number: what is new of live parcels, as the follower of orders.changes has it."""
        changed, self.changed = self.changed, set()
        known = ((number, self.known[number]) for number in changed)
        return {
            number: None
            if heard.status == "DELIVERED"
            else News(Asked(number, code), heard.status, heard.news_at)
            for number, heard in known
        }


class Runner:
    """A trial while it runs."""

    def __init__(
        self, trial: Trial, carrier: PolledCarrier, broker: EmbeddedBroker, topic: Topic
    ) -> None:
        self.trial, self.carrier, self.broker, self.topic = trial, carrier, broker, topic
        self.clock = carrier.clock
        self.metrics = Metrics("poll")
        self.read_at = BEGIN_AT  # when all that was written had been read

    @contextmanager
    def worker(self, folder: Path) -> Iterator[PollWorker]:
        """A poller as `ordertide poll` wires it, with the clock of the trial and no lease."""
        options = {"url": self.carrier.url} | self.trial.options
        poller, config = open_poller(self.trial.poller, options)
        connection = self.broker.connection
        with ExitStack() as stack:
            parts = PollParts(
                accounts=[Account(self.trial.account, poller, config, INTERVALS_MS)],
                changes=lambda: self.topic.changes(self.trial.code),
                producer=stack.enter_context(closing(ConfirmingProducer(connection))),
                asked=stack.enter_context(closing(AskedParcels(folder / "asked", self.clock()))),
                metrics=self.metrics,
                now_ms=self.clock,
                verify=lambda: None,
            )
            worker = PollWorker(parts, threading.Event())
            stack.callback(worker.close)
            yield worker

    def run(self, worker: PollWorker, until: int) -> None:
        """Let virtual time pass until an instant."""
        while (now := self.clock()) < until:
            worker.step()
            if worker.is_busy:
                worker.wait(WAIT_S)
                self.clock.advance(now + LATENCY_MS // 2)  # a request and a write: two of these
                continue
            self.read(now)
            dues = (each.plan.next_at(now) for each in worker.parts.accounts)
            after = min((due for due in dues if due is not None), default=until)
            self.clock.advance(min(max(after, worker.paused_until, now + 1), until))

    def read(self, now: int) -> None:
        """Read the topic; to its end where that was long ago."""
        self.topic.fetch()
        while self.topic.read < self.written() and now - self.read_at > LAG_MS:
            self.topic.fetch(FETCH_S)
        if self.topic.read == self.written():
            self.read_at = now

    def written(self) -> int:
        """Events that the poller has sent."""
        name, labels = "ordertide_polled_scans_total", ("carrier", "outcome")
        values = dict(zip(labels, (self.trial.account, "new"), strict=True))
        return int(self.metrics.registry.get_sample_value(name, values) or 0)


def run_trial(trial: Trial) -> Outcome:
    """Ask for six virtual hours, with a restart."""
    began_s = time.perf_counter()
    parcels = under_way(trial.parcels, SEED)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        broker = stack.enter_context(EmbeddedBroker())
        broker.create(EVENTS)
        carrier = stack.enter_context(PolledCarrier(Clock(), trial.parcels, SEED, EVERY_MS))
        fetcher = stack.enter_context(Fetcher(broker.connection, "trial"))
        topic = Topic(fetcher, parcels)
        runner = Runner(trial, carrier, broker, topic)
        with runner.worker(folder) as worker:
            runner.run(worker, RESTART_AT)
        runner.clock.advance(RESTART_AT + DOWN_MS)
        topic.changed = set(topic.known)
        with runner.worker(folder) as worker:
            runner.run(worker, END_AT)
        while topic.read < runner.written():
            topic.fetch(FETCH_S)
        record = carrier.record()
    wrong = [*faults_of(trial, record), *lost_scans(topic, parcels)]
    return Outcome(record, topic.read, wrong, time.perf_counter() - began_s)


def faults_of(trial: Trial, record: Record) -> Iterator[str]:
    """Faults of a trial: the age of news, the rate, or faults that never came."""
    for hour in range(HOURS):
        allowed_ms = trial.allowed_ms + EXTRA_MS.get(hour, 0)
        if not 0 < record.oldest_ms.get(hour, 0) <= allowed_ms:
            age = f"{record.oldest_ms.get(hour, 0) / MINUTE_MS:.2f} min"
            yield f"hour {hour}: news {age} old, {allowed_ms / MINUTE_MS:.2f} min are allowed"
    if missing := {*FAULTS, "away"} - record.faults.keys():
        yield f"the carrier never had the faults {', '.join(sorted(missing))}"
    if (most := most_in(record, 1)) > 2 * max(1.0, trial.rate) + 1:
        yield f"{most} requests in a second"
    if (burst := after_restart(record)) > trial.rate * BURST_S + max(1.0, trial.rate) + 1:
        yield f"{burst} requests in the {BURST_S} s after the restart"


def lost_scans(topic: Topic, parcels: list[Life]) -> Iterator[str]:
    """Faults in the topic: scans that are missing, or there twice."""
    if topic.doubles:
        yield f"{topic.doubles} scans were written twice"
    due = END_AT - 35 * MINUTE_MS
    # A scan is promised once we know of the one before it: a label is asked for every four hours.
    lost = [
        (life.number, at)
        for life in parcels
        for (before_at, before), (at, _) in pairwise(life.scans)
        if before in PROMISED and BEGIN_AT < at < due and at - before_at < SILENT_MS
        if before_at <= BEGIN_AT or before_at in topic.scans[life.number]
        if at not in topic.scans[life.number]
    ]
    if lost:
        yield f"{len(lost)} scans are missing, such as {lost[0]}"


def most_in(record: Record, seconds: int) -> int:
    """The most requests in so many seconds in sequence."""
    instants = record.seconds
    return max(sum(instants.get(at + n, 0) for n in range(seconds)) for at in instants)


def after_restart(record: Record) -> int:
    """Requests in the first minute after the restart."""
    begin = (RESTART_AT + DOWN_MS) // 1000
    return sum(record.seconds.get(begin + n, 0) for n in range(BURST_S))


@click.command("polling-http")
@click.option("--batched", default=100_000, show_default=True, help="parcels in batches of 40")
@click.option("--single", default=3_000, show_default=True, help="parcels asked for one by one")
@click.option("--timeout", default="3s", show_default=True, help="of a request, in real time")
def polling_http(batched: int, single: int, timeout: str) -> None:
    """Ask a simulated carrier over HTTP for six virtual hours: in batches, and one by one."""
    trials = [
        Trial("rest", "jt", batched, BATCH, timeout),
        Trial("kuaidi100", "jt", single, 1, timeout),
    ]
    outcomes = [run_trial(trial) for trial in trials if trial.parcels]
    print(table(["", *(trial.title for trial in trials if trial.parcels)], rows_of(outcomes)))
    wrong = [line for outcome in outcomes for line in outcome.wrong]
    if wrong:
        raise SystemExit("\n".join(wrong))


def rows_of(outcomes: list[Outcome]) -> list[list[str]]:
    """Rows of the report, a column for each trial."""
    hours = [
        (f"oldest promised news, hour {hour + 1}{NOTES.get(hour, '')}", partial(oldest, hour))
        for hour in range(HOURS)
    ]
    rows: list[tuple[str, Callable[[Outcome], str]]] = [
        ("requests", lambda each: f"{sum(each.record.seconds.values()):,}"),
        ("answers about a parcel", lambda each: f"{sum(each.record.answered.values()):,}"),
        ("events written, each once", lambda each: f"{each.events:,}"),
        *hours,
        ("most requests in a second", lambda each: str(most_in(each.record, 1))),
        ("in the minute after the restart", lambda each: str(after_restart(each.record))),
        ("faults", lambda each: str(sum(each.record.faults.values()))),
        ("time", lambda each: f"{each.took_s:,.0f} s"),
    ]
    return [[name, *map(cell, outcomes)] for name, cell in rows]


def oldest(hour: int, outcome: Outcome) -> str:
    """Age of the oldest promised news of an hour."""
    return f"{outcome.record.oldest_ms.get(hour, 0) / MINUTE_MS:.2f} min"
