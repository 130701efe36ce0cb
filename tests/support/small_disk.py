"""A disk of a few megabytes in memory, for tests of a full one."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHUNK_BYTES = 65_536


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """`folder` as a tmpfs of `size_bytes`; skips where this process may not mount one."""
    if not sys.platform.startswith("linux"):
        pytest.skip(f"{sys.platform} has no tmpfs; run this on Linux as root")
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    name, options = os.fsencode(folder), f"size={size_bytes}".encode()
    if libc.mount(b"tmpfs", name, b"tmpfs", 0, options):
        reason = os.strerror(ctypes.get_errno())
        pytest.skip(f"a tmpfs can't be mounted here ({reason}); run this as root")
    try:
        yield folder
    finally:
        detached = 2  # MNT_DETACH: also while a process that is just ending has files open
        assert libc.umount2(name, detached) == 0, os.strerror(ctypes.get_errno())


def fill(folder: Path, leave_bytes: int) -> Path:
    """Leave so much room on a disk; remove the file that is returned to make room again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while free_bytes(folder) > leave_bytes:
            try:
                file.write(bytes(min(CHUNK_BYTES, max(free_bytes(folder) - leave_bytes, 4096))))
            except OSError as error:
                # Who is tested writes as well, and may have had the last of it meanwhile.
                if error.errno != errno.ENOSPC:
                    raise
                break
    return ballast


def free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
