"""`ordertide track` over real brokers, in processes of its own."""

import json
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from broker.connect import Connection
from broker.consume import read_all
from broker.produce import Producer, Record
from deploy.installation import ROOT, Process, Tables, command_line, write_settings
from schemas import topics
from schemas.instants import format_instant
from tests.support.kafka.topics import PATIENCE_S
from tests.support.waiting import wait_until


class TrackRuns:
    """Runs of one flow, one after the other.

    The engine's topics have fixed names: tests that run it take turns and recreate them.
    """

    def __init__(self, kafka: Connection, folder: Path, group: str, workers: int = 1) -> None:
        self.kafka = kafka
        self.folder = folder
        self.group = group
        self.workers = workers
        self.patience_s = PATIENCE_S
        self.environment: dict[str, str] = {}
        self.properties = {"session.timeout.ms": "2000"}
        self.process: Process | None = None

    def start(self) -> None:
        """Run it until `stop` or `kill`; its output goes to a file."""
        tables: Tables = {
            "broker": {"bootstrap": self.kafka.bootstrap, "properties": self.properties},
            "track": {
                "folder": str(self.folder / "track"),
                "group": self.group,
                "epoch_ms": 20,
                "workers": self.workers,
            },
            "privacy": {"keys": str(self.folder / "keys.json")},
            "telemetry": {"logs": "text"},
        }
        settings = write_settings(self.folder / "settings.toml", tables)
        self.process = Process(
            command_line("track", settings=settings),
            self.folder / "track.log",
            folder=ROOT,
            environment=self.environment,
        )

    def output(self) -> str:
        return (self.folder / "track.log").read_text("utf-8")

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.exit_code() == 0, self.output()

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def feed(self, numbers: Iterable[int], partition: int) -> None:
        """An event for each number, that of an order of its own, into one partition."""
        with Producer(self.kafka) as producer:
            records = [Record(b"any", event(n), partition=partition) for n in numbers]
            producer.send_many(topics.EVENTS, records)

    def accepted(self) -> list[dict[str, Any]]:
        """Events emitted to orders.events so far."""
        return [json.loads(m.value or b"") for m in read_all(self.kafka, topics.ORDERS_EVENTS)]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that were opened, escalated or resolved so far."""
        found = [json.loads(m.value or b"") for m in read_all(self.kafka, topics.ORDERS_AUDIT)]
        return [entry["alert"] for entry in found if "alert" in entry]

    def wait_for_orders(self, count: int) -> list[dict[str, Any]]:
        """Wait for events of so many orders; patience counts from the last one or a log line."""
        orders: set[str] = set()

        def have_come() -> bool:
            orders.update(each["order_id"] for each in self.accepted())
            return len(orders) >= count

        self.wait_until(have_come, progress=lambda: (len(orders), len(self.output())))
        return self.accepted()

    def wait_until(
        self,
        is_so: Callable[[], bool],
        pause_s: float = 0.1,
        progress: Callable[[], object] | None = None,
    ) -> None:
        def has_become_so() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            return is_so()

        wait_until(
            has_become_so,
            "what the runs do",
            self.patience_s,
            self.output,
            progress=progress,
            pause_s=pause_s,
        )


def event(number: int) -> bytes:
    """An order that was paid just now."""
    now = time.time_ns() // 1_000_000
    return json.dumps(
        {
            "event_id": f"e-{number}",
            "order_id": f"o-{number}",
            "status_code": "PAID",
            "timestamp": format_instant(now),
            "source": "shop",
        }
    ).encode()
