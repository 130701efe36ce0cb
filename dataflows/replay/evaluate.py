"""Judging a recording: all shards in this process, or shared out to several."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.output import decode_document
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.set_aside import Fault, fault_of
from dataflows.core.shard import Shard
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.replay.refused_facts import Refused, RefusedFacts
from schemas.alert import Action, AlertTransition, AuditEntry
from schemas.order import OrderDocument
from telemetry.collector import collect_seldom


class Result(msgspec.Struct):
    """Results of some shards at the end, not sorted yet.

    `rejected` is the path of a file with facts (`refused_facts`), empty without any.
    """

    orders: list[OrderDocument] = []
    alerts: list[AlertTransition] = []
    actions: list[Action] = []
    audit: list[AuditEntry] = []
    rejected: str = ""
    set_aside: list[Fault] = []
    counts: dict[str, int] = {}


class Retired(dict[str, bytes]):
    """The retired-order table of a replay: in memory."""


class Judges:
    """Some of the shards, all in one process."""

    def __init__(self, rules: Path | None, lifecycle: Path | None, generation: int = 0) -> None:
        """Create the evaluator of these rules and this lifecycle; shards come when first needed."""
        self.table = read_lifecycle(lifecycle)
        self.rules = read_rules(rules, self.table)
        self.generation = generation
        self.shards: dict[int, Shard] = {}
        self.retired: dict[int, Retired] = {}
        self.result = Result()
        self.refused = RefusedFacts()
        self.counts: Counter[str] = Counter()

    def step(self, facts: list[Fact], watermark: int) -> None:
        """Offer facts to their shards and move the clock of all."""
        by_shard: dict[int, list[Fact]] = {}
        for fact in facts:
            by_shard.setdefault(shard_of(fact.key), []).append(fact)
        for number, batch in by_shard.items():
            self.shard(number).offer(batch)
        for number in self.shards:
            self.advance(number, watermark)

    def shard(self, number: int) -> Shard:
        """The shard with this number."""
        if number not in self.shards:
            self.retired[number] = Retired()
            self.shards[number] = Shard(
                self.table, self.rules, self.retired[number], self.generation
            )
            self.shards[number].publish(documents=False)
        return self.shards[number]

    def advance(self, number: int, watermark: int) -> None:
        """Advance one shard's watermark and keep its outcomes."""
        shard, result = self.shards[number], self.result
        out = shard.advance(watermark)
        result.alerts += [alert for _, alert in out.alerts]
        result.actions += [action for _, action in out.actions]
        result.audit += [entry for _, entry in out.audit]
        result.set_aside += [fault for fault in out.faults if not fault.is_preview]
        for refusal in out.rejected:
            reason = refusal.reason
            self.refused.add(Refused(reason.code, reason.reason, refusal.fact))
        self.counts["applied"] += out.applied
        self.counts["duplicates"] += out.duplicates
        self.counts["refused"] += out.refused
        retired = self.retired[number]
        for key, data in shard.take_cold_rows():
            if data is None:
                retired.pop(key, None)
            else:
                retired[key] = data

    def finish(self) -> Result:
        """Return all orders, retired ones included, with all outcomes."""
        for number, shard in self.shards.items():
            for key, data in {**self.retired[number], **shard.orders()}.items():
                self.show(key, data, shard)
            self.counts["waiting"] += shard.waiting_count
            self.counts["set_aside"] += len(shard.set_aside())
        self.result.counts = dict(self.counts)
        self.result.rejected = self.refused.close()
        return self.result

    def show(self, key: str, data: bytes, shard: Shard) -> None:
        """Add the document of an order; one that has none is set aside."""
        try:
            found = shard.document(key, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this order alone
            if key not in shard.set_aside():
                out = shard.put_aside(fault_of(key, error))
                self.result.set_aside += out.faults
                self.result.audit += [entry for _, entry in out.audit]
            return
        if found:
            self.result.orders.append(decode_document(found))


def judge_here(
    steps: Iterator[tuple[list[Fact], int]],
    rules: Path | None,
    lifecycle: Path | None,
    generation: int = 0,
) -> list[Result]:
    """Judge in this process."""
    judges = Judges(rules, lifecycle, generation)
    for facts, watermark in steps:
        judges.step(facts, watermark)
    return [judges.finish()]


def judge_shared(
    steps: Iterator[tuple[list[Fact], int]],
    rules: Path | None,
    lifecycle: Path | None,
    workers: int,
    generation: int = 0,
) -> list[Result]:
    """Judge in `workers` processes, each with its share of the shards."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    for _ in range(min(workers, len(SHARDS))):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(theirs, rules, lifecycle, generation), daemon=True
        )
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    for facts, watermark in steps:
        shares: list[list[Fact]] = [[] for _ in pipes]
        for fact in facts:
            shares[shard_of(fact.key) % len(pipes)].append(fact)
        for pipe, share in zip(pipes, shares, strict=True):
            pipe.send_bytes(encode((share, watermark)))
    for pipe in pipes:
        pipe.send_bytes(b"")
    results = [decode_result(pipe.recv_bytes()) for pipe in pipes]
    for process in processes:
        process.join()
    return results


encode = msgspec.msgpack.Encoder().encode
decode_step = msgspec.msgpack.Decoder(tuple[list[Fact], int]).decode
decode_result = msgspec.msgpack.Decoder(Result).decode


def work(pipe: Connection, rules: Path | None, lifecycle: Path | None, generation: int) -> None:
    """A worker process: steps until an empty one, then the result."""
    collect_seldom()
    judges = Judges(rules, lifecycle, generation)
    while step := pipe.recv_bytes():
        judges.step(*decode_step(step))
    pipe.send_bytes(encode(judges.finish()))


def rows(results: list[Result], name: str) -> list[Any]:
    """The rows of one kind out of several results."""
    return [row for result in results for row in getattr(result, name)]
