"""Site of a scenario: a broker, the real `ordertide track` beside it, and its metrics.

The broker is Kafka, started for the run, or the embedded one, which lives in this process and
keeps 5 MiB a partition: a writer to that waits for `track` (see `Site.drain`).
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from broker.group_lags import GroupLags
from broker.topics import ensure_topics
from commands.wiring.process import now_ms
from deploy.installation import Installation, Process, metrics_at, write_settings
from deploy.stack.kafka import Kafka
from deploy.stack.ports import free_port
from schemas.settings.model import Settings, read_settings
from schemas.topics import EVENTS, TOPICS

PARTITIONS = 8
STALLED_AFTER_S = 120.0
ANSWER_S = 10.0
POLL_S = 0.1
CLOCK_READING_MS = 100  # what the answer of /metrics may be old
KIB = 1024

Kind = Literal["embedded", "kafka"]
Table = Mapping[str, object]


class ScenarioInstallation:
    """An installation in `folder`; `track` and `more` override settings, by section and key."""

    def __init__(self, folder: Path, connection: Connection, track: Table, **more: Table) -> None:
        self.folder = folder
        self.connection = connection
        self.port = free_port()
        sections: dict[str, Table] = {
            "broker": {"bootstrap": connection.bootstrap, "embedded": connection.embedded},
            "track": {"folder": str(folder / "track"), **track},
            "privacy": {"keys": str(folder / "keys.json")},
            "telemetry": {"level": "WARNING", "logs": "text"},
            **more,
        }
        path = write_settings(folder / "ordertide.toml", sections)
        self.settings: Settings = read_settings(path, {})
        self.processes = Installation(path, folder, folder=folder)
        self.lags = GroupLags(connection, {self.settings.track.group: [EVENTS]})
        self.track: Process | None = None

    def start(self, *words: str) -> Process:
        """Start `ordertide WORDS`, with the settings, in the folder."""
        return self.processes.start(*words)

    def start_track(self) -> None:
        """Run the dataflow; it resumes its state."""
        self.track = self.processes.start("track", port=self.port)
        self.wait_until(lambda: "ordertide_epoch_seconds_count" in self.metrics(), "starts")

    def stop_track(self) -> int:
        """End the dataflow cleanly; the most it ever had resident, in bytes."""
        process = self.running()
        peak_bytes = self.resident_bytes("VmHWM")
        if process.stop(ANSWER_S * 3):
            raise RuntimeError(process.log_tail())
        self.track = None
        return peak_bytes

    def running(self) -> Process:
        """The dataflow's process.

        Raises:
            ProcessEnded: it has ended; with the end of its log.
            RuntimeError: it was not started.
        """
        if self.track is None:
            raise RuntimeError("track was not started")
        self.track.check()
        return self.track

    def metrics(self) -> dict[str, float]:
        """Values of the dataflow's /metrics, by name and labels; none before it answers."""
        try:
            return metrics_at(self.port)
        except OSError:
            return {}

    def resident_bytes(self, name: str = "VmRSS") -> int:
        """Resident memory of the dataflow now, or with `VmHWM` the most so far."""
        return resident_bytes(self.running().pid, name)

    def lag(self) -> int:
        """Messages of `events` that the dataflow has not reported as done."""
        self.lags.look()
        return self.lags.of[self.settings.track.group].behind

    def drain(self) -> None:
        """Until the dataflow has reported everything as done, however long, if it gets on."""
        lag = self.lag()
        while lag:
            self.wait_until(partial(self.has_moved, lag), "gets on")
            lag = self.lag()

    def has_moved(self, lag: int) -> bool:
        """Return True if the lag is another one by now."""
        return self.lag() != lag

    def settle(self, until: int) -> None:
        """Wait until its clock is at `until`, by a tick, and its outcomes are out."""
        self.drain()
        self.wait_until(lambda: self.clock_at() >= until - CLOCK_READING_MS, "reaches the end")
        ended = self.epochs()
        self.wait_until(lambda: self.epochs() > ended + 2, "ends its epochs")

    def clock_at(self) -> float:
        """The stream clock, to some ms."""
        return now_ms() - self.metrics()["ordertide_stream_clock_behind_seconds"] * 1000

    def epochs(self) -> float:
        return self.metrics()["ordertide_epoch_seconds_count"]

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Poll until it is so.

        Raises:
            ProcessEnded: the dataflow has ended.
            RuntimeError: it took too long.
        """
        give_up_at = time.monotonic() + STALLED_AFTER_S
        while not is_so():
            process = self.running()
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"track never {what}; its log:\n{process.log_tail()}")
            time.sleep(POLL_S)

    def close(self) -> None:
        """Leave nothing running."""
        self.processes.stop(ANSWER_S)
        self.lags.close()


def resident_bytes(pid: int, name: str = "VmRSS") -> int:
    """Resident memory of a process now, or with `VmHWM` the most so far (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * KIB


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), fields 14 and 15)."""
    text = Path(f"/proc/{pid}/stat").read_text("ascii")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def broker_in(folder: Path, kind: Kind) -> Iterator[Connection]:
    """A broker with all topics."""
    if kind == "embedded":
        with EmbeddedBroker() as broker:
            for topic in TOPICS:
                broker.create(topic.name)
            yield broker.connection
        return
    with Kafka(folder / "kafka") as kafka:
        connection = Connection(kafka.address["bootstrap"])
        ensure_topics(connection, PARTITIONS)
        yield connection


@contextmanager
def scenario_installation(
    kind: Kind, track: Table, **more: Table
) -> Iterator[ScenarioInstallation]:
    """A site in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="scenario-") as name:
        folder = Path(name)
        with broker_in(folder, kind) as connection:
            made = ScenarioInstallation(folder, connection, track, **more)
            try:
                yield made
            finally:
                made.close()
