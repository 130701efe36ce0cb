"""The dataflow in a thread of this process: the test controls its clock and its signals."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
from bytewax.testing import cluster_main

from broker.connect import Connection
from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.track import assemble
from commands.wiring.track_metrics import TrackMetrics
from dataflows.cluster.supervisor import Member, free_addresses
from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.routing import SHARDS
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.track import EPOCH, Track, build, recovery
from schemas import topics
from schemas.alert import AlertTransition
from schemas.instants import parse_instant
from schemas.order import AcceptedEvent
from schemas.settings.model import PrivacySettings, Settings, TelemetrySettings, TrackSettings
from tests.support.waiting import wait_until

PATIENCE_S = 60.0
read_accepted = msgspec.json.Decoder(AcceptedEvent).decode


class Present:
    """The real time plus an offset of the test's; `ahead_ms` may only grow."""

    ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


class Witness(TrackMetrics):
    """Metrics that also record alerts, and every event overtaken by its shard's watermark.

    `detour` is called whenever a resolver shard has answered, before the answer is passed on.
    """

    def __init__(self, present: Present, store: Path, detour: Callable[[], None]) -> None:
        super().__init__(TelemetrySettings(), present, store)
        self.alerts: list[AlertTransition] = []
        self.overtaken: list[str] = []
        self.resolved_count = 0
        self.barriers = 0
        self.detour = detour

    def advanced(self, shard: str, out: Output, watermark: int, orders: int, waiting: int) -> None:
        before = self.watermark.get(shard, -1)
        for key, said in out.written.accepted:
            event = read_accepted(said)
            if parse_instant(event.arrival_at) <= before:
                self.overtaken.append(f"{key}: {event.status} of {event.arrival_at}")
        self.alerts += [alert for _, alert in out.alerts]
        super().advanced(shard, out, watermark, orders, waiting)

    def resolved(self, shard: str, answers: Answers, waiting: int) -> None:
        self.resolved_count += len(answers.facts)
        if answers.facts:
            self.detour()
        super().resolved(shard, answers, waiting)

    def barrier(self, flush_s: float, commit_s: float) -> None:
        super().barrier(flush_s, commit_s)
        self.barriers += 1


class WorkerParts:
    """Parts that a worker process would have for itself, in a thread."""

    def __init__(self, connection: Connection, store: Path, member: Member) -> None:
        self.member = member
        alone = len(member.addresses) < 2
        self.store = SqliteShardStore(store, len(SHARDS), member=None if alone else member.index)
        self.producer = Producer(connection)

    def close(self) -> None:
        self.producer.close()
        self.store.close()


class Threaded:
    """The dataflow between `with` and its end: a flow and a thread for each worker."""

    def __init__(
        self,
        broker: EmbeddedBroker,
        folder: Path,
        track: TrackSettings,
        detour: Callable[[], None] = lambda: None,
    ) -> None:
        for topic in topics.TOPICS:
            broker.create(topic.name)
        self.folder = folder
        self.settings = Settings(
            track=track, privacy=PrivacySettings(keys=str(folder / "keys.json"))
        )
        self.present = Present()
        self.stop = threading.Event()
        self.failure: Exception | None = None
        self.witness = Witness(self.present, folder / "shards.sqlite", detour)
        self.stack = ExitStack()
        recovery(folder / "recovery")
        addresses = free_addresses(track.workers) if track.workers > 1 else []
        self.workers = [
            WorkerParts(broker.connection, folder / "shards.sqlite", Member(n, addresses, 0))
            for n in range(track.workers)
        ]
        flows = [self.track(broker.connection, parts) for parts in self.workers]
        self.threads = [
            threading.Thread(target=self.run, args=(flow, parts.member), name="track")
            for flow, parts in zip(flows, self.workers, strict=True)
        ]

    @property
    def producer(self) -> Producer:
        return self.workers[0].producer

    def track(self, connection: Connection, parts: WorkerParts) -> Track:
        """The parts that the command would use, but for the present."""
        member = parts.member if parts.member.addresses else None
        track = assemble(
            *(self.settings, connection, parts.producer, parts.store, self.witness, self.stop),
            member,
            stack=self.stack,
        )
        source = msgspec.structs.replace(track.source, now=self.present, proven=self.present)
        return msgspec.structs.replace(track, source=source)

    def run(self, flow: Track, member: Member) -> None:
        try:
            cluster_main(  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
                build(flow),
                member.addresses,
                member.index,
                epoch_interval=EPOCH,
                recovery_config=recovery(self.folder / "recovery"),
            )
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            self.failure = error

    def __enter__(self) -> Self:
        recovery(self.folder / "recovery")  # made once; the threads find it
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)
        self.witness.server.server.server_close()
        self.stack.close()
        for parts in self.workers:
            parts.close()
        if self.failure is not None:
            raise self.failure

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Until it is so, while the dataflow runs."""

        def has_become_so() -> bool:
            assert all(thread.is_alive() for thread in self.threads), self.failure
            return is_so()

        wait_until(has_become_so, "what the dataflow does")

    def wait_for_clock(self, at: int) -> None:
        """Until every shard's clock is at `at` or later."""
        watermark = self.witness.watermark
        self.wait_until(
            lambda: len(watermark) == len(SHARDS) and min(list(watermark.values())) >= at
        )

    def wait_for_barriers(self, count: int) -> None:
        """Until so many more epochs have ended."""
        until = self.witness.barriers + count
        self.wait_until(lambda: self.witness.barriers >= until)
