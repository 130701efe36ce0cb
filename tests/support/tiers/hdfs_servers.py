"""HDFS servers of a test's own, to be broken: one NameNode, or two with one active."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from hdfs import InsecureClient

from deploy.stack.errors import StackError
from deploy.stack.hdfs import DataNode, NameNode
from deploy.stack.library import run
from storage_tiering.archive.files import UNSEALED
from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace
from tests.support import stack
from tests.support.tiers.hdfs_places import place_on
from tests.support.waiting import wait_until

PATIENCE_S = 90.0
POLL_S = 0.1
SERVICE = "pair"
PROXY = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
Answer = TypeVar("Answer")


class Own:
    """A NameNode and a DataNode."""

    def __init__(self, folder: Path) -> None:
        self.namenode = NameNode(folder / "namenode")
        self.datanode = DataNode(folder / "datanode", self.namenode)

    def start(self) -> None:
        self.namenode.start()
        self.datanode.start()
        self.wait()

    def wait(self) -> None:
        """Until both answer; safe mode may take a moment more: see `patiently`."""
        self.namenode.wait()
        self.datanode.wait()

    def place(self) -> HdfsPlace:
        """A new folder."""
        return place_on(self.namenode.address, f"/{stack.namespace()}")

    def stop(self) -> None:
        self.datanode.kill()
        self.namenode.kill()


@contextmanager
def own_hdfs(folder: Path) -> Iterator[Own]:
    stack.address("hdfs")  # a machine without a stack may lack what HDFS needs
    running = Own(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def read(files: HdfsFiles, name: str) -> bytes:
    with files.open(name) as file:
        return file.read()


def unsealed(place: HdfsPlace) -> list[str]:
    """Files in the folder of uploads."""
    client = InsecureClient(f"http://{place.web[0]}", user=place.user)
    return list(client.list(f"{place.root}/{UNSEALED}"))


class Pair:
    """Two NameNodes with one log of changes in a folder, and a DataNode that reports to both."""

    def __init__(self, folder: Path) -> None:
        self.nodes = {name: NameNode(folder / name) for name in ("a", "b")}
        self.datanode = DataNode(folder / "datanode", self.nodes["a"])
        shared = {
            "dfs.nameservices": SERVICE,
            f"dfs.ha.namenodes.{SERVICE}": "a,b",
            "dfs.namenode.shared.edits.dir": f"file://{folder}/shared",
            f"dfs.client.failover.proxy.provider.{SERVICE}": PROXY,
            "dfs.ha.fencing.methods": "shell(/bin/true)",
            "dfs.ha.tail-edits.period": "1",
        }
        for name, node in self.nodes.items():
            suffix = f"{SERVICE}.{name}"
            shared[f"dfs.namenode.rpc-address.{suffix}"] = f"127.0.0.1:{node.ports['rpc']}"
            shared[f"dfs.namenode.http-address.{suffix}"] = f"127.0.0.1:{node.ports['web']}"
        self.datanode.properties.update(shared)
        for name, node in self.nodes.items():
            node.properties.update(shared | {"dfs.ha.namenode.id": name})

    def start(self) -> None:
        """Both stand by at first; `a` is made the active one."""
        first, second = self.nodes["a"], self.nodes["b"]
        first.prepare()
        shutil.copytree(first.folder / "data", second.folder / "data")  # formatted as one
        first.start()
        second.start()
        self.datanode.start()
        self.activate("a")
        first.wait()
        self.datanode.wait()

    def activate(self, name: str) -> None:
        """Make a NameNode the active one, as soon as it answers; the other may be dead."""
        node = self.nodes[name]
        tool = [*node.command()[:-1], "org.apache.hadoop.hdfs.tools.DFSHAAdmin", "-ns", SERVICE]
        command = [*tool, "-transitionToActive", "--forceactive", name]

        def is_active() -> bool:
            with suppress(StackError):  # it can't be asked yet
                run(command, f"making {name} active", node.environment())
                return True
            return False

        wait_until(is_active, f"NameNode {name}", PATIENCE_S)

    def place(self, *order: str) -> HdfsPlace:
        """A new folder, with the NameNodes' addresses in this order."""
        ports = [self.nodes[name].ports for name in order]
        return HdfsPlace(
            web=[f"127.0.0.1:{port['web']}" for port in ports],
            rpc=[f"127.0.0.1:{port['rpc']}" for port in ports],
            root=f"/{stack.namespace()}",
            user=self.nodes["a"].address["user"],
        )

    def stop(self) -> None:
        self.datanode.kill()
        for node in self.nodes.values():
            node.kill()
