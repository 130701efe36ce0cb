"""`python -m benchmarks blocks`: accepted events written as messages, and as blocks of lines.

python -m benchmarks blocks                                200,000 events, on a broker beside it
python -m benchmarks blocks --events 20000 --rounds 3
python -m benchmarks blocks --kafka --out docs/benchmarks.md   on a Kafka started for it

A block is what an epoch has for a partition, an event a line (NDJSON), as one message. Both arms
take the same events in turn: those that the core writes to `orders.events`, an epoch of 5,000 at a
time, each flushed. Counted is all CPU time of this process, librdkafka's threads included; the
broker is another process.
"""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from zlib import crc32

import click

from benchmarks.core import BATCH, Core, in_batches, lines_of
from benchmarks.dataflow import in_a_folder, own_kafka
from benchmarks.events import Traffic
from benchmarks.report import Section, Spread, machine, put_sections, spread, table
from broker.connect import Connection
from broker.embedded import PARTITIONS, EmbeddedBroker, embedded_connection
from broker.produce import Producer, Row
from schemas.topics import ORDERS_EVENTS

SEED = 20_161_004
LIVE_ORDERS = 10_000

Epoch = list[tuple[str, bytes]]  # keys and accepted events
Arm = Callable[[Producer, Epoch], int]


def accepted_epochs(events: int) -> list[Epoch]:
    """Accepted events of the benchmarks' traffic, an epoch each."""
    core, traffic = Core(), Traffic(LIVE_ORDERS, SEED)
    core.fill(traffic)
    core.set_mode("publish")
    found = []
    for batch in in_batches(lines_of(traffic.steady(), events), BATCH):
        read = core.intake.door.read(batch)
        arrivals = read.recorded_at
        facts, *_ = read.take("events", 0, list(range(len(batch))), arrivals)
        outs = core.advance_made(dict(facts), arrivals[-1] or 0)
        found.append([row for out in outs for row in out.written.accepted])
    return found


def as_messages(producer: Producer, epoch: Epoch) -> int:
    """Write a message an event, as `track` does; their number."""
    rows: list[Row] = [(key, value, None) for key, value in epoch]
    producer.send_rows(ORDERS_EVENTS, rows)
    producer.flush()
    return len(rows)


def as_blocks(producer: Producer, epoch: Epoch) -> int:
    """Write a block a partition, all events of an order into the same one; their number."""
    parts: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for key, value in epoch:
        parts[crc32(key.encode()) % PARTITIONS].append(value)
    for partition, lines in enumerate(parts):
        if lines:
            producer.send(ORDERS_EVENTS, None, b"\n".join(lines), partition=partition)
    producer.flush()
    return sum(map(bool, parts))


ARMS: dict[str, Arm] = {"messages": as_messages, "blocks": as_blocks}


def measured(
    connection: Connection, epochs: Sequence[Epoch], rounds: int
) -> dict[str, tuple[Spread, int]]:
    """CPU µs an event of each arm, and its messages a round."""
    events = sum(map(len, epochs))
    costs: dict[str, list[float]] = {name: [] for name in ARMS}
    counts = dict.fromkeys(ARMS, 0)
    with Producer(connection) as producer:
        for _ in range(rounds + 1):
            for name, arm in ARMS.items():
                began = time.process_time()
                counts[name] = sum(arm(producer, epoch) for epoch in epochs)
                costs[name].append(1e6 * (time.process_time() - began) / events)
    return {name: (spread(each[1:]), counts[name]) for name, each in costs.items()}


def serve(pipe: Pipe) -> None:
    """Run an embedded broker until the pipe says so."""
    with EmbeddedBroker() as broker:
        broker.create(ORDERS_EVENTS)
        pipe.send(broker.bootstrap)
        pipe.recv()


@contextlib.contextmanager
def embedded_beside() -> Iterator[Connection]:
    """An embedded broker in a process of its own."""
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(its,))
    process.start()
    try:
        yield embedded_connection(ours.recv())
    finally:
        ours.send(None)
        process.join()


@click.command()
@click.option("--events", default=200_000, show_default=True, help="a round")
@click.option("--rounds", default=5, show_default=True, help="after one that isn't counted")
@click.option("--kafka", "real", is_flag=True, help="start a Kafka for it")
@click.option("--out", type=click.Path(path_type=Path, exists=True), help="update its section")
def blocks(*, events: int, rounds: int, real: bool, out: Path | None) -> None:
    """Compare accepted events as messages with blocks of them."""
    epochs = accepted_epochs(events)
    with in_a_folder(), own_kafka() if real else embedded_beside() as connection:
        found = measured(connection, epochs, rounds)
    size = sum(len(value) for epoch in epochs for _, value in epoch) / events
    said = (
        f"{machine(SEED)}; {'Kafka' if real else 'embedded broker'}; {events:,} events of "
        f"{size:,.0f} bytes in epochs of {BATCH:,}, {rounds} rounds in turn; median (least - most)."
    )
    rows = [[name, f"{count:,}", costs.text(2)] for name, (costs, count) in found.items()]
    saved = found["messages"][0].median - found["blocks"][0].median
    text = table(["orders.events as", "messages a round", "CPU µs an event"], rows)
    section = Section("blocks", f"{said}\n\n{text}\n\nBlocks save {saved:.2f} µs an event.")
    click.echo(f"## {section.name}\n\n{section.text}\n")
    if out:
        put_sections(out, [section])
