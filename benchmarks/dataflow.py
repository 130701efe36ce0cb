"""`ordertide track` with one worker, beside a pipeline that only decodes and writes.

Both live through a whole run and have their rounds in turn: A B A B. The broker has the other
core; the process that is not being measured is held. Each number of live orders is a run with a
broker and a state of its own.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks import plain
from benchmarks.core import in_batches, short_lived_text
from benchmarks.events import Arrived, Traffic
from benchmarks.flow import ROUND_EVENTS, Flow, Line, Names, Pace, line_of
from benchmarks.report import Section, spread, table, verdict
from broker.connect import Connection
from broker.embedded import PARTITIONS, EmbeddedBroker
from broker.topics import ensure_topics
from deploy.installation import Tables, command_line, write_settings
from deploy.stack.kafka import Kafka
from schemas.instants import format_instant
from schemas.topics import EVENTS, ORDERS_EVENTS, TOPICS, TopicSettings

TRACK = Names(EVENTS, ORDERS_EVENTS)
PLAIN = Names(plain.TOPIC, plain.OUT)
PLAIN_TOPICS = (TopicSettings(plain.TOPIC), TopicSettings(plain.OUT))
REVIVED_LINES = 10_000  # wait for `track` when it comes back
# Live orders up to which a restart has so many seconds.
RESTART_AIMS_S = {1_000_000: 5, 5_000_000: 20}
PLAIN_LINES = 20_000  # it keeps no state, so it is given the same ones again


class Trial(NamedTuple):
    """Size of the runs, one for each number of live orders.

    `bootstrap`: a Kafka without our topics, good for one run; `kafka`: start one for each; else the
    embedded broker.
    """

    sizes: Sequence[int]
    seconds: float
    rounds: int
    seed: int
    bootstrap: str | None
    kafka: bool


class Found(NamedTuple):
    """The paces of one run, and the seconds from a restart after kill -9 to the first output."""

    orders: int
    tracked: list[Pace]
    passed: list[Pace]
    restart_s: float


def measure_dataflow(trial: Trial) -> Section:
    """A run for each size."""
    return Section("dataflow", report(trial, [run(trial, orders) for orders in trial.sizes]))


def run(trial: Trial, orders: int) -> Found:
    """Fill, then rounds in turn."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_a_folder())
        connection = stack.enter_context(broker_for(trial))
        track, yardstick = start(connection)
        stack.callback(track.close)
        stack.callback(yardstick.close)
        return paces(trial, orders, track, yardstick)


@contextlib.contextmanager
def in_a_folder() -> Iterator[None]:
    """Settings, state and logs lie in a folder that goes with the run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def broker_for(trial: Trial) -> Iterator[Connection]:
    """The broker, with its topics."""
    if not trial.bootstrap and not trial.kafka:
        with EmbeddedBroker() as broker:
            for topic in (*TOPICS, *PLAIN_TOPICS):
                broker.create(topic.name)
            yield broker.connection
        return
    topics = (*TOPICS, *PLAIN_TOPICS)
    if not trial.bootstrap:
        with own_kafka(topics) as connection:
            yield connection
        return
    connection = Connection(trial.bootstrap)
    ensure_topics(connection, PARTITIONS, topics=topics)
    yield connection


@contextlib.contextmanager
def own_kafka(topics: Sequence[TopicSettings] = TOPICS) -> Iterator[Connection]:
    """A Kafka that is started for it in the folder we are in, with its topics."""
    with Kafka(Path("kafka")) as server:
        connection = Connection(server.address["bootstrap"])
        ensure_topics(connection, PARTITIONS, topics=topics)
        yield connection


def start(connection: Connection) -> tuple[Flow, Flow]:
    """Both processes, in the folder we are in."""
    kind = ["embedded"] if connection.embedded else []
    run_plain = [sys.executable, "-m", "benchmarks.plain", connection.bootstrap, *kind]
    return (
        Flow(TRACK, track_command(connection), connection),
        Flow(PLAIN, run_plain, connection),
    )


def track_command(connection: Connection, workers: int = 1) -> list[str]:
    """The command line of `ordertide track`, with its settings in the folder we are in."""
    Path("lifecycle.toml").write_text(short_lived_text(), "utf-8")
    tables: Tables = {
        "broker": {"bootstrap": connection.bootstrap, "embedded": connection.embedded},
        "track": {
            "clock": "recorded",
            "workers": workers,
            "folder": "track",
            "lifecycle": "lifecycle.toml",
        },
        "privacy": {"keys": "keys.json"},
        "telemetry": {"level": "WARNING"},
    }
    return command_line("track", settings=write_settings(Path("track.toml"), tables))


def paces(trial: Trial, orders: int, track: Flow, yardstick: Flow) -> Found:
    """Rounds in turn, each as long as the pace before requires; the first ones are to warm up.

    `track` is killed at the end, and comes back.
    """
    traffic = Traffic(orders, trial.seed)
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
    restart_s = track.revive(lines_of(stream, REVIVED_LINES), ticks(traffic))
    return Found(orders, tracked, passed, restart_s)


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


def report(trial: Trial, runs: list[Found]) -> str:
    """The tables."""
    where = "Kafka" if trial.bootstrap or trial.kafka else "the embedded broker"
    rows = [
        [
            f"{found.orders:,}",
            name,
            spread([p.events_per_s for p in held]).text(),
            spread([p.cpu_us for p in held]).text(1),
            share,
        ]
        for found in runs
        for name, held, share in (
            ("track", found.tracked, spread(ratios_of(found)).text(2)),
            ("decode and write", found.passed, "1"),
        )
    ]
    said = (
        f"One worker, {where}, {trial.rounds} rounds each in turn. "
        "Events whose output the broker has acknowledged; median (least - most)."
    )
    heads = ["live orders", "pipeline", "events/s", "CPU µs an event", "of the bare pipeline"]
    return "\n\n".join([said, table(heads, rows), restarts(runs), *flatness(runs)])


def restarts(runs: list[Found]) -> str:
    """Time to come back, of each."""
    heads = ["kill -9 at live orders", "restart to first output, s", "aim, s", ""]
    rows = []
    for found in runs:
        aim = next((aim for size, aim in RESTART_AIMS_S.items() if found.orders <= size), None)
        met = verdict(is_met=found.restart_s < aim) if aim else ""
        rows.append([f"{found.orders:,}", f"{found.restart_s:.1f}", aim or "", met])
    return table(heads, rows)


def ratios_of(found: Found) -> list[float]:
    """Ratio of `track` to the bare pipeline, round by round."""
    pairs = zip(found.tracked, found.passed, strict=True)
    return [tracked.events_per_s / passed.events_per_s for tracked, passed in pairs]


def flatness(runs: list[Found]) -> list[str]:
    """The largest number of orders beside the smallest; nothing of one alone."""
    if len(runs) == 1:
        return []
    few, many = min(runs), max(runs)
    costs = [spread([pace.cpu_us for pace in found.tracked]).median for found in (few, many)]
    change = costs[1] / costs[0] - 1
    aim = f"CPU µs an event: {many.orders:,} live orders within 15 % of {few.orders:,}"
    return [
        table(["aim", "measured", ""], [[aim, f"{change:+.0%}", verdict(is_met=change <= 0.15)]])
    ]
