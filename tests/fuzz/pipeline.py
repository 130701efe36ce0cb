"""The flow without bytewax: the real task, resolver, shard and output messages in one process."""

from typing import Any, Self

import msgspec

from broker.clock import ClockKind, PartitionClock
from broker.connect import Connection
from broker.consume import Message
from dataflows.core.intake import Intake
from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.resolve import ResolverSnapshot, resolver_of
from dataflows.core.shard import Shard
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.exchange import Batch, dead_fact
from dataflows.output_messages import Outgoing, dead_letter, messages, singly
from dataflows.source_task import SourceSettings, SourceTask
from privacy.keys import MemoryKeyStore
from privacy.originals import seal_rejected
from privacy.seal import seal_event
from schemas.instants import DAY_MS
from tests.fuzz.messages import START_AT

TABLE = read_lifecycle()
RULES = read_rules(None, TABLE)
NOW_AT = START_AT + 400 * DAY_MS


class NoMetrics:
    """An observer that keeps nothing."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of the protocol
        return lambda *_: None


class Pipeline:
    """One task without partitions, one resolver and one shard; everything they emit is kept."""

    def __init__(self, connection: Connection, kind: ClockKind = "recorded") -> None:
        keystore = MemoryKeyStore()
        self.decoder = Decoder(
            Intake(TABLE, RULES),
            lambda data, event: seal_event(data, event, keystore),
            lambda data, headers: seal_rejected(data, keystore, headers),
        )
        self.task = SourceTask(
            0,
            None,
            SourceSettings(
                connection=connection,
                topic="events",
                group="fuzz",
                clock=kind,
                margin_ms=0,
                epoch_ms=1,
                tasks=1,
                now=lambda: NOW_AT,
                proven=lambda: NOW_AT,
                stopping=lambda: False,
                count_partitions=lambda: 0,
                decoder=self.decoder,
                metrics=NoMetrics(),
            ),
        )
        self.clock = PartitionClock(kind, lambda: NOW_AT)
        self.resolver = resolver_of(TABLE.numbers)
        self.shard = Shard(TABLE, RULES, {})
        self.sent: list[Outgoing] = []
        self.ticks = self.read = self.rejected = self.applied = self.duplicates = self.refused = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.task.close()

    def take(self, received: list[Message]) -> Batch:
        """Read an epoch's messages at the door."""
        batch = Batch(0, self.clock.watermark, [], [], [], [], [], [])
        self.read += len(received)
        self.ticks += self.task.take_all(received, self.clock, batch)
        self.rejected += len(batch.dead)
        self.sent += map(dead_letter, batch.dead)
        return batch

    def apply(self, batch: Batch, watermark: int) -> None:
        """Resolve and judge what the door let in."""
        answers = Answers()
        self.resolver.offer(batch.registrations, batch.questions)
        for _, registrations in batch.made_numbers:
            self.resolver.offer_made(registrations)
        self.resolver.advance(watermark, answers)
        self.duplicates += answers.duplicates
        self.rejected += len(answers.rejected)
        self.sent += [dead_letter(dead_fact(one.fact, one.reason)) for one in answers.rejected]
        self.shard.offer([*batch.facts, *answers.facts])
        for _, facts in batch.made:
            self.shard.offer_made(facts)
        self.emit(self.shard.advance(watermark))

    def emit(self, out: Output) -> None:
        """Count and keep what a shard emits."""
        self.applied += out.applied
        self.duplicates += out.duplicates
        self.refused += out.refused
        self.rejected += sum(refusal.fact.counted for refusal in out.rejected)
        self.sent += singly(messages(out, self.shard.watermark))

    def restart(self) -> None:
        """Begin again from snapshots, through the bytes that the store would hold."""
        encode = msgspec.msgpack.encode
        snapshot = self.shard.snapshot(base=True)
        self.shard = Shard(TABLE, RULES, {})
        self.shard.restore([snapshot])
        numbers = encode(self.resolver.snapshot(base=True))
        self.resolver = resolver_of(TABLE.numbers)
        self.resolver.restore([msgspec.msgpack.decode(numbers, type=ResolverSnapshot)])

    @property
    def waiting(self) -> int:
        """Messages whose fate is open."""
        return self.resolver.waiting_count + self.shard.waiting_count

    def check_conservation(self) -> None:
        """messages read = ticks + applied + duplicate + refused + rejected + waiting."""
        known = self.ticks + self.applied + self.duplicates + self.refused + self.rejected
        assert self.read == known + self.waiting
