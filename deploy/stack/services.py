"""The stack's services: which servers each consists of, and where they lie in its folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.stack.elasticsearch import Elasticsearch
from deploy.stack.errors import NoAnswer
from deploy.stack.hdfs import DataNode, NameNode
from deploy.stack.kafka import Kafka
from deploy.stack.prometheus import DEFAULT_WEBHOOK, Alertmanager, Prometheus
from deploy.stack.redis import Redis
from deploy.stack.server import Server


@dataclass(frozen=True)
class StackFolder:
    """Folder of a stack, and its external parameters."""

    folder: Path
    webhook: str = DEFAULT_WEBHOOK

    def data(self, name: str) -> Path:
        """The folder of a service or server."""
        return self.folder / name

    def log(self, label: str) -> Path:
        """The log of a server."""
        return self.folder / "logs" / f"{label}.log"


@dataclass(frozen=True)
class Service:
    """One entry of stack.json: a server, or several that are of use together only."""

    name: str
    servers: tuple[Server, ...]

    @property
    def address(self) -> dict[str, str]:
        """Addresses for clients: the first server's."""
        return self.servers[0].address

    def is_running(self) -> bool:
        """Return True if all its processes run."""
        return all(server.process() is not None for server in self.servers)

    def answers(self) -> bool:
        """Return True if it runs and answers now."""
        try:
            for server in self.servers:
                server.ask()
        except NoAnswer:
            return False
        return self.is_running()


def kafka(place: StackFolder) -> Service:
    """One broker."""
    return Service("kafka", (Kafka(place.data("kafka"), log=place.log("kafka")),))


def redis(place: StackFolder) -> Service:
    """One server."""
    return Service("redis", (Redis(place.data("redis"), log=place.log("redis")),))


def elasticsearch(place: StackFolder) -> Service:
    """One node."""
    node = Elasticsearch(place.data("elasticsearch"), log=place.log("elasticsearch"))
    return Service("elasticsearch", (node,))


def hdfs(place: StackFolder) -> Service:
    """A NameNode and a DataNode."""
    namenode = NameNode(place.data("hdfs") / "namenode", log=place.log("namenode"))
    datanode = DataNode(place.data("hdfs") / "datanode", namenode, log=place.log("datanode"))
    return Service("hdfs", (namenode, datanode))


def prometheus(place: StackFolder) -> Service:
    """One server, configured for the stack's Alertmanager, started or not."""
    server = Prometheus(
        place.data("prometheus"),
        log=place.log("prometheus"),
        alertmanager=urlsplit(alertmanager(place).address["url"]).netloc,
    )
    return Service("prometheus", (server,))


def alertmanager(place: StackFolder) -> Service:
    """One server."""
    server = Alertmanager(
        place.data("alertmanager"), log=place.log("alertmanager"), webhook=place.webhook
    )
    return Service("alertmanager", (server,))


SERVICES: Mapping[str, Callable[[StackFolder], Service]] = {
    "kafka": kafka,
    "redis": redis,
    "elasticsearch": elasticsearch,
    "hdfs": hdfs,
    "prometheus": prometheus,
    "alertmanager": alertmanager,
}
