"""One process at a time: a lock on a file that says who has it."""

import fcntl
import os
from pathlib import Path

from schemas.errors import StateError


class ProcessLock:
    """Holds `path` for this process until `release`, or until the process ends however it ends.

    The file stays behind: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path, guards: Path) -> None:
        """Take the lock that guards `guards`.

        Raises:
            StateError: another process, or another part of this one, has it.
        """
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(self.descriptor, 32).decode().strip() or "unknown"
            os.close(self.descriptor)
            raise StateError(
                f"{guards}: in use by process {owner}; stop it, or give this process a state "
                "folder of its own"
            ) from error
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; does nothing the second time."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
