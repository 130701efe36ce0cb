"""Processes that outlive us, identified by their id and start time.

A process id alone is not enough: it is used again once its process has ended, and a recorded one
may by then belong to another process. So a process is a pid and its start time; and it is signalled
through a pidfd, which keeps referring to the process that it was opened for.
"""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

PROC = Path("/proc")
# Fields of /proc/PID/stat after the name in brackets, which may itself hold spaces and brackets.
STATE, START_TICKS = 0, 19
ENDED_STATES = {"Z", "X"}

# Our own children among them: without a wait() they would stay as zombies when they end.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Process(msgspec.Struct, frozen=True):
    """One process: `started` is the boot's id and the ticks from the boot to its start."""

    pid: int
    started: str

    def is_running(self) -> bool:
        """Return True while it runs; a zombie has ended."""
        reap(self.pid)
        seen = _seen(self.pid)
        return seen is not None and seen.identity == self.started and not seen.has_ended

    def memory_bytes(self) -> int:
        """The memory it holds (resident set); 0 once it has ended."""
        try:
            lines = (PROC / str(self.pid) / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        kilobytes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
        return int(kilobytes[0]) * 1024 if kilobytes and self.is_running() else 0

    def send(self, number: signal.Signals) -> bool:
        """Signal it; False, and nothing is signalled, where it has ended."""
        with self._opened() as descriptor:
            if descriptor is None:
                return False
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return False
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False where it still runs after `timeout_s`."""
        with self._opened() as descriptor:
            if descriptor is not None:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(timeout_s * 1000):
                    return False
        reap(self.pid)
        return True

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """A descriptor that means this process whatever becomes of its id; None: it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Checked with the descriptor open: from here on the id can't change hands. A zombie is
            # let through: threads of a killed process may outlive its first one, with its ports.
            seen = _seen(self.pid)
            is_it = seen is not None and seen.identity == self.started
            yield descriptor if is_it else None
        finally:
            os.close(descriptor)


def spawn(
    command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str]
) -> Process:
    """Start a process that outlives us and our terminal; its output is appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - the launchers' own commands, never a user's text
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in our terminal is not for it
        )
    _children[child.pid] = child
    seen = _seen(child.pid)
    assert seen is not None, "a child that wasn't waited for has its entry, ended or not"
    return Process(child.pid, seen.identity)


class _Seen(NamedTuple):
    identity: str
    has_ended: bool


def _seen(pid: int) -> _Seen | None:
    """The process that has this id now; None without one."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    # Ticks count from the boot, so they name a moment only together with which boot it was.
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return _Seen(f"{boot}/{fields[START_TICKS]}", fields[STATE] in ENDED_STATES)


def reap(pid: int) -> None:
    """Take the exit code of an ended child of ours, so that its entry goes."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
