"""The yardstick: the same source and producer, and nothing between but decoding.

`python -m benchmarks.plain BOOTSTRAP [embedded]` reads the topic `plain`, decodes each event and
writes one message of 300 bytes for it, flushed at every epoch. It keeps no state and ends on
SIGTERM.
"""

import contextlib
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import cluster_main

from benchmarks.core import short_lived
from benchmarks.events import EVENT_BYTES
from broker.connect import Connection
from broker.embedded import embedded_connection
from broker.produce import Producer
from broker.topics import partition_count
from commands.wiring.process import now_ms, stop_event
from dataflows.core.compiled import Read
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.set_aside import Fault
from dataflows.decoding import Decoded, Decoder, Headers
from dataflows.definition_files import read_rules
from dataflows.exchange import Batch
from dataflows.source import SOURCE_TASKS, EventsSource
from dataflows.source_task import SourceSettings
from schemas.event import Event
from telemetry.collector import collect_seldom

TOPIC = "plain"
OUT = "plain.out"
GROUP = "plain"
EPOCH = timedelta(milliseconds=1)  # as in dataflows.track: a batch is an epoch


class PlainDecoder(Decoder):
    """Decodes, without any look-up."""

    def read_plain(self, messages: Iterable[tuple[bytes | None, Headers]]) -> Read:
        return self.intake.door.read([None for _ in messages])

    def decode(self, event: Event, data: bytes, arrival_at: int, origin: Origin) -> Decoded:
        fact = Fact(event.order_id or "", arrival_at, 0, 0, "", event.source, "", 0, data)
        return Decoded(fact, None, [])


class NoMetrics:
    """Watches nothing."""

    def restored(self, waiting: int) -> None: ...

    def seen(self, read: int, ticks: int, rejected: dict[str, int]) -> None: ...

    def dropped(self, names: list[str]) -> None: ...

    def unknown_code(self, source: str, code: str) -> None: ...

    def filled(self, shard: str, bounds: Mapping[str, float]) -> None: ...

    def refuted(self, messages: int) -> None: ...

    def claiming(self, task: int, partitions: int) -> None: ...

    def lag(self, topic: str, partition: int, messages: int) -> None: ...

    def advanced(
        self, shard: str, out: Output, watermark: int, orders: int, waiting: int
    ) -> None: ...

    def set_aside(self, shard: str, count: int, faults: list[Fault]) -> None: ...

    def resolved(self, shard: str, answers: Answers, waiting: int) -> None: ...

    def unsendable(self, topic: str, reason: str) -> None: ...

    def barrier(self, flush_s: float, commit_s: float) -> None: ...


class PlainPart(StatefulSinkPartition[Batch, None]):
    """One message an event; an epoch ends when all are acknowledged."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    def write_batch(self, values: list[Batch]) -> None:
        for batch in values:
            for fact in batch.facts:
                self.producer.send(OUT, fact.key.encode(), fact.raw[:EVENT_BYTES])

    def snapshot(self) -> None:
        self.producer.flush()


class PlainSink(FixedPartitionedSink[Batch, None]):
    """One partition: there is one worker."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> PlainPart:
        return PlainPart(self.producer)


def keyed(batch: Batch) -> tuple[str, Batch]:
    """For the only partition of the sink."""
    return ("0", batch)


def build(settings: SourceSettings, producer: Producer) -> Dataflow:
    """Source, sink."""
    flow = Dataflow("plain")
    batches = op.input("events", flow, EventsSource(settings))
    op.output("kafka", op.map("keyed", batches, keyed), PlainSink(producer))
    return flow


def settings_of(connection: Connection, stop: threading.Event) -> SourceSettings:
    """The settings that `ordertide track` has by default, and the plain decoder."""
    table = short_lived()
    intake = Intake(table, read_rules(None, table))
    decoder = PlainDecoder(
        intake, lambda data, _: data, lambda data, _: data, contextlib.nullcontext
    )
    return SourceSettings(
        connection=connection,
        topic=TOPIC,
        group=GROUP,
        clock="recorded",
        margin_ms=500,
        epoch_ms=200,
        tasks=SOURCE_TASKS,
        now=now_ms,
        proven=now_ms,
        stopping=stop.is_set,
        count_partitions=lambda: partition_count(connection, TOPIC),
        decoder=decoder,
        metrics=NoMetrics(),
    )


def main(bootstrap: str, *kind: str) -> None:
    collect_seldom()  # as track does
    stop = stop_event()
    connection = embedded_connection(bootstrap) if kind else Connection(bootstrap)
    with Producer(connection) as producer:
        flow = build(settings_of(connection, stop), producer)
        cluster_main(flow, [], 0, epoch_interval=EPOCH)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it


if __name__ == "__main__":
    main(*sys.argv[1:])
