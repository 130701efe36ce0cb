"""Target file of a process for Prometheus' file-based service discovery (`file_sd_config`).

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config: a list of
objects with `targets` (host:port) and `labels`.
"""

import os
import socket
from pathlib import Path

import msgspec

ANY_HOST = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not listened on

READABLE = 0o644


class ScrapeTarget:
    """Target file of a process in a folder, from `put` to `remove`.

    A killed process leaves its file behind: Prometheus shows it as down, and the next process
    that starts on this host removes it.
    """

    def __init__(self, folder: Path, process: str) -> None:
        """Create a target without writing it. `process` is its role: track, write-hot, deliver."""
        self.folder = folder
        self.process = process
        self.host = socket.gethostname()
        self.path = folder / f"{self.host}.{process}.{os.getpid()}.json"

    def put(self, host: str, port: int) -> None:
        """Write the file, at once and whole."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(READABLE | 0o111)
        self.remove_left()
        target = f"{self.host if host in ANY_HOST else host}:{port}"
        entry = {"targets": [target], "labels": {"process": self.process}}
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode([entry]))
        fresh.chmod(READABLE)  # Prometheus is another user, and the umask keeps others out
        fresh.rename(self.path)

    def remove_left(self) -> None:
        """Remove what processes of this host left that are gone."""
        for left in self.folder.glob(f"{self.host}.*.*.json"):
            pid = left.suffixes[-2][1:]
            if pid.isdecimal() and not is_running(int(pid)):
                left.unlink(missing_ok=True)

    def remove(self) -> None:
        """The process ends."""
        self.path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Return True if a process with this number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
