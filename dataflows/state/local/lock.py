"""Process lock: one process at a time, by a lock on a file with the owner's id."""

import fcntl
import os
import time
from pathlib import Path

from schemas.errors import StateError

TRIES = 3
BOOT = Path("/proc/sys/kernel/random/boot_id")
PAUSE_S = 0.02  # `owner` holds the lock for a moment while it checks


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
        if not self.taken():
            name = owner_in(self.descriptor)
            os.close(self.descriptor)
            raise StateError(
                f"{guards}: in use by process {name}; stop it, or give this process a state "
                "folder of its own"
            )
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def taken(self) -> bool:
        """Try to take it."""
        for _ in range(TRIES):
            if locks(self.descriptor, fcntl.LOCK_EX):
                return True
            time.sleep(PAUSE_S)
        return False

    @property
    def name(self) -> str | None:
        """Name that is unique among all locks of all hosts, as long as this host is up.

        The lock of another host on the same file (NFS) has another name. None where the kernel
        doesn't report the time of its boot.
        """
        if not BOOT.exists():
            return None
        file = os.fstat(self.descriptor)
        return f"{BOOT.read_text('ascii').strip()}-{file.st_dev}-{file.st_ino}"

    def release(self) -> None:
        """Release the lock; does nothing the second time."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def owner(path: Path) -> str | None:
    """The id of the process that holds `path`; None without one."""
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return None if locks(descriptor, fcntl.LOCK_SH) else owner_in(descriptor)
    finally:
        os.close(descriptor)


def locks(descriptor: int, kind: int) -> bool:
    """Return True if the lock could be had at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owner_in(descriptor: int) -> str:
    """Which process wrote its id into the file."""
    return os.pread(descriptor, 32, 0).decode().strip() or "unknown"
