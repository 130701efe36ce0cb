"""The doctor on this host: folders, their disks, and the key file."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from commands.doctor.findings import CheckContext, Finding, ok, problem, warning
from commands.wiring.local_folders import local_folders

GIB = 2**30
LOW_BYTES = 5 * GIB
TOO_LOW_BYTES = GIB // 2
NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "9p", "glusterfs", "ceph", "fuse.sshfs"}


def check(context: CheckContext) -> Iterator[Finding]:
    """Every folder that the settings name, and the keys."""
    for name, folder in local_folders(context.settings).items():
        yield from check_folder(name, Path(folder))
    yield from check_network_disk(Path(context.settings.track.folder))
    yield from check_keys(Path(context.settings.privacy.keys))


def check_folder(name: str, folder: Path) -> Iterator[Finding]:
    """Can it be written, and is there room?"""
    there = nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield problem(name, f"{there}: can't be written", "correct its owner or name another")
        return
    free = shutil.disk_usage(there).free
    found = f"{folder}: {free / GIB:.1f} GiB free"
    found += "" if there == folder else ", will be made"
    remedy = "make room or name a folder on a larger disk: a full disk ends the run"
    if free < TOO_LOW_BYTES:
        yield problem(name, found, remedy)
    elif free < LOW_BYTES:
        yield warning(name, found, remedy)
    else:
        yield ok(name, found)


def nearest(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def check_network_disk(folder: Path) -> Iterator[Finding]:
    """SQLite's locks don't hold on network disks."""
    kind = disk_kind(nearest(folder))
    if kind in NETWORK_DISKS:
        remedy = "put it on a local disk or block volume: SQLite's locks don't hold over a network"
        yield problem("track.folder", f"{folder}: lies on {kind}", remedy)


def disk_kind(folder: Path) -> str:
    """The file system's name where Linux reports it; empty elsewhere."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    path = folder.resolve()
    rows = [line.split() for line in mounts.read_text("utf-8").splitlines()]
    over = [(row[1], row[2]) for row in rows if path.is_relative_to(row[1])]
    return max(over, key=lambda mount: len(mount[0]), default=("", ""))[1]


def check_keys(keys: Path) -> Iterator[Finding]:
    """Check the key file: its readers can read the customers' data; its loss is theirs."""
    if not keys.exists():
        yield ok("privacy.keys", f"{keys}: will be made")
        return
    if not os.access(keys, os.R_OK | os.W_OK):
        yield problem("privacy.keys", f"{keys}: can't be read and written", "correct its owner")
    elif keys.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning("privacy.keys", f"{keys}: others may open it", f"chmod 600 {keys}")
    else:
        yield ok("privacy.keys", f"{keys}: only its owner may open it")
