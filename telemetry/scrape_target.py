"""Target file of a process for Prometheus' file-based service discovery (`file_sd_config`).

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config: a list of
objects with `targets` (host:port) and `labels`.
"""

import fcntl
import os
import socket
from itertools import count
from pathlib import Path

import msgspec

ANY_HOST = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on

READABLE = 0o644


class ScrapeTarget:
    """Target file of a process in a folder, from `put` to `remove`.

    A killed process leaves its file behind: Prometheus shows it as down, and the next process
    that starts on this host removes it. Its label `instance` is the host, the role and the least
    number that no other process of the role has (a lock that goes with the process keeps it): so a
    restart on another port continues the series of before.
    """

    def __init__(self, folder: Path, process: str) -> None:
        """Create a target without writing it. `process` is its role: track, write-hot, deliver."""
        self.folder = folder
        self.process = process
        self.host = socket.gethostname()
        self.path = folder / f"{self.host}.{process}.{os.getpid()}.json"
        self._lock: int | None = None

    def put(self, host: str, port: int) -> None:
        """Write the file, at once and whole."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(READABLE | 0o111)
        self.remove_left()
        target = f"{self.host if host in ANY_HOST else host}:{port}"
        labels = {"process": self.process, "instance": self.take_instance()}
        entry = {"targets": [target], "labels": labels}
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode([entry]))
        fresh.chmod(READABLE)  # Prometheus is another user, and the umask keeps others out
        fresh.rename(self.path)

    def take_instance(self) -> str:
        """The name under which this process is known, kept until `remove` or its end."""
        number = next(number for number in count(1) if self._takes(number))
        return f"{self.host}/{self.process}" + (f"-{number}" if number > 1 else "")

    def _takes(self, number: int) -> bool:
        """Lock a number of this role; False where another process has it."""
        path = self.folder / f"{self.host}.{self.process}.{number}.lock"
        lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, READABLE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def remove_left(self) -> None:
        """Remove what processes of this host left that are gone."""
        for left in self.folder.glob(f"{self.host}.*.*.json"):
            pid = left.suffixes[-2][1:]
            if pid.isdecimal() and not is_running(int(pid)):
                left.unlink(missing_ok=True)

    def remove(self) -> None:
        """The process ends."""
        self.path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def is_running(pid: int) -> bool:
    """Return True if a process with this number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
