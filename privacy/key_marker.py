"""Marker of a key file: that it was made, and how much of it is durable, kept in its lock file.

The marker outlives the key file. A key file that is missing, shorter than what was durable, or cut
within it was lost or damaged. What lies beyond was never relied on: a key is handed out only once
its line, and then the marker, is on the disk.

    {"file": id, "device": 1, "inode": 2, "durable_bytes": 300, "has_keys": true}
"""

import os
from pathlib import Path

import msgspec

from schemas.errors import StateError
from schemas.json_faults import json_fault

MAX_BYTES = 4_096
RESTORE = "restore it from a backup"


class Marker(msgspec.Struct, frozen=True):
    """State of a key file at its last fsync. `file` is its id; a restored file has another inode.

    `has_keys` is True once a key, a link or a tombstone has been written.
    """

    file: str
    device: int
    inode: int
    durable_bytes: int
    has_keys: bool

    def is_of(self, found: os.stat_result) -> bool:
        """Return True for this very file, False for one that replaced it."""
        return (self.device, self.inode) == (found.st_dev, found.st_ino)


MARKER = msgspec.json.Decoder(Marker)


def read_marker(descriptor: int, lock_path: Path) -> Marker | None:
    """The marker in the lock file that is open as `descriptor`; None in one without.

    Raises:
        StateError: it is damaged.
    """
    data = os.pread(descriptor, MAX_BYTES, 0).strip()
    if not data:
        return None
    try:
        return MARKER.decode(data)
    except msgspec.DecodeError as error:
        fault = json_fault(error, data)
        raise StateError(
            f"{lock_path}: damaged, {fault}; {RESTORE} together with its key file, or remove it if "
            "the key file is whole"
        ) from error


def write_marker(descriptor: int, marker: Marker) -> None:
    """Replace the marker in a lock file; durable when this returns."""
    data = msgspec.json.encode(marker) + b"\n"
    os.pwrite(descriptor, data.ljust(os.fstat(descriptor).st_size), 0)
    os.ftruncate(descriptor, len(data))
    os.fdatasync(descriptor)


def check_missing(path: Path, marker: Marker | None, expected: str, lock_path: Path) -> None:
    """Check that a missing key file has never sealed anything.

    `expected` is the id of the key file that the flow's state was sealed under, "" if none was.

    Raises:
        StateError: it has, or may have.
    """
    if marker.has_keys if marker else expected:
        witness, other = str(lock_path), f"remove {lock_path}"
        if marker is None:
            witness = "the state"
            other = "discard that with `ordertide track --begin-anew`"
        raise StateError(
            f"{path}: missing, while {witness} shows that something was sealed under it, which "
            f"nothing else opens; {RESTORE}, or, to begin with new keys, {other}"
        )


def check_whole(
    path: Path, found: os.stat_result, whole_bytes: int, marker: Marker | None, lock_path: Path
) -> None:
    """Check that a key file has all that was durable, up to the end of a line.

    `whole_bytes` is where its last whole line ends. A line cut beyond what was durable is what a
    crash left of an append: its key was never used, and the next append replaces it.

    Raises:
        StateError: it was cut.
    """
    if marker and marker.is_of(found):
        if whole_bytes < marker.durable_bytes:
            raise StateError(
                f"{path}: cut after {found.st_size} of {marker.durable_bytes} bytes, so that keys "
                f"are missing; {RESTORE} (if it was copied over this file, remove {lock_path})"
            )
    elif whole_bytes < found.st_size:
        raise StateError(f"{path}: its last line is cut, so that a key is missing; {RESTORE}")


def check_link(path: Path) -> None:
    """Check that a path is no dangling symbolic link: a new file would not replace the old.

    Raises:
        StateError: it is.
    """
    if path.is_symlink() and not path.exists():
        raise StateError(
            f"{path}: links to {path.readlink()}, which is missing; mount its folder, or {RESTORE}"
        )
