"""Servers of a test's own, to be killed while others keep using the shared stack."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.stack.elasticsearch import Elasticsearch
from deploy.stack.hdfs import DataNode, NameNode
from deploy.stack.kafka import Kafka
from deploy.stack.prometheus import Alertmanager
from deploy.stack.redis import Redis
from deploy.stack.server import Server

Servers = dict[str, Server]
START_WITHIN_S = 90.0


@contextmanager
def own_servers(folder: Path) -> Iterator[Servers]:
    """All servers of an installation, by name; stopped at the end, whichever was killed between."""
    namenode = NameNode(folder / "namenode")
    servers: Servers = {
        "namenode": namenode,
        "datanode": DataNode(folder / "datanode", namenode),
        "kafka": Kafka(folder / "kafka"),
        "elasticsearch": Elasticsearch(folder / "elasticsearch", heap_mb=256),
        "redis": Redis(folder / "redis"),
        "alertmanager": Alertmanager(folder / "alertmanager"),
    }
    with ExitStack() as stack:
        for server in servers.values():
            server.start()
            stack.callback(server.stop)
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.wait(START_WITHIN_S), servers.values()))
        yield servers


def again(server: Server) -> None:
    """Start what was killed, on its ports and with its data."""
    server.start()
    server.wait(START_WITHIN_S)
