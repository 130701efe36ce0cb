"""HDFS: a NameNode and its DataNodes, with heaps and time-outs for one machine."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape

import msgspec

from deploy.stack.errors import NoAnswer
from deploy.stack.java import java
from deploy.stack.library import CONFIG, POMS, copy_jars, installed, is_installed, run
from deploy.stack.ports import HOST
from deploy.stack.server import Server, http_get

USER = "ordertide"
RECIPE = [POMS / "hdfs" / "pom.xml"]
TEMPLATE = CONFIG / "hdfs.properties"
LOGGING = CONFIG / "log4j.properties"


class HdfsServer(Server):
    """Common part of a NameNode and a DataNode: jars, the form of their configuration, the user."""

    main_class: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, int | None],
        log: Path | None,
        heap_mb: int,
        properties: Mapping[str, str] | None,
    ) -> None:
        super().__init__(folder, ports, log)
        self.heap_mb = heap_mb
        self.properties = dict(properties or {})

    def needs(self) -> list[str]:
        """Java; and what fetches the jars, once."""
        return ["java"] if is_installed("hdfs", RECIPE) else ["java", "mvn"]

    @cached_property
    def home(self) -> Path:
        """The jars."""
        return installed(
            "hdfs", RECIPE, lambda folder: copy_jars("hdfs", f"-DoutputDirectory={folder}/lib")
        )

    @property
    @abstractmethod
    def namenode(self) -> "NameNode":
        """The NameNode that it belongs to, or is."""

    @abstractmethod
    def own_properties(self) -> dict[str, str]:
        """Its place and ports, for hdfs-site.xml."""

    def prepare(self) -> None:
        """Fetch the jars and write the configuration."""
        configuration = self.folder / "config"
        for needed in ("webapps/hdfs", "webapps/datanode"):  # looked for on the class path
            (configuration / needed).mkdir(parents=True, exist_ok=True)
        core = {"fs.defaultFS": self.namenode.address["rpc"], "hadoop.http.staticuser.user": USER}
        write_site(configuration / "core-site.xml", core)
        site = {**read_properties(TEMPLATE), **self.own_properties(), **self.properties}
        write_site(configuration / "hdfs-site.xml", site)

    def environment(self) -> dict[str, str]:
        """The user that the NameNode takes for its superuser, whatever user started it."""
        return {"HADOOP_USER_NAME": USER}

    def command(self) -> list[str]:
        """The server."""
        return [
            *java(self.folder, self.heap_mb, "-Djava.net.preferIPv4Stack=true"),
            # Without it the server starts, and then answers every WebHDFS call with 500.
            "--add-opens=java.base/java.lang=ALL-UNNAMED",
            f"-Dlog4j.configuration=file:{LOGGING}",
            "-cp",
            f"{self.folder}/config:{self.home}/lib/*",
            f"org.apache.hadoop.hdfs.server.{self.main_class}",
        ]


class NameNode(HdfsServer):
    """A NameNode without a second one. `properties` replace ours, as in hdfs-site.xml."""

    label = "namenode"
    main_class = "namenode.NameNode"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        web_port: int | None = None,
        log: Path | None = None,
        heap_mb: int = 160,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, {"rpc": port, "web": web_port}, log, heap_mb, properties)

    @property
    def address(self) -> dict[str, str]:
        """`web` for WebHDFS, `rpc` for Hadoop's own protocol, `user`: the superuser's name."""
        return {
            "web": f"http://{HOST}:{self.ports['web']}",
            "rpc": f"hdfs://{HOST}:{self.ports['rpc']}",
            "user": USER,
        }

    @property
    def namenode(self) -> "NameNode":
        """Itself."""
        return self

    def own_properties(self) -> dict[str, str]:
        """Folder of the names, and the ports."""
        return {
            "dfs.namenode.name.dir": f"file://{self.folder}/data",
            "dfs.namenode.rpc-address": f"{HOST}:{self.ports['rpc']}",
            "dfs.namenode.http-address": f"{HOST}:{self.ports['web']}",
        }

    def prepare(self) -> None:
        """As for both; and format the folder of names where it is new."""
        super().prepare()
        if not (self.folder / "data" / "current").exists():
            arguments = ["-format", "-force", "-nonInteractive"]
            run([*self.command(), *arguments], "formatting the NameNode", self.environment())

    def admin(self, *arguments: str) -> None:
        """Run `hdfs dfsadmin` with these arguments, such as `-safemode enter`."""
        tool = [*self.command()[:-1], "org.apache.hadoop.hdfs.tools.DFSAdmin"]
        run([*tool, *arguments], f"dfsadmin {' '.join(arguments)}", self.environment())

    def ask(self) -> None:
        """List the root folder: JMX answers earlier, but a client gets an error then.

        Raises:
            NoAnswer: it can't be listed.
        """
        http_get(f"{self.address['web']}/webhdfs/v1/?op=LISTSTATUS&user.name={USER}")


class DataNode(HdfsServer):
    """A DataNode of `namenode`. `properties` replace ours, as in hdfs-site.xml."""

    label = "datanode"
    main_class = "datanode.DataNode"

    def __init__(
        self,
        folder: Path,
        namenode: NameNode,
        *,
        log: Path | None = None,
        heap_mb: int = 160,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, {"data": None, "web": None, "ipc": None}, log, heap_mb, properties)
        self._namenode = namenode

    @property
    def address(self) -> dict[str, str]:
        """`web`: where the NameNode sends WebHDFS clients for the data."""
        return {"web": f"http://{HOST}:{self.ports['web']}"}

    @property
    def namenode(self) -> NameNode:
        """The NameNode that it belongs to."""
        return self._namenode

    def own_properties(self) -> dict[str, str]:
        """Folder of the blocks, and the ports."""
        return {
            "dfs.datanode.data.dir": f"file://{self.folder}/data",
            "dfs.datanode.address": f"{HOST}:{self.ports['data']}",
            "dfs.datanode.http.address": f"{HOST}:{self.ports['web']}",
            "dfs.datanode.ipc.address": f"{HOST}:{self.ports['ipc']}",
        }

    def ask(self) -> None:
        """Check that the NameNode counts this DataNode as live.

        Raises:
            NoAnswer: it doesn't, or one of the two doesn't answer.
        """
        http_get(f"{self.address['web']}/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo")
        state = jmx(self.namenode, "NameNodeInfo")["LiveNodes"]
        living = {node["xferaddr"] for node in msgspec.json.decode(state).values()}
        if f"{HOST}:{self.ports['data']}" not in living:
            raise NoAnswer("the NameNode doesn't list it yet")


def jmx(namenode: NameNode, name: str) -> dict[str, str]:
    """One of a NameNode's sets of figures, by its name."""
    body = http_get(f"{namenode.address['web']}/jmx?qry=Hadoop:service=NameNode,name={name}")
    beans: list[dict[str, str]] = msgspec.json.decode(body)["beans"]
    if not beans:
        raise NoAnswer("the NameNode has no figures yet")
    return beans[0]


def read_properties(path: Path) -> dict[str, str]:
    """The settings of a .properties file without continued lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def write_site(path: Path, settings: Mapping[str, str]) -> None:
    """Write settings in Hadoop's XML."""
    properties = "\n".join(
        f"  <property><name>{escape(key)}</name><value>{escape(value)}</value></property>"
        for key, value in settings.items()
    )
    path.write_text(f"<configuration>\n{properties}\n</configuration>\n")
