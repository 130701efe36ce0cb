"""Servers and processes of an installation that is only there to be timed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import TopicPartition

from benchmarks import plain
from broker.clients import Consumer
from broker.connect import Connection
from broker.topics import ensure_topics, partition_count
from deploy.stack.elasticsearch import Elasticsearch
from deploy.stack.kafka import Kafka
from deploy.stack.prometheus import Alertmanager
from deploy.stack.redis import Redis
from deploy.stack.server import Server
from schemas.settings.model import Settings, read_settings
from schemas.topics import EVENTS

ROOT = Path(plain.__file__).parent.parent
SHIPPED = ROOT / "deploy" / "alertmanager" / "alertmanager.yaml"
PARTITIONS = 8
START_WITHIN_S = 120.0
ANSWER_S = 10.0
PARTS = (("track",), ("write", "hot"), ("write", "warm"), ("deliver",))
SETTINGS = """\
[broker]
bootstrap = "{bootstrap}"
[track]
folder = "track"
[hot]
url = "{redis}"
[warm]
url = "{elasticsearch}"
[delivery]
url = "{alertmanager}"
[privacy]
keys = "keys.json"
[telemetry]
level = "WARNING"
logs = "text"
"""


class Place(NamedTuple):
    """An installation that runs."""

    folder: Path
    settings: Settings
    connection: Connection
    processes: dict[str, "subprocess.Popen[bytes]"]

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start `ordertide WORDS` over its settings, with a log named after the last word."""
        command = [sys.executable, str(ROOT / "run.py"), *words, "--settings", "ordertide.toml"]
        with (self.folder / f"{words[-1]}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "ORDERTIDE_TELEMETRY_PORT": "0"},
            )

    def check(self) -> None:
        """Check that all processes run.

        Raises:
            RuntimeError: with the end of a log.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                said = (self.folder / f"{name}.log").read_text("utf-8", "replace")[-2_000:]
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{said}")

    def lag(self) -> int:
        """Events in the topic that the dataflow has not reported as done."""
        group = self.settings.track.group
        client = Consumer({**self.connection.config("consumer"), "group.id": group})
        try:
            count = partition_count(self.connection, EVENTS)
            parts = [TopicPartition(EVENTS, number) for number in range(count)]
            stored = client.committed(parts, timeout=ANSWER_S)
            ends = [client.get_watermark_offsets(part, timeout=ANSWER_S)[1] for part in parts]
        finally:
            client.close()
        return sum(end - max(at.offset, 0) for at, end in zip(stored, ends, strict=True))


@contextmanager
def installed(folder: Path, webhook: str) -> Iterator[Place]:
    """Start everything below `folder`; Alertmanager posts to `webhook`."""
    with ExitStack() as stack:
        servers = start_servers(folder, webhook, stack)
        addresses = {name: server.address for name, server in servers.items()}
        bootstrap = addresses["kafka"]["bootstrap"]
        urls = {name: found["url"] for name, found in addresses.items() if "url" in found}
        path = folder / "ordertide.toml"
        path.write_text(SETTINGS.format(bootstrap=bootstrap, **urls), "utf-8")
        place = Place(folder, read_settings(path), Connection(bootstrap), {})
        ensure_topics(place.connection, PARTITIONS)
        place.start("tier", "init").wait(START_WITHIN_S)
        stack.callback(end, place)
        for words in PARTS:
            place.processes[words[-1]] = place.start(*words)
        yield place


def start_servers(folder: Path, webhook: str, stack: ExitStack) -> dict[str, Server]:
    """All servers at once."""
    config = folder / "alertmanager.yaml"
    config.write_text(hurried(SHIPPED.read_text("utf-8"), webhook), "utf-8")
    servers: dict[str, Server] = {
        "kafka": Kafka(folder / "kafka"),
        "redis": Redis(folder / "redis"),
        "elasticsearch": Elasticsearch(folder / "elasticsearch", heap_mb=512),
        "alertmanager": Alertmanager(folder / "alertmanager", config=config),
    }
    for server in servers.values():
        server.start()
        stack.callback(server.stop)
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(lambda server: server.wait(START_WITHIN_S), servers.values()))
    return servers


def hurried(text: str, webhook: str) -> str:
    """Alertmanager's configuration as it ships, but it gathers for 0.1 s (5 s) and 1 s (30 s)."""
    text = text.replace("http://127.0.0.1:9094", webhook)
    return text.replace("group_wait: 5s", "group_wait: 100ms").replace(
        "group_interval: 30s", "group_interval: 1s"
    )


def end(place: Place) -> None:
    """Stop the processes."""
    for process in place.processes.values():
        process.terminate()
    give_up_at = time.monotonic() + ANSWER_S
    for process in place.processes.values():
        try:
            process.wait(max(give_up_at - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
