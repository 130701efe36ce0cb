"""Free ports on loopback, picked once and kept with a server's data."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import msgspec

from deploy.stack.errors import StackError

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections (from 32768 on): a port from inside it may be
# another process's outgoing one just when a killed server needs it back.
FIRST, LAST = 20_000, 31_999
# Tests start servers in several processes at once. Each process picks from a stretch of its own,
# as a port is free for others from the moment it is picked until its server listens.
STRETCH = 40


def kept_ports(path: Path, wanted: Mapping[str, int | None]) -> dict[str, int]:
    """The ports by name: as requested, else as `path` has them from before, else new ones.

    `path` is written when something in it changes.
    """
    before = msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
    ports = {
        name: asked_for or before.get(name) or free_port() for name, asked_for in wanted.items()
    }
    if ports != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(ports))
    return ports


def free_port() -> int:
    """A free port on loopback that this process hasn't picked before.

    Raises:
        StackError: there is none.
    """
    with _picking:
        port = next((port for port in _candidates if is_free(port)), None)
    if port is None:
        raise StackError(f"no free port from {FIRST} to {LAST} on {HOST}: end some servers")
    return port


def is_free(port: int) -> bool:
    """Return True if a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: connections in TIME_WAIT don't matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _ports_of(pid: int) -> Iterator[int]:
    """Every port once, beginning with the stretch of this process."""
    first = FIRST + pid * STRETCH % (LAST + 1 - FIRST)
    yield from chain(range(first, LAST + 1), range(FIRST, first))


_candidates = _ports_of(os.getpid())
_picking = threading.Lock()
