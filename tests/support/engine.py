"""`ordertide track` in a process of its own, with a broker and a folder of its own."""

import json
import random
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import TopicPartition

from broker.connect import Connection
from broker.embedded import PARTITIONS
from broker.fetcher import Fetcher, Message
from broker.produce import Producer, Record
from dataflows.core.routing import SHARDS
from deploy.installation import (
    Process,
    Tables,
    command_line,
    metrics_at,
    to_toml,
    write_settings,
)
from deploy.stack.ports import free_port
from schemas import topics
from schemas.instants import format_instant
from tests.support.samples import arrival_at
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 150.0  # several workers take turns on a busy core, idle ones too
MOST_WORKERS = 3
# Every topic of the engine except what goes in.
OUTPUTS = tuple(topic.name for topic in topics.TOPICS if topic.name != topics.EVENTS)

# The test server takes any, but requires some; a settings file may not hold them.
SECRETS = {"ORDERTIDE_STATE_ACCESS_KEY": "test", "ORDERTIDE_STATE_SECRET_KEY": "test"}

CLOCK = topics.CLOCK_KEY.encode()

Json = dict[str, Any]


class Broker(Protocol):
    """Broker of an engine."""

    connection: Connection

    def create(self, topic: str) -> None: ...


class Engine:
    """One engine that can be started again and again; `track` overrides settings of [track]."""

    def __init__(self, broker: Broker, folder: Path, **track: object) -> None:
        self.connection = broker.connection
        self.folder = folder
        self.track: dict[str, object] = {
            "clock": "recorded",
            "folder": str(folder / "track"),
            "epoch_ms": 50,
            **track,
        }
        self.telemetry: dict[str, object] = {
            "level": "WARNING",
            "logs": "text",
            "port": free_ports(),
        }
        self.state: dict[str, object] = {}
        self.environment: dict[str, str] = {}
        self.privacy = str(folder / "keys.json")
        self.process: Process | None = None
        self.started: list[Process] = []
        for topic in topics.TOPICS:
            broker.create(topic.name)
        self.producer = Producer(self.connection, linger_ms=0)
        self.tail = Tail(self.connection)

    def start(self, *options: str) -> None:
        """Run the command; it resumes the state in the folder."""
        path = write_settings(self.folder / "settings.toml", self.tables())
        self.process = Process(
            command_line("track", *options, settings=path),
            self.folder / "track.log",
            folder=ROOT,
            environment={**SECRETS, **self.environment},
        )
        self.started.append(self.process)

    def settings(self) -> str:
        """The settings file."""
        return to_toml(self.tables())

    def tables(self) -> Tables:
        connection = self.connection
        broker: dict[str, object] = {"bootstrap": connection.bootstrap}
        broker["embedded"] = connection.embedded
        broker["properties"] = {} if connection.embedded else dict(connection.properties)
        return {
            "broker": broker,
            "track": self.track,
            "state": self.state,
            "privacy": {"keys": self.privacy},
            "telemetry": self.telemetry,
        }

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for the command to end by itself."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def stop(self) -> None:
        """End it cleanly."""
        code = self.end()
        assert code == 0, self.output()

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        assert self.end(signal.SIGKILL) == -signal.SIGKILL, self.output()

    def metrics(self) -> dict[str, float]:
        """Values at /metrics, by name and labels; of all workers together."""
        found = defaultdict[str, float](float)
        for worker in range(self.workers):
            for name, value in metrics_at(self.port + worker).items():
                found[name.removeprefix("ordertide_")] += value
        return found

    @property
    def workers(self) -> int:
        """Number of processes."""
        return int(str(self.track.get("workers", 1)))

    @property
    def port(self) -> int:
        """Metrics port of the first of them."""
        return int(str(self.telemetry["port"]))

    def output(self) -> str:
        """Output of all its runs."""
        return (self.folder / "track.log").read_text("utf-8")

    def feed(self, events: Iterable[Json], partition: int | None = None) -> None:
        """Write events, in this order, keyed like any sender would, or into one partition."""
        records = [each._replace(partition=partition) for each in map(record, events)]
        self.producer.send_many(topics.EVENTS, records)
        self.producer.flush()

    def feed_until_killed(self, part: Sequence[Json], rng: random.Random) -> None:
        """Feed, kill once a drawn number of messages came out, and feed the rest after."""
        wanted = rng.randint(1, len(part))
        fed = seen = 0
        while seen < wanted and fed < len(part):
            step = rng.randint(1, 10)
            self.feed(part[fed : fed + step])
            fed += step
            seen += self.hear(rng.uniform(0, 0.05))
        self.kill()
        self.feed(part[fed:])

    def feed_raw(self, value: bytes, headers: list[tuple[str, bytes | None]] | None = None) -> None:
        """Write any bytes."""
        self.producer.send(topics.EVENTS, None, value, headers)
        self.producer.flush()

    def tick(self, at: int) -> None:
        """Promise on all partitions that everything up to `at` has been written."""
        data = json.dumps({"kind": "tick", "recorded_at": format_instant(at)}).encode()
        ticks = [Record(None, data, partition=partition) for partition in range(PARTITIONS)]
        self.producer.send_many(topics.EVENTS, ticks)
        self.producer.flush()

    def wait_for_clock(self, at: int) -> None:
        """Wait until every shard's watermark is at `at`; a minute must have passed by it."""
        reached: set[bytes] = set()
        self.wait_until(lambda message: heard_clock(message, at, reached))

    def pass_to(self, at: int) -> None:
        """Let the clock come to `at`, and wait until what follows from it is committed."""
        self.tick(at)
        self.wait_for_clock(at)
        self.wait_for_barrier()

    def finish(self, at: int) -> None:
        """Let the clock come to `at`, and stop: nothing that follows from the events is open."""
        self.tick(at)
        self.wait_for_clock(at)
        self.stop()

    def pass_half(self, events: Sequence[Json]) -> None:
        """Wait until every shard's watermark has come half the way through the last feed.

        A tick marks the last event so far: few orders don't reach every partition, and one
        without a late event would hold all watermarks back.
        """
        self.tick(arrival_at(events[-1]) - 1)
        self.wait_for_clock(arrival_at(events[len(events) // 2]))

    def wait_for_barrier(self) -> None:
        """Until an epoch has ended after now."""
        before = self.metrics()["epoch_seconds_count"]
        enough = before + 2 * self.workers
        wait_until(
            lambda: self.metrics()["epoch_seconds_count"] >= enough, "a barrier", shown=self.output
        )

    def wait_until(self, is_it: Callable[[Message], bool]) -> None:
        """Until a message of an output topic, among those not looked at yet, is it."""

        def has_come() -> bool:
            assert self.process is None or self.process.poll() is None, self.output()
            return any(is_it(message) for message in self.tail.read())

        wait_until(has_come, "a message", PATIENCE_S, self.output, pause_s=0)

    def hear(self, timeout_s: float) -> int:
        """Number of messages emitted since the last call, heartbeats apart."""
        heard = self.tail.read(timeout_s)
        return sum(not (message.key or b"").startswith(CLOCK) for message in heard)

    def close(self) -> None:
        """Leave nothing running."""
        for process in self.started:
            process.kill()  # does nothing to one that has ended
            process.wait()
        self.tail.close()
        self.producer.close()


class Tail:
    """Outputs, read as they are emitted."""

    def __init__(self, connection: Connection) -> None:
        self.fetcher = Fetcher(connection, "tail")
        partitions = [TopicPartition(t, p, 0) for t in OUTPUTS for p in range(PARTITIONS)]
        self.fetcher.client.assign(partitions)

    def read(self, timeout_s: float = 0.1) -> list[Message]:
        """The next messages; none after `timeout_s` without any."""
        return self.fetcher.fetch(500, timeout_s)

    def close(self) -> None:
        self.fetcher.client.close()


def free_ports(count: int = MOST_WORKERS) -> int:
    """The first of as many free ports in a row that no process has or is given meanwhile."""
    while True:
        ports = [free_port() for _ in range(count)]
        if ports[-1] - ports[0] == count - 1:
            return ports[0]


def record(event: Json) -> Record:
    """An event as a message, keyed by its order, else by its waybill."""
    key = event.get("order_id") or event.get("subject") or event.get("waybill") or ""
    return Record(key.encode(), json.dumps(event).encode())


def heard_clock(message: Message, at: int, reached: set[bytes]) -> bool:
    """Note a shard's heartbeat at `at` or later in `reached`; True once all have come."""
    key = message.key or b""
    is_beat = message.value is None and key.startswith(CLOCK)
    if is_beat and clock_of(message) >= at:
        reached.add(key)
    return len(reached) == len(SHARDS)


def clock_of(message: Message) -> int:
    """The stream clock that a message carries."""
    return next(int(value or b"-1") for name, value in message.headers if name == "clock")
