"""Kafka: one broker that is its own controller, or several that form a cluster."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.stack.errors import NoAnswer
from deploy.stack.java import java, write_properties
from deploy.stack.library import CONFIG, POMS, alone, copy_jars, installed, is_installed, run
from deploy.stack.ports import HOST
from deploy.stack.server import Server

CLUSTER_ID = "b3JkZXJ0aWRlLXN0YWNrLQ"  # 16 bytes in base64, as `kafka-storage random-uuid` gives
RECIPE = [POMS / "kafka" / "pom.xml"]
TEMPLATE = CONFIG / "kafka.properties"
LOGGING = CONFIG / "log4j2.properties"
MAX_REPLICAS = 3
ASK_TIMEOUT_S = 2.0
# Java writes the archive of classes before it ends: over 30 s on a machine under load.
RECORD_TIMEOUT_S = 600.0


class Kafka(Server):
    """One broker, alone unless `cluster_of` made it one of several.

    `properties` replace ours, by their names in server.properties. `format_options` are further
    arguments for `kafka-storage format`, such as `--add-scram`. `record_classes_into` is the
    destination of the class archive for `record_classes`.
    """

    label = "kafka"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        heap_mb: int = 160,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
        record_classes_into: Path | None = None,
    ) -> None:
        super().__init__(folder, {"port": port, "controller": None}, log)
        self.heap_mb = heap_mb
        self.properties = dict(properties or {})
        self.format_options = list(format_options)
        self.record_classes_into = record_classes_into
        self.cluster = [self]

    @property
    def address(self) -> dict[str, str]:
        """`bootstrap`: this broker alone, also where there are others."""
        return {"bootstrap": f"{HOST}:{self.ports['port']}"}

    @property
    def node_id(self) -> int:
        """Its number in the cluster, from 1."""
        return self.cluster.index(self) + 1

    def needs(self) -> list[str]:
        """Java; and what fetches the jars, once."""
        return ["java"] if is_installed("kafka", RECIPE) else ["java", "mvn"]

    @cached_property
    def home(self) -> Path:
        """Its jars, with the archive of its classes."""
        home = installed(
            "kafka", RECIPE, lambda folder: copy_jars("kafka", f"-DoutputDirectory={folder}/lib")
        )
        if self.record_classes_into is None:
            record_classes(home)
        return home

    def prepare(self) -> None:
        """Fetch the jars, write the configuration, and format the log folder where it is new."""
        path = self.folder / "server.properties"
        write_properties(path, TEMPLATE, {**self._own_properties(), **self.properties})
        if not (self.folder / "data" / "meta.properties").exists():
            arguments = ["format", "-t", CLUSTER_ID, "-c", str(path), *self.format_options]
            run([*self._java(), "kafka.tools.StorageTool", *arguments], "formatting kafka's logs")

    def command(self) -> list[str]:
        """The broker."""
        recording = self.record_classes_into
        options = [f"-XX:ArchiveClassesAtExit={recording}"] if recording else []
        return [*self._java(*options), "kafka.Kafka", str(self.folder / "server.properties")]

    def ask(self) -> None:
        """List the topics, and check that the cluster includes this broker.

        Raises:
            NoAnswer: it doesn't.
        """
        # A new client each time: one that is kept would keep connecting to a killed broker.
        client = AdminClient({"bootstrap.servers": self.address["bootstrap"], "log_level": 0})
        try:
            known = client.list_topics(timeout=ASK_TIMEOUT_S).brokers
        except KafkaException as error:
            raise NoAnswer(error.args[0].str()) from error
        finally:
            del client  # there is no close(); the exception would keep it open
        if self.node_id not in known:
            raise NoAnswer(f"the cluster doesn't include broker {self.node_id} yet")

    def _own_properties(self) -> dict[str, str]:
        client, controller = (f"{HOST}:{self.ports[name]}" for name in ("port", "controller"))
        replicas = min(len(self.cluster), MAX_REPLICAS)
        needed = max(1, replicas - 1)
        return {
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(
                f"{broker.node_id}@{HOST}:{broker.ports['controller']}" for broker in self.cluster
            ),
            "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{client}",
            "log.dirs": str(self.folder / "data"),
            "default.replication.factor": str(replicas),
            "min.insync.replicas": str(needed),
            "offsets.topic.replication.factor": str(replicas),
            "transaction.state.log.replication.factor": str(replicas),
            "transaction.state.log.min.isr": str(needed),
            "share.coordinator.state.topic.replication.factor": str(replicas),
            "share.coordinator.state.topic.min.isr": str(needed),
        }

    def _java(self, *options: str) -> list[str]:
        archive = class_archive(self.home)
        shared = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() and not options else []
        return [
            *java(self.folder, self.heap_mb, "-XX:MaxDirectMemorySize=128m", *shared, *options),
            f"-Dlog4j2.configurationFile={LOGGING}",
            "-Dordertide.level=warn",
            "-cp",
            f"{self.home}/lib/*",
        ]


def cluster_of(count: int, folder: Path, *, heap_mb: int = 160) -> list[Kafka]:
    """Create `count` brokers that form one cluster, in folders of their own below `folder`.

    Topics get three replicas, with at least two in sync. Start all before waiting for one: the
    controllers need a majority.
    """
    brokers = [
        Kafka(folder / f"broker-{number}", heap_mb=heap_mb) for number in range(1, count + 1)
    ]
    for broker in brokers:
        broker.cluster = brokers
    return brokers


def class_archive(home: Path) -> Path:
    """The archive of loaded classes: with it a broker starts in 3 s, without in 7 to 12."""
    return home / "classes.jsa"


def record_classes(home: Path) -> None:
    """Make the archive where it is missing: run a broker once and have Java keep its classes.

    Beside the jars in their final place, as Java takes an archive for these very files only.
    """
    if class_archive(home).exists():
        return
    with alone(home):
        if class_archive(home).exists():
            return
        folder = Path(tempfile.mkdtemp(prefix=".classes-", dir=home))
        try:
            with Kafka(folder, record_classes_into=folder / "classes.jsa") as recorded:
                recorded.stop(RECORD_TIMEOUT_S)
            (folder / "classes.jsa").replace(class_archive(home))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
