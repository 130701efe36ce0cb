"""The comparison: fill, rounds in turn, and the check of what came out."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.compare.broker import Broker, kafka, running
from benchmarks.compare.contender import Contender, Pace, Stalled
from benchmarks.compare.job import PARTITIONS, Obstacle, Ready, SystemContext, Trial
from benchmarks.compare.load import Load, tick_line
from benchmarks.compare.oracle import Oracle
from benchmarks.compare.outcome import alerts_of, last_changes
from benchmarks.compare.systems import made_ready
from benchmarks.compare.verdict import FinalResult, differences
from benchmarks.events import Arrived, to_json
from broker.consume import read_all
from broker.produce import Producer
from deploy.stack.errors import StackError
from schemas.topics import EVENTS

FED_AT_ONCE = 50_000


class Result(NamedTuple):
    """Result of one system: `fill` includes its start; `differs` lists differences."""

    name: str
    fill: Pace | None
    paces: list[Pace]
    differs: list[str]
    stopped: str  # why it did not come to the end; "" where it did


class Fed(NamedTuple):
    """Content of the topic: messages of this part, and changes expected of all of it."""

    messages: int
    changes: int


class Feeder:
    """Writes the load to the topic, and works out on the way what has to come of it."""

    def __init__(self, trial: Trial, broker: Broker) -> None:
        self.load = Load(trial.orders, trial.seed, trial.duplicates)
        self.oracle = Oracle(trial.silence_ms)
        self.producer = Producer(broker.connection)

    def feed(self, arrived: Iterable[Arrived]) -> Fed:
        """All of these, then a tick for each partition when they are in the log."""
        count = 0
        for one in arrived:
            line = to_json(one)
            self.oracle.take([line])
            self.producer.send(EVENTS, (one.event.order_id or "").encode(), line)
            count += 1
        self.producer.flush()
        clock_at = self.load.tick()
        self.oracle.advance(clock_at)
        for partition in range(PARTITIONS):
            self.producer.send(EVENTS, None, tick_line(clock_at), partition=partition)
        self.producer.flush()
        return Fed(count, self.oracle.changes)


def race(trial: Trial, names: Iterable[str]) -> tuple[list[Result], list[Obstacle]]:
    """All systems on the same messages; `names` in the order of their turns."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
        server = kafka(folder)
        context = SystemContext(server.address["bootstrap"], folder, trial)
        found = [made_ready(name, context) for name in names]
        ready = [one for one in found if isinstance(one, Ready)]
        broker = stack.enter_context(running(server))
        broker.create(ready)
        results = run(trial, ready, broker, folder)
        return results, [one for one in found if isinstance(one, Obstacle)]


def run(trial: Trial, systems: list[Ready], broker: Broker, folder: Path) -> list[Result]:
    """Fill, warm up, measure, check."""
    feeder = Feeder(trial, broker)
    fed = feeder.feed(feeder.load.fill())
    entries = [RaceEntry(ready, broker, folder) for ready in systems]
    try:
        each(entries, lambda entry: entry.begin(fed))
        for number in range(trial.rounds + 1):
            fed = feeder.feed(feeder.load.chunk(trial.events))
            turn = number % len(entries) if entries else 0
            label = "warm-up" if number == 0 else f"round {number}"
            each([*entries[turn:], *entries[:turn]], lambda entry: entry.go(fed, label))  # noqa: B023 - called at once
        each(entries, RaceEntry.settle)
    finally:
        for entry in entries:
            entry.close()
    expected = FinalResult(feeder.oracle.all_finals(), frozenset(feeder.oracle.alerts))
    return [entry.result(expected) for entry in entries]


class RaceEntry:
    """A system in the race, until it stops."""

    def __init__(self, ready: Ready, broker: Broker, folder: Path) -> None:
        self.ready = ready
        self.broker = broker
        self.folder = folder
        self.contender: Contender | None = None
        self.fill: Pace | None = None
        self.paces: list[Pace] = []
        self.stopped = ""

    def begin(self, fed: Fed) -> None:
        """Start it, and let it take the fill."""
        self.contender = Contender(self.ready, self.folder, self.broker.written)
        self.fill = self.contender.run_until(fed.changes, fed.messages)
        self.tell("fill", self.fill)

    def go(self, fed: Fed, label: str) -> None:
        """A round."""
        assert self.contender is not None, "it has begun"
        pace = self.contender.run_until(fed.changes, fed.messages)
        self.tell(label, pace)
        if label != "warm-up":
            self.paces.append(pace)

    def settle(self) -> None:
        """Let it emit its remaining output."""
        assert self.contender is not None, "it has begun"
        self.contender.settle()

    def close(self) -> None:
        """End its process."""
        if self.contender is not None:
            self.contender.close()

    def result(self, expected: FinalResult) -> Result:
        """Read its topics and hold them against what was to come."""
        if self.stopped:
            return Result(self.ready.name, self.fill, self.paces, [], self.stopped)
        changes, alerts = (
            read_all(self.broker.connection, topic)
            for topic in (self.ready.changes, self.ready.alerts)
        )
        found = FinalResult(last_changes(changes), frozenset(alerts_of(alerts, self.ready.alerts)))
        differs = differences(found, expected)
        return Result(self.ready.name, self.fill, self.paces, differs, "")

    def tell(self, what: str, pace: Pace) -> None:
        click.echo(f"{what}: {self.ready.name} {pace.events_per_s:,.0f} events/s", err=True)


def each(entries: Iterable[RaceEntry], step: Callable[[RaceEntry], None]) -> None:
    """The step, of every system that still runs; one that stalls is out, the others continue."""
    for entry in running_ones(entries):
        try:
            step(entry)
        except (Stalled, StackError) as reason:
            entry.stopped = str(reason)
            entry.close()
            click.echo(entry.stopped, err=True)


def running_ones(entries: Iterable[RaceEntry]) -> Iterator[RaceEntry]:
    """Those that haven't stopped."""
    return (entry for entry in entries if not entry.stopped)
