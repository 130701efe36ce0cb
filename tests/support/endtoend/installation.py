"""A whole installation on real servers: dataflow, three writers, delivery, each a process."""

import json
import signal
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from broker.connect import Connection
from broker.group_lags import GroupLags
from broker.produce import Producer, Record
from broker.topics import ensure_topics
from commands.wiring.tiers import BUILT_IN, writer_group
from deploy.installation import (
    PORT_VARIABLE,
    ROOT,
    Process,
    Tables,
    command_line,
    metrics_at,
    write_settings,
)
from deploy.stack.ports import free_port
from schemas import topics
from schemas.errors import Busy
from schemas.instants import format_instant
from schemas.settings.model import Settings, read_settings
from storage_tiering.installed import open_tier
from storage_tiering.tier import Tier
from tests.support.engine import Json, record
from tests.support.waiting import wait_until

PARTITIONS = 8
PATIENCE_S = 120.0
POLL_S = 0.2


class Installation:
    """Processes over one settings file in a folder; `tables` holds the servers' addresses."""

    def __init__(self, folder: Path, bootstrap: str, tables: Tables) -> None:
        self.folder = folder
        self.path = write_settings(folder / "ordertide.toml", whole(folder, bootstrap, tables))
        self.connection = Connection(bootstrap)
        self.running: dict[str, Process] = {}
        self.ports = dict.fromkeys(["track", *BUILT_IN, "deliver"], 0)
        ensure_topics(self.connection, PARTITIONS)
        self.producer = Producer(self.connection, linger_ms=0)

    @property
    def settings(self) -> Settings:
        return read_settings(self.path)

    def start(self, *parts: str) -> None:
        """Run `track`, `deliver`, or the writer of a tier."""
        for part in parts:
            words = ["write", part] if part in BUILT_IN else [part]
            self.ports[part] = free_port()
            self.running[part] = Process(
                command_line(*words, settings=self.path),
                self.folder / f"{part}.log",
                folder=ROOT,
                environment={PORT_VARIABLE: str(self.ports[part])},
                port=self.ports[part],
            )

    def end(self, part: str, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait; a polite one has to be answered with exit code 0."""
        process = self.running.pop(part)
        process.send_signal(number)
        code = process.wait(PATIENCE_S)
        assert code == (0 if number == signal.SIGTERM else -number), self.output(part)

    def output(self, part: str) -> str:
        """The end of what a part logged."""
        return (self.folder / f"{part}.log").read_text("utf-8")[-4_000:]

    def metrics(self, part: str) -> dict[str, float]:
        """Samples of a running part's /metrics, by name and labels."""
        samples = metrics_at(self.ports[part])
        return {name.removeprefix("ordertide_"): value for name, value in samples.items()}

    def wait_until_ready(self, part: str) -> None:
        """Wait until its /readyz says so; until then it may need its broker."""
        self.running[part].wait_until_ready(PATIENCE_S)

    def feed(self, events: Iterable[Json]) -> None:
        """Write events as any sender would."""
        self.producer.send_many(topics.EVENTS, map(record, events))
        self.producer.flush(PATIENCE_S)

    def tick(self, at: int) -> None:
        """Everything up to `at` has been written, in every partition."""
        data = json.dumps({"kind": "tick", "recorded_at": format_instant(at)}).encode()
        ticks = [Record(None, data, partition=partition) for partition in range(PARTITIONS)]
        self.producer.send_many(topics.EVENTS, ticks)
        self.producer.flush(PATIENCE_S)

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Ask until it is so; a part that has ended will never make it so."""

        def has_become_so() -> bool:
            self.assert_runs()
            return is_so()

        wait_until(has_become_so, what, PATIENCE_S, self.last_lines, pause_s=POLL_S)

    def assert_runs(self) -> None:
        """No part has ended by itself."""
        for part, process in self.running.items():
            assert process.poll() is None, f"{part} ended\n{self.output(part)}"

    def last_lines(self) -> str:
        """Last log lines of each running part."""
        return "\n".join(self.output(part)[-600:] for part in self.running)

    def wait_for_all(self) -> None:
        """Wait until everything fed has been evaluated, and all outputs are in every tier."""
        self.wait_for_group(self.settings.track.group, [topics.EVENTS])
        outputs = [topics.ORDERS_CHANGES, topics.ORDERS_EVENTS]
        with closing(self.tier("warm")) as warm:
            # It makes an index a month before it commits a batch: a hundred of them for the Olist
            # orders, which takes a loaded server minutes in which no offset is committed.
            for tier in BUILT_IN:
                written = warm.size_bytes if tier == warm.name else None
                self.wait_for_group(writer_group(tier), outputs, written)

    def wait_for_group(
        self, group: str, names: list[str], written: Callable[[], int] | None = None
    ) -> None:
        """Until a group has committed all messages; patience counts from its last progress.

        Progress is what it commits, and what it has `written`, where that is given.
        """
        lags: list[int] = []

        def is_done() -> bool:
            self.assert_runs()
            lags.append(self.behind(group, names))
            return lags[-1] == 0

        def progress() -> tuple[int, int]:
            least = min((lag for lag in lags if lag > 0), default=-1)
            try:
                return least, -1 if written is None else written()
            except Busy:
                return least, -1  # the server is away

        what = f"{group} has read all"
        wait_until(is_done, what, PATIENCE_S, self.last_lines, progress=progress, pause_s=POLL_S)

    def behind(self, group: str, names: list[str]) -> int:
        """Messages that a group has not committed yet; -1 while the broker doesn't answer."""
        with GroupLags(self.connection, {group: names}) as lags:
            try:
                lags.look()
            except Busy:
                return -1  # no coordinator yet, or the broker is away
            return lags.of[group].behind

    def tier(self, name: str) -> Tier:
        """A tier, opened for reading."""
        return open_tier(name, self.settings)

    def close(self) -> None:
        """Leave nothing running."""
        for process in self.running.values():
            process.kill()
            process.wait()
        self.producer.close()


def whole(folder: Path, bootstrap: str, tables: Tables) -> Tables:
    """All tables of the settings file."""
    return {
        "broker": {"bootstrap": bootstrap},
        "track": {"clock": "recorded", "folder": str(folder / "track"), "epoch_ms": 50},
        "privacy": {"keys": str(folder / "keys.json")},
        "telemetry": {"level": "WARNING", "logs": "text"},
        **tables,
    }
