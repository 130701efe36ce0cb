"""Servers and processes of an installation that is only there to be timed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from broker.connect import Connection
from broker.group_lags import GroupLags
from broker.topics import ensure_topics
from deploy.installation import ROOT, Installation, Tables, write_settings
from deploy.stack.elasticsearch import Elasticsearch
from deploy.stack.kafka import Kafka
from deploy.stack.prometheus import Alertmanager
from deploy.stack.redis import Redis
from deploy.stack.server import Server
from schemas.settings.model import Settings, read_settings
from schemas.topics import EVENTS

SHIPPED = ROOT / "deploy" / "alertmanager" / "alertmanager.yaml"
PARTITIONS = 8
START_WITHIN_S = 120.0
ANSWER_S = 10.0
PARTS = (("track",), ("write", "hot"), ("write", "warm"), ("deliver",))


class RunningInstallation(NamedTuple):
    """An installation that runs."""

    settings: Settings
    connection: Connection
    processes: Installation
    tools: Installation  # commands that end by themselves

    def check(self) -> None:
        """Check that all processes run; raises `ProcessEnded`."""
        self.processes.check()

    def lag(self) -> int:
        """Events in the topic that the dataflow has not reported as done."""
        group = self.settings.track.group
        with GroupLags(self.connection, {group: [EVENTS]}) as lags:
            lags.look()
            return lags.of[group].behind


@contextmanager
def installed(folder: Path, webhook: str) -> Iterator[RunningInstallation]:
    """Start everything below `folder`; Alertmanager posts to `webhook`."""
    with ExitStack() as stack:
        servers = start_servers(folder, webhook, stack)
        addresses = {name: server.address for name, server in servers.items()}
        bootstrap = addresses["kafka"]["bootstrap"]
        tables: Tables = {
            "broker": {"bootstrap": bootstrap},
            "track": {"folder": str(folder / "track")},
            "hot": {"url": addresses["redis"]["url"]},
            "warm": {"url": addresses["elasticsearch"]["url"]},
            "delivery": {"url": addresses["alertmanager"]["url"]},
            "privacy": {"keys": str(folder / "keys.json")},
            "telemetry": {"level": "WARNING", "logs": "text"},
        }
        path = write_settings(folder / "ordertide.toml", tables)
        parts, tools = (Installation(path, folder, folder=folder) for _ in range(2))
        installation = RunningInstallation(read_settings(path), Connection(bootstrap), parts, tools)
        ensure_topics(installation.connection, PARTITIONS)
        stack.callback(tools.stop, ANSWER_S)
        tools.start("tier", "init").wait(START_WITHIN_S)
        stack.callback(installation.processes.stop, ANSWER_S)
        for words in PARTS:
            installation.processes.start(*words)
        yield installation


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
