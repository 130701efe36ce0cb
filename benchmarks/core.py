"""The pure core at work: decode → fact → judge → encode, in batches over the 64 shards.

No broker, no dataflow, one thread of one process. Each stage is timed for a whole batch, in CPU
time: what else runs on the machine counts less than in wall time.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain, islice
from multiprocessing.synchronize import Semaphore
from typing import Literal, TypeVar

import msgspec

from benchmarks.events import Arrived, Traffic, to_json
from dataflows.core.compiled import Facts
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.output import Output
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.shard import Shard
from dataflows.definition_files import read_rules
from dataflows.output_messages import messages

BATCH = 5_000
SAMPLE = 10_000
ENTRY_BYTES = 24  # of a packed history: engine/core/src/order/packing.rs

Item = TypeVar("Item")
encode = msgspec.msgpack.Encoder().encode

# judge    facts are applied, deadlines kept, alerts and actions found; nothing is published
# publish  and the changed orders' documents are built and everything is encoded for the topics
# track    as the dataflow does it: the clock comes one batch after the facts, so that a change is
#          shown before it is judged; and what changed is encoded for the store
Mode = Literal["judge", "publish", "track"]
MODES: tuple[Mode, ...] = ("judge", "publish", "track")

# Held while a process fills, so that no more of them work at a time than there are cores.
Gate = Semaphore


class Stages(msgspec.Struct):
    """Seconds spent in each stage, and what was done in them."""

    decode_s: float = 0.0
    fact_s: float = 0.0
    judge_s: float = 0.0
    encode_s: float = 0.0
    store_s: float = 0.0
    events: int = 0
    documents: int = 0
    alerts: int = 0
    actions: int = 0
    duplicates: int = 0

    @property
    def total_s(self) -> float:
        return self.decode_s + self.fact_s + self.judge_s + self.encode_s + self.store_s

    @property
    def events_per_s(self) -> float:
        return self.events / self.total_s

    def count(self, out: Output) -> None:
        self.documents += len(out.changes)
        self.alerts += len(out.alerts)
        self.actions += len(out.actions)
        self.duplicates += out.duplicates


class Core:
    """All shards in this process."""

    def __init__(self, batch: int = BATCH) -> None:
        self.batch = batch
        self.table = short_lived()
        self.rules = read_rules(None, self.table)
        self.intake = Intake(self.table, self.rules)
        self.cold: dict[str, bytes | None] = {}
        self.shards = [Shard(self.table, self.rules, self.cold) for _ in SHARDS]
        self.watermark = 0

    def fill(self, traffic: Traffic) -> None:
        """Apply the first rounds; not measured, so the detour over JSON is spared."""
        self.set_mode("judge")
        place = Origin("events", 0, 0)
        for batch in in_batches(traffic.fill(), self.batch):
            facts = [
                self.intake.fact(event, event.order_id or "", b"", at, place) for at, event in batch
            ]
            self.advance(facts, batch[-1].at)
            self.forget_changes()

    def set_mode(self, mode: Mode) -> None:
        """Catch up with pending facts, and continue in another mode."""
        for shard in self.shards:
            shard.advance(self.watermark)
            shard.publish(documents=mode != "judge")

    def run(self, lines: Sequence[bytes], mode: Mode) -> Stages:
        """Take JSON events, batch by batch.

        The first batch isn't counted: in the mode `track` it only shows facts and judges none.
        """
        self.set_mode(mode)
        stages = Stages()
        for number, batch in enumerate(in_batches(lines, self.batch)):
            self.run_batch(batch, mode, stages if number else Stages())
            self.forget_changes()
        return stages

    def run_batch(self, batch: list[bytes], mode: Mode, stages: Stages) -> None:
        """All stages of a batch, each with its time."""
        began = time.process_time()
        read = self.intake.door.read(batch)
        decoded = time.process_time()
        arrivals = read.recorded_at
        facts, *_, left = read.take("events", 0, list(range(len(batch))), arrivals)
        made = time.process_time()
        if left or None in arrivals:
            raise ValueError("the generator writes plain events alone")
        before = self.watermark
        self.watermark = arrivals[-1] or 0
        outs = self.advance_made(dict(facts), before if mode == "track" else self.watermark)
        judged = time.process_time()
        if mode != "judge":
            for out in outs:
                messages(out, self.watermark)
        encoded = time.process_time()
        if mode == "track":
            for shard in self.shards:
                shard.snapshot(base=False)
        stages.store_s += time.process_time() - encoded
        stages.encode_s += encoded - judged
        stages.judge_s += judged - made
        stages.fact_s += made - decoded
        stages.decode_s += decoded - began
        stages.events += len(batch)
        for out in outs:
            stages.count(out)

    def advance(self, facts: list[Fact], watermark: int) -> list[Output]:
        """Share facts out to their shards and move the clock of all."""
        shares: dict[int, list[Fact]] = {}
        for fact in facts:
            shares.setdefault(shard_of(fact.key), []).append(fact)
        made = {number: Facts(encode(share)) for number, share in shares.items()}
        return self.advance_made(made, watermark)

    def advance_made(self, facts: Mapping[int, Facts], watermark: int) -> list[Output]:
        """Give facts of the core to their shards and move the clock of all."""
        outs = []
        for number, shard in enumerate(self.shards):
            if number in facts:
                shard.offer_made(facts[number])
            outs.append(shard.advance(watermark))
        self.watermark = max(self.watermark, watermark)
        return outs

    def forget_changes(self) -> None:
        """Drop the changes, as the store would take them."""
        for shard in self.shards:
            shard.snapshot(base=False)
            self.cold.update(shard.take_cold_rows())

    @property
    def live(self) -> int:
        """Number of orders in memory."""
        return sum(shard.order_count for shard in self.shards)

    def mean_history(self) -> float:
        """Events of a live order, on average over some thousands, old and young alike."""
        orders = chain.from_iterable(shard.orders().values() for shard in self.shards)
        # Every n-th, as the oldest orders may come first.
        sample = islice(orders, 0, None, max(1, self.live // SAMPLE))
        found = [len(history_of(data)) for data in sample]
        return sum(found) / ENTRY_BYTES / len(found)


def history_of(data: bytes) -> bytes:
    """The history of a packed order, `ENTRY_BYTES` an entry."""
    found: bytes = msgspec.msgpack.decode(data)[-1]
    return found


def short_lived() -> Lifecycle:
    """The lifecycle of the benchmarks."""
    return parse_lifecycle(short_lived_text(), "bench")


def short_lived_text() -> str:
    """The lifecycle that ships, but a delivered order leaves memory after an hour.

    As many orders leave as come, so that the number of live orders stays that of the table; each
    of them is on its way, with its timers running. Retirement is part of what is measured.
    """
    text = (files("dataflows.core") / "lifecycle.toml").read_text("utf-8")
    return re.sub(r'retire_after = "\d+d"', 'retire_after = "1h"', text)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def lines_of(stream: Iterator[Arrived], count: int) -> list[bytes]:
    """The next messages, made before the clock is started."""
    return [to_json(arrived) for arrived in islice(stream, count)]
