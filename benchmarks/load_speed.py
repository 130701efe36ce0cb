"""`python -m benchmarks.load_speed`: how fast `ordertide load` makes messages on one core.

python -m benchmarks.load_speed              into a file
python -m benchmarks.load_speed --kafka      and into a Kafka of its own; needs Java

A million live orders and their history come first and aren't counted: from then on every turn of
an order is found among a million others. CPU time is that of this process; with Kafka the client's
own threads are in it, and the broker is not.
"""

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import click

from benchmarks.report import machine
from broker.connect import Connection
from broker.topics import ensure_topics
from deploy.stack.kafka import Kafka
from loadgen.options import Amount, Times, plan_of
from loadgen.output import FileOutput, Output, TopicOutput
from loadgen.plan import Plan, Shares
from loadgen.stream import Stream
from loadgen.text import Text
from telemetry.collector import collect_seldom

ROUNDS = 5
RATE = 20_000
SECONDS = 20  # of the stream: a round's


def steady(live_orders: int) -> Plan:
    times = Times("2026-01-01T00:00:00Z", f"{ROUNDS * SECONDS}s", None, "10m", 3.0)
    return plan_of(Amount(None, RATE, live_orders), times, Shares(), seed=1, is_daily=False)


def measure(plan: Plan, output: Output) -> list[tuple[float, float]]:
    """(messages/s of wall time, CPU us a message) of each round."""
    stream = Stream(plan)
    marks = []
    messages, next_at = 0, plan.start_at
    with output:
        for until, sent in stream.slices():
            # Skipped: the history. Its orders are made and kept, and nothing is written.
            if until > plan.start_at:
                output.write(sent, 0)
                messages += len(sent)
            if until >= next_at:
                next_at += SECONDS * 1000
                marks.append((messages, time.perf_counter(), time.process_time()))
    return [
        ((b[0] - a[0]) / (b[1] - a[1]), (b[2] - a[2]) / (b[0] - a[0]) * 1e6)
        for a, b in pairwise(marks)
    ]


def report(name: str, plan: Plan, output: Output) -> None:
    rounds = sorted(measure(plan, output))
    rates, cpu = [rate for rate, _ in rounds], sorted(us for _, us in rounds)
    print(
        f"{name}: {rates[len(rates) // 2]:,.0f} ({rates[0]:,.0f} - {rates[-1]:,.0f}) messages/s, "
        f"{cpu[len(cpu) // 2]:.2f} ({cpu[0]:.2f} - {cpu[-1]:.2f}) us CPU a message"
    )


@click.command()
@click.option("--live-orders", default=1_000_000, show_default=True)
@click.option("--kafka", is_flag=True)
def main(live_orders: int, *, kafka: bool) -> None:
    collect_seldom()
    print(machine(1))
    plan = steady(live_orders)
    text = Text("L1", plan.scale, recorded=True)
    with tempfile.TemporaryDirectory() as name:
        report("file", plan, FileOutput(f"{name}/load.ndjson", text))
        if kafka:
            with Kafka(Path(name) / "kafka") as server:
                connection = Connection(server.address["bootstrap"])
                ensure_topics(connection, 8)
                report("kafka", plan, TopicOutput(connection, text, live=False))


if __name__ == "__main__":
    main()
