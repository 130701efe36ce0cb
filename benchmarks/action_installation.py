"""Installation for actions: a broker, `act` with its table, its receivers, and an open loop.

Time counts from an order's intended instant, whether or not it could be sent then.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.action_receiver import ActionReceiver
from benchmarks.scenario_installation import PARTITIONS, Kind, ScenarioInstallation, broker_in
from broker.connect import Connection
from broker.produce import Producer, Record
from broker.topics import ensure_topics
from deploy.installation import Process, to_toml
from deploy.stack.kafka import Kafka
from deploy.stack.ports import free_port
from schemas.alert import Action, Because
from schemas.instants import DAY_MS, format_instant
from schemas.keys import action_id, order_key
from schemas.topics import CONTROL, OWN

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of receivers that end with the run
READY_WITHIN_S = 180.0
TICK_S = 0.01
TENANT = "default"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

encode = msgspec.json.Encoder().encode
Kinds = Mapping[str, str]  # receiver, which is also the kind → its URL


class Site(NamedTuple):
    """Installation, and process ids by name."""

    installation: ScenarioInstallation
    pids: dict[str, int]

    def start_act(self) -> Process:
        """Run `act` until it is ready."""
        process = self.installation.processes.start("act", port=free_port())
        process.wait_until_ready(READY_WITHIN_S)
        self.pids["act"] = process.pid
        return process


def table_of(kinds: Kinds, batch: int) -> str:
    """actions.toml with a receiver for each kind, which gets so many in a batch, or single ones."""
    batches: dict[str, object] = {"batch": {"most": batch}} if batch else {}
    tables: dict[str, dict[str, object]] = {}
    for name, url in kinds.items():
        tables[f"receivers.{name}"] = {"channel": "webhook", "options": {"url": url}, **batches}
        tables[f"kinds.{name}"] = {"receiver": name}
    return "version = 1\n\n" + to_toml(tables)


def secrets_of(kinds: Iterable[str]) -> dict[str, str]:
    """Environment with a secret for each receiver."""
    return {f"ORDERTIDE_ACT_SECRET_{name.upper()}": SECRET for name in kinds}


@contextmanager
def action_installation(
    receiver: ActionReceiver, kinds: Kinds, broker: Kind, batch: int = 0
) -> Iterator[Site]:
    """A broker with all topics, and the settings of `act`; nothing of ordertide runs yet."""
    with tempfile.TemporaryDirectory(prefix="actions-") as name:
        folder = Path(name)
        table = folder / "actions.toml"
        table.write_text(table_of(kinds, batch), "utf-8")
        act = {"folder": str(folder / "act"), "actions": str(table)}
        pids = {"receiver": receiver.process.pid or 0, "load": os.getpid()}
        with started_broker(folder, broker, pids) as connection:
            ensure_topics(connection, PARTITIONS, topics=(*OWN, CONTROL))
            made = ScenarioInstallation(folder, connection, {"clock": "broker"}, act=act)
            made.processes.environment |= secrets_of(kinds)
            try:
                yield Site(made, pids)
            finally:
                made.close()


@contextmanager
def started_broker(folder: Path, kind: Kind, pids: dict[str, int]) -> Iterator[Connection]:
    """A broker with the topics of events; the process of a Kafka is added to `pids`."""
    if kind == "embedded":
        with broker_in(folder, kind) as connection:
            yield connection
        return
    with Kafka(folder / "kafka") as kafka:
        if running := kafka.process():
            pids["Kafka"] = running.pid
        connection = Connection(kafka.address["bootstrap"])
        ensure_topics(connection, PARTITIONS)
        yield connection


# ---------------------------------------------------------------- load
def action_of(order_id: str, kind: str, at: int, expires_at: int | None = None) -> Action:
    """An action as `track` requests it."""
    instant = format_instant(at)
    return Action(
        action_id=action_id(order_key(TENANT, order_id), "confirmation", 7, kind),
        tenant=TENANT,
        order_id=order_id,
        kind=kind,
        rule="confirmation",
        at=instant,
        expires_at=format_instant(expires_at or at + 7 * DAY_MS),
        alert_id=None,
        because=Because(
            anchor="created",
            anchor_event=f"{7:016x}",
            anchor_at=instant,
            limit="0ms",
            due_at=instant,
            last_event="PENDING_PAYMENT",
            last_event_at=instant,
        ),
    )


def paced(
    connection: Connection,
    topic: str,
    seconds: float,
    due: Callable[[int, float], Iterable[Record]],
) -> float:
    """Send what is due in each tick, open loop; seconds that the last tick was late.

    `due` gets the tick's number and its intended instant (Unix time, s).
    """
    began = time.time() + TICK_S
    late_s = 0.0
    with Producer(connection) as producer:
        for tick in range(round(seconds / TICK_S)):
            at = began + tick * TICK_S
            time.sleep(max(at - time.time(), 0))
            late_s = time.time() - at
            producer.send_many(topic, due(tick, at))
    return late_s


def share_of(tick: int, per_s: float) -> range:
    """Running numbers of what is due in a tick, at a rate."""
    per_tick = per_s * TICK_S
    return range(int(tick * per_tick), int((tick + 1) * per_tick))


# ---------------------------------------------------------------- figures
def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of CPU that each process has had so far (proc(5))."""
    return {name: process_cpu_s(pid) for name, pid in pids.items()}


def process_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def cpu_us(
    before: Mapping[str, float], after: Mapping[str, float], count: float
) -> dict[str, float]:
    """CPU µs of each process for one of `count`."""
    return {name: (after[name] - at) / count * 1e6 for name, at in before.items()}


def at_share(ascending: Sequence[float], share: float) -> float:
    """The value at a share of sorted values."""
    return ascending[min(int(len(ascending) * share), len(ascending) - 1)]
