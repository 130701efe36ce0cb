"""Recordings by `ordertide load`: into a file, and from there in parts into the broker."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from click.testing import CliRunner

from benchmarks.scenario_installation import ScenarioInstallation
from broker.produce import Producer, Record
from broker.topics import partition_count
from commands.load import command
from loadgen.text import tick
from schemas.instants import parse_instant
from schemas.topics import EVENTS

# What the embedded broker takes before its reader has to follow: half of 5 MiB a partition.
AT_ONCE = 10_000


class Line(NamedTuple):
    """A message: when it arrives (None: it can't be read), its key, its bytes."""

    at: int | None
    key: bytes | None
    value: bytes


class Head(msgspec.Struct):
    """The fields read of an event."""

    recorded_at: str
    kind: str | None = None
    order_id: str | None = None
    waybill: str | None = None


class Recording(NamedTuple):
    """A recorded load and what is to be expected of it."""

    path: Path
    expected: dict[str, Any]

    @property
    def start_at(self) -> int:
        return parse_instant(self.expected["start"])

    @property
    def end_at(self) -> int:
        return parse_instant(self.expected["end"])

    def lines(self) -> Iterator[Line]:
        """All but the ticks, in order of arrival."""
        with self.path.open("rb") as stream:
            for text in stream:
                line = line_of(text.rstrip(b"\n"))
                if line is not None:
                    yield line


def line_of(value: bytes) -> Line | None:
    """A line of the file; None for a tick. What is malformed goes with its neighbours."""
    try:
        head = msgspec.json.decode(value, type=Head)
        at = parse_instant(head.recorded_at)
    except (msgspec.DecodeError, ValueError):
        return Line(None, None, value)
    if head.kind == "tick":
        return None
    name = head.order_id or head.waybill
    return Line(at, name.encode() if name else None, value)


def record(folder: Path, **options: object) -> Recording:
    """Run `ordertide load` into a file of `folder`.

    Raises:
        RuntimeError: it failed; with its output.
    """
    path, expect = folder / "events.ndjson", folder / "expect.json"
    words = [word for name, value in options.items() for word in (option(name), str(value))]
    ran = CliRunner().invoke(
        command, [*words, "--out", str(path), "--expect", str(expect), "--clock", "recorded"]
    )
    if ran.exit_code:
        raise RuntimeError(f"load {' '.join(words)}: {ran.output} {ran.exception}")
    return Recording(path, json.loads(expect.read_text("utf-8")))


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


class Feeder:
    """Writes to `events` as any sender does; on the embedded broker it waits for the reader."""

    def __init__(self, installation: ScenarioInstallation) -> None:
        self.installation = installation
        self.partitions = partition_count(installation.connection, EVENTS)
        self.producer = Producer(installation.connection)

    def feed(self, lines: Iterable[Line]) -> int:
        """Write messages; how many there were."""
        sent = 0
        batch: list[Record] = []
        for line in lines:
            batch.append(Record(line.key, line.value))
            sent += 1
            if len(batch) == AT_ONCE:
                self.write(batch)
                batch = []
        self.write(batch)
        return sent

    def write(self, batch: list[Record]) -> None:
        """Write a batch; let a running dataflow take it where the broker would drop it else."""
        self.producer.send_many(EVENTS, batch)
        self.producer.flush()
        if self.installation.connection.embedded and self.installation.track is not None:
            self.installation.drain()

    def tick(self, at: int) -> int:
        """Promise everywhere that everything up to `at` is written; how many messages that took."""
        ticks = [Record(None, tick(at), partition=number) for number in range(self.partitions)]
        self.write(ticks)
        return len(ticks)

    def close(self) -> None:
        self.producer.close()
