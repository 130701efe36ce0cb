"""`ordertide track` with one worker, beside a pipeline that only decodes and writes.

Both live through the whole run and have their rounds in turn: A B A B. The broker has the other
core; the process that is not being measured is held.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks import plain
from benchmarks.core import in_batches, short_lived_text
from benchmarks.events import Arrived, Traffic
from benchmarks.flow import ROUND_EVENTS, Flow, Line, Names, Pace, line_of
from benchmarks.report import Section, spread, table
from broker.connect import Connection
from broker.embedded import PARTITIONS, EmbeddedBroker
from broker.topics import ensure_topics
from schemas.instants import format_instant
from schemas.topics import EVENTS, ORDERS_EVENTS, TOPICS, TopicSettings

TRACK = Names(EVENTS, ORDERS_EVENTS)
PLAIN = Names(plain.TOPIC, plain.OUT)
PLAIN_TOPICS = (TopicSettings(plain.TOPIC), TopicSettings(plain.OUT))
PLAIN_LINES = 20_000  # it keeps no state, so it is given the same ones again

SETTINGS = """\
[broker]
bootstrap = "{bootstrap}"
embedded = {embedded}
[track]
clock = "recorded"
workers = 1
folder = "track"
lifecycle = "lifecycle.toml"
[privacy]
keys = "keys.json"
[telemetry]
level = "WARNING"
"""


class Trial(NamedTuple):
    """How large the run shall be. `bootstrap`: a Kafka without our topics, else the embedded."""

    orders: int
    seconds: float
    rounds: int
    seed: int
    bootstrap: str | None


def measure_dataflow(trial: Trial) -> Section:
    """Fill, then rounds in turn."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_a_folder())
        connection = stack.enter_context(broker_at(trial.bootstrap))
        track, yardstick = start(trial, connection)
        stack.callback(track.close)
        stack.callback(yardstick.close)
        return Section("dataflow", report(trial, *paces(trial, track, yardstick)))


@contextlib.contextmanager
def in_a_folder() -> Iterator[None]:
    """Settings, state and logs lie in a folder that goes with the run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def broker_at(bootstrap: str | None) -> Iterator[Connection]:
    """The broker, with its topics."""
    if bootstrap:
        connection = Connection(bootstrap)
        ensure_topics(connection, PARTITIONS, topics=(*TOPICS, *PLAIN_TOPICS))
        yield connection
        return
    with EmbeddedBroker() as broker:
        for topic in (*TOPICS, *PLAIN_TOPICS):
            broker.create(topic.name)
        yield broker.connection


def start(trial: Trial, connection: Connection) -> tuple[Flow, Flow]:
    """Both processes, in the folder we are in."""
    is_embedded = trial.bootstrap is None
    bootstrap = connection.bootstrap
    embedded = str(is_embedded).lower()
    settings = SETTINGS.format(bootstrap=bootstrap, embedded=embedded)
    Path("track.toml").write_text(settings, "utf-8")
    Path("lifecycle.toml").write_text(short_lived_text(), "utf-8")
    root = Path(plain.__file__).parent.parent
    run_track = [sys.executable, str(root / "run.py"), "track", "--settings", "track.toml"]
    kind = ["embedded"] if is_embedded else []
    run_plain = [sys.executable, "-m", "benchmarks.plain", bootstrap, *kind]
    return (
        Flow(TRACK, run_track, connection, root),
        Flow(PLAIN, run_plain, connection, root),
    )


def paces(trial: Trial, track: Flow, yardstick: Flow) -> tuple[list[Pace], list[Pace]]:
    """Rounds in turn, each as long as the pace seen before says; the first ones are to warm up."""
    traffic = Traffic(trial.orders, trial.seed)
    stream = traffic.steady()
    plain_lines = lines_of(Traffic(PLAIN_LINES, trial.seed).steady(), PLAIN_LINES)
    filled = [track.round(part, ticks(traffic)) for part in fill_lines(traffic)][-1]
    yardstick.round(plain_lines, [])
    warmed = yardstick.round(plain_lines * 2, [])
    count = fitting(filled.events_per_s * trial.seconds)
    plain_count = fitting(warmed.events_per_s * trial.seconds)
    tracked: list[Pace] = []
    passed: list[Pace] = []
    for _ in range(trial.rounds):
        lines = lines_of(stream, count)
        tracked.append(track.round(lines, ticks(traffic)))
        passed.append(yardstick.round(list(islice(cycle(plain_lines), plain_count)), []))
    return tracked, passed


def lines_of(stream: Iterator[Arrived], count: int) -> list[Line]:
    """The next messages with their keys."""
    return [line_of(arrived) for arrived in islice(stream, count)]


def fitting(count: float) -> int:
    """A number of events that the embedded broker can hold."""
    return min(int(count), ROUND_EVENTS)


def fill_lines(traffic: Traffic) -> Iterator[list[Line]]:
    """The messages of the first rounds, after which the orders are at every stage."""
    for batch in in_batches(traffic.fill(), ROUND_EVENTS):
        yield [line_of(arrived) for arrived in batch]


def ticks(traffic: Traffic) -> list[bytes]:
    """The feeder's promise for each partition, so that no event is left waiting for the clock."""
    at = format_instant(traffic.now_at)
    return [b'{"kind":"tick","recorded_at":"%s"}' % at.encode()] * PARTITIONS


def report(trial: Trial, tracked: list[Pace], passed: list[Pace]) -> str:
    """The table."""
    ratios = [a.events_per_s / b.events_per_s for a, b in zip(tracked, passed, strict=True)]
    where = "the embedded broker" if trial.bootstrap is None else "Kafka"
    rows = [
        [
            name,
            spread([p.events_per_s for p in found]).text(),
            spread([p.cpu_us for p in found]).text(1),
        ]
        for name, found in (("track", tracked), ("decode and write", passed))
    ]
    said = (
        f"One worker, {where}, {trial.orders:,} live orders, {trial.rounds} rounds each in turn. "
        "Events whose output the broker has acknowledged; median (least - most)."
    )
    share = f"track does {spread(ratios).text(2)} of what the bare pipeline does."
    heads = ["pipeline", "events/s", "CPU µs an event, whole process"]
    return "\n\n".join([said, table(heads, rows), share])
