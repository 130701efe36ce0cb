"""Free ports on loopback, picked once and kept with a server's data."""

import fcntl
import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path

import msgspec

from deploy.stack.errors import StackError

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections (from 32768 on): a port from inside it may be
# another process's outgoing one just when a killed server needs it back.
FIRST, LAST = 20_000, 31_999
# Processes that pick at once, as tests do, begin so far apart: they rarely meet.
APART = 1009


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
    """A free port on loopback that neither this process nor one that still runs has picked.

    A port is free from the moment it is picked until its server listens, and again while that is
    down. So a process locks the byte of each port that it picks in a file that all of this user
    share; the system drops these locks (fcntl's, which a child doesn't inherit) at its end.

    Raises:
        StackError: there is none.
    """
    with _picking:
        port = next((port for port in _candidates if _reserve(port) and is_free(port)), None)
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


def _reserve(port: int) -> bool:
    """Lock the port's byte; False where another process has it."""
    try:
        fcntl.lockf(_reserved(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


@cache
def _reserved() -> int:
    """The shared file, open as long as the process: closing it anywhere would drop its locks."""
    path = Path(tempfile.gettempdir()) / f"ordertide-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _ports_of(pid: int) -> Iterator[int]:
    """Every port once, beginning where the other processes rarely do."""
    first = FIRST + pid * APART % (LAST + 1 - FIRST)
    yield from chain(range(first, LAST + 1), range(FIRST, first))


_candidates = _ports_of(os.getpid())
_picking = threading.Lock()
