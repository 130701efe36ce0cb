"""Room on the disk: a store stops while a little is left, so that everything beside it still works.

As a rule bytewax's recovery files, SQLite's log and the process's own lie on that disk: the last
of the room is theirs, for an orderly end and the next start.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataflows.state.store import StoreFull

RESERVE_BYTES = 16_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(folder: Path) -> int:
    """Bytes that this process may still write to the disk of `folder`."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def check_room(folder: Path, wanted_bytes: int) -> None:
    """Check that there is room for `wanted_bytes` more, and some beside.

    Raises:
        StoreFull: there is not.
    """
    free = free_bytes(folder)
    if free < wanted_bytes + RESERVE_BYTES:
        raise no_room(folder, f"{free / 1e6:.0f} MB free, {RESERVE_BYTES / 1e6:.0f} MB are kept")


def no_room(folder: Path, reason: str) -> StoreFull:
    """The disk is full."""
    return StoreFull(
        f"{folder}: no room left on its disk ({reason}); nothing is lost: free some space, or move "
        "the whole folder to a larger disk, and start again"
    )


@contextmanager
def explained_room(folder: Path) -> Iterator[None]:
    """Translate the system's error for a full disk.

    Raises:
        StoreFull: it is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room(folder, str(error)) from error
