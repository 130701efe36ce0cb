"""A system's process: held (SIGSTOP) while others have their turn, on a core of its own."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.compare.installing import HERE
from benchmarks.compare.job import Ready
from deploy.installation import ROOT, Process

POLL_S = 0.02
STALLED_AFTER_S = 120.0
STOP_WITHIN_S = 60.0
STILL_S = 5.0
SYSTEM_CORE, BROKER_CORE = 0, 1


class Pace(NamedTuple):
    """A round. CPU time is that of the whole process, its clients' threads included."""

    events_per_s: float
    cpu_us: float
    rss_mb: float


class Stalled(RuntimeError):
    """A system died, or nothing moved any more; with the end of its log."""


class Contender:
    """A system that runs. `written(topic)` counts the messages of a topic."""

    def __init__(self, ready: Ready, folder: Path, written: Callable[[str], int]) -> None:
        self.ready = ready
        self.written = written
        self.log = folder / f"{ready.name}.log"
        path = os.pathsep.join((str(ROOT), str(HERE)))
        with on_core(SYSTEM_CORE):
            self.process = Process(ready.command, self.log, environment={"PYTHONPATH": path})

    def run_until(self, outputs: int, events: int) -> Pace:
        """Let it go until so many changes are acknowledged, then hold it."""
        cpu_s, began_s = self.cpu_s(), time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        self.wait(lambda done: done >= outputs, f"{outputs:,} changes")
        took_s, used_s = time.perf_counter() - began_s, self.cpu_s() - cpu_s
        pace = Pace(events / took_s, used_s * 1e6 / events, self.rss_mb())
        self.process.send_signal(signal.SIGSTOP)
        return pace

    def wait(self, is_done: Callable[[int], bool], what: str) -> None:
        """Poll the counted topic.

        Raises:
            Stalled: nothing moves.
        """
        seen, since_s = -1, time.monotonic()
        while not is_done(done := self.written(self.ready.counted)):
            if done != seen:
                seen, since_s = done, time.monotonic()
            if self.process.poll() is not None or time.monotonic() - since_s > STALLED_AFTER_S:
                raise Stalled(f"{self.ready.name}: {done:,} of {what}; {self.last_words()}")
            time.sleep(POLL_S)

    def settle(self) -> None:
        """Let it continue until its alerts are still, too."""
        self.process.send_signal(signal.SIGCONT)
        seen, since_s = -1, time.monotonic()
        while time.monotonic() - since_s < STILL_S:
            if (done := self.written(self.ready.alerts)) != seen:
                seen, since_s = done, time.monotonic()
            time.sleep(POLL_S)

    def close(self) -> None:
        """Stop it; one that doesn't end is killed."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stop(STOP_WITHIN_S)

    def cpu_s(self) -> float:
        """User and system time of the process (proc(5), fields 14 and 15)."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory, MiB."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text("ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def last_words(self) -> str:
        """Its exit code and the end of its log."""
        tail = self.process.log_tail() or "(nothing)"
        return f"exit code {self.process.poll()}; the end of its log: {tail}"


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run processes started in the block on this core alone, where there is more than one."""
    cores = os.sched_getaffinity(0)
    wanted = {core} & cores if len(cores) > 1 else cores
    os.sched_setaffinity(0, wanted or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
