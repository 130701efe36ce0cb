"""`python -m benchmarks door`: what a message costs at the door, the compiled one and Python's.

python -m benchmarks door                                       200,000 messages of each kind
python -m benchmarks door --messages 20000 --rounds 3
python -m benchmarks door --out docs/benchmarks.md              update its section

A source task takes batches of 5,000 messages and shares them out; counted is all CPU time from the
messages that the consumer gave to what the shards take: facts, registrations and questions.
*Python* is the way of a message that the compiled door leaves, here of every one. Both take the
same batches in turn, in one process. No broker is read, nothing is judged.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import click
import msgspec

from benchmarks.core import in_batches
from benchmarks.events import Traffic, to_json
from benchmarks.plain import NoMetrics
from benchmarks.report import Section, machine, put_sections, spread, table
from broker.clock import PartitionClock
from broker.consume import Message
from broker.embedded import EmbeddedBroker
from dataflows.core.compiled import Facts
from dataflows.core.intake import Intake
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.exchange import Batch
from dataflows.source_task import SourceSettings, SourceTask
from dataflows.track import share_numbers, share_orders
from examples.olist.adapter import events as olist_events
from loadgen.options import Amount, Times, plan_of
from loadgen.plan import Shares
from loadgen.stream import Stream
from loadgen.text import Text
from schemas.topics import EVENTS

SEED = 20_161_004
BATCH = 5_000
LIVE_ORDERS = 10_000
START = "2026-01-01T00:00:00Z"
TRAFFIC = ("events.py", "load, lives of real length", "load --rate 1000", "Olist")

encode = msgspec.msgpack.Encoder().encode
Take = Callable[[SourceTask, list[Message], PartitionClock, Batch], object]


def benchmark_values() -> Iterator[bytes]:
    """Messages of the benchmarks' own traffic."""
    traffic = Traffic(LIVE_ORDERS, SEED)
    return map(to_json, traffic.steady())


def load_values(amount: Amount, length: str) -> Iterator[bytes]:
    """Messages of `ordertide load`, with its faults."""
    plan = plan_of(amount, Times(START, length, None, "10m", 3.0), Shares(), SEED, is_daily=None)
    text = Text("L1", plan.scale, recorded=True)
    for _, sent in Stream(plan).slices():
        yield from map(text.value, sent)


def values_of(name: str, count: int) -> list[bytes]:
    """So many messages of a kind of traffic; fewer where it has no more."""
    kinds: dict[str, Callable[[], Iterator[bytes]]] = {
        TRAFFIC[0]: benchmark_values,
        TRAFFIC[1]: lambda: load_values(Amount(count / 1_500, None, None), "120d"),
        TRAFFIC[2]: lambda: load_values(Amount(None, 1_000, 10_000), "10m"),
        TRAFFIC[3]: lambda: map(msgspec.json.encode, olist_events()),
    }
    return list(islice(kinds[name](), count))


def by_python(task: SourceTask, part: list[Message], clock: PartitionClock, batch: Batch) -> None:
    """Take messages one by one, as those that the compiled door leaves."""
    for message in part:
        task.take(message, clock, batch)


def taken(task: SourceTask, take: Take, batches: Sequence[list[Message]]) -> float:
    """CPU seconds to take batches and share them out, facts as the shards take them."""
    clock = PartitionClock("recorded", lambda: 0)
    gc.collect()
    began = time.process_time()
    for part in batches:
        batch = Batch(0, clock.watermark, [], [], [], [], [], [])
        take(task, part, clock, batch)
        for _, piece in share_orders(batch):
            if piece.facts:
                Facts(encode(piece.facts))
        share_numbers(batch)
    return time.process_time() - began


def share_taken(decoder: Decoder, values: Sequence[bytes]) -> float:
    """Share of messages that the compiled door takes."""
    read = decoder.read_plain([(value, []) for value in values])
    return sum(at is not None for at in read.recorded_at) / len(values)


def task_of(broker: EmbeddedBroker, decoder: Decoder) -> SourceTask:
    """A source task without partitions."""
    settings = SourceSettings(
        connection=broker.connection,
        topic=EVENTS,
        group="door",
        clock="recorded",
        margin_ms=0,
        epoch_ms=1,
        tasks=1,
        now=lambda: 0,
        proven=lambda: None,
        stopping=lambda: False,
        count_partitions=lambda: 0,
        decoder=decoder,
        metrics=NoMetrics(),
    )
    return SourceTask(0, None, settings)


def measured(task: SourceTask, name: str, count: int, rounds: int) -> list[object]:
    """A row of the table: the traffic, the share taken, and both costs in µs a message."""
    values = values_of(name, count)
    messages = [Message(EVENTS, 0, at, 0, b"", value, []) for at, value in enumerate(values)]
    batches = list(in_batches(messages, BATCH))
    seconds: dict[str, list[float]] = {"python": [], "compiled": []}
    for _ in range(rounds):
        seconds["python"].append(taken(task, by_python, batches))
        seconds["compiled"].append(taken(task, SourceTask.take_all, batches))
    costs = {
        way: spread([1e6 * each / len(values) for each in found]) for way, found in seconds.items()
    }
    share = share_taken(task.settings.decoder, values)
    times = costs["python"].median / costs["compiled"].median
    return [
        *(name, f"{len(values):,}", f"{share:.2%}"),
        *(costs["python"].text(1), costs["compiled"].text(1), f"{times:.1f}"),
    ]


@click.command()
@click.option("--messages", default=200_000, show_default=True, help="of each kind of traffic")
@click.option("--rounds", default=5, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def door(messages: int, rounds: int, out: Path | None) -> None:
    """Measure the door: Python's and the compiled one."""
    lifecycle = read_lifecycle()
    decoder = Decoder(
        Intake(lifecycle, read_rules(None, lifecycle)), lambda data, _: data, lambda data, _: data
    )
    said = f"{machine(SEED)}; {rounds} rounds in turn; CPU µs a message, median (least - most)"
    with EmbeddedBroker() as broker:
        task = task_of(broker, decoder)
        rows = [measured(task, name, messages, rounds) for name in TRAFFIC]
        task.close()
    heads = ["traffic", "messages", "taken", "Python", "compiled", "times"]
    section = Section("door", f"{said}\n\n{table(heads, rows)}")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
