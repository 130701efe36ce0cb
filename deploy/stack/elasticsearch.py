"""Elasticsearch: one node, from the server's own jars with a launcher of ours."""

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from deploy.stack.elasticsearch_home import RECIPE, build_home
from deploy.stack.java import java
from deploy.stack.library import CONFIG, installed, is_installed
from deploy.stack.ports import HOST
from deploy.stack.server import Server, http_get

LOGGING = CONFIG / "log4j2.properties"


class Elasticsearch(Server):
    """One node, by default alone. `settings` replace ours, as in elasticsearch.yml."""

    label = "elasticsearch"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        transport_port: int | None = None,
        log: Path | None = None,
        heap_mb: int = 512,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, {"http": port, "transport": transport_port}, log)
        self.heap_mb = heap_mb
        self.settings = dict(settings or {})

    @property
    def address(self) -> dict[str, str]:
        """`url`, without a password."""
        return {"url": f"http://{HOST}:{self.ports['http']}"}

    def needs(self) -> list[str]:
        """Java; and what fetches the jars, once."""
        return ["java"] if is_installed("elasticsearch", RECIPE) else ["java", "javac", "mvn"]

    @cached_property
    def home(self) -> Path:
        """The server's jars, its modules and the launcher."""
        return installed("elasticsearch", RECIPE, build_home)

    def prepare(self) -> None:
        """Fetch and build what it needs, and write its configuration."""
        for name in ("config", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "config" / "elasticsearch.yml").touch()
        shutil.copy(LOGGING, self.folder / "config" / "log4j2.properties")

    def command(self) -> list[str]:
        """The node."""
        places = [str(self.home / "modules"), str(self.folder / "config")]
        settings = {**self._own_settings(), **self.settings}
        return [
            *java(self.folder, self.heap_mb),
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            "-Dlog4j2.disable.jmx=true",
            "-Des.distribution.type=tar",
            "--add-modules=jdk.net,jdk.management.agent",
            "--add-modules=ALL-MODULE-PATH",
            "--module-path",
            str(self.home / "lib"),
            "-cp",
            str(self.home / "launcher"),
            "OneNode",
            *places,
            *(f"{key}={value}" for key, value in settings.items()),
        ]

    def ask(self) -> None:
        """Query the cluster's health, until it has all primary shards, and its banner.

        Raises:
            NoAnswer: it doesn't answer, or a shard is missing.
        """
        http_get(f"{self.address['url']}/_cluster/health?wait_for_status=yellow&timeout=1s")
        http_get(f"{self.address['url']}/")

    def _own_settings(self) -> dict[str, str]:
        single = not any(key.startswith(("discovery.", "cluster.initial")) for key in self.settings)
        return {
            "path.home": str(self.folder),
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "path.repo": f"[{self.folder}/snapshots]",
            "network.host": HOST,
            "http.port": str(self.ports["http"]),
            "transport.port": str(self.ports["transport"]),
            "node.name": self.folder.name,
            "cluster.name": "ordertide",
            # From 90 % of the disk on it would take no new index, whatever is free.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **({"discovery.type": "single-node"} if single else {}),
        }
