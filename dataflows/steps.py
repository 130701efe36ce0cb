"""The two steps with state, resolve and track: their shards live in the store.

bytewax keeps only a small state for each: the shard's name, a pointer into the store, and the
watermarks of the source tasks.
"""

from collections.abc import Mapping

import msgspec
from bytewax.operators import StatefulBatchLogic

from dataflows.core.lifecycle import Lifecycle, NumberRules
from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.resolve import ResolverSnapshot, resolver_of
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.rules import Rules
from dataflows.core.shard import Mark, Shard
from dataflows.exchange import Dead, NumberPiece, OrderPiece, dead_fact
from dataflows.metrics import DataflowMetrics
from dataflows.output_messages import Block, Outgoing, dead_letter, messages
from dataflows.state.states import (
    RESOLVE,
    TRACK,
    StepState,
    decode_state,
    encode_state,
)
from dataflows.state.store import ShardStore
from dataflows.watermarks import Claims, Watermarks
from schemas import topics
from schemas.errors import DamagedState, StateError, StoreUnavailable
from schemas.instants import MINUTE_MS

# The state of an order set aside whose release was requested: (since_at, releases), by order key.
Releases = Mapping[str, tuple[int, int]]

encode = msgspec.msgpack.Encoder().encode
decode_resolver = msgspec.msgpack.Decoder(ResolverSnapshot).decode


class Step:
    """Common part of both steps."""

    def __init__(self, step: str, store: ShardStore, tasks: int, resume: bytes | None) -> None:
        """Create the step, resumed, or new with the name in its first piece."""
        self.step = step
        state = decode_state(resume) if resume else None
        self.store = store
        self.name = state.name if state else ""
        self.pointer = state.pointer if state else None
        self.watermarks = Watermarks(tasks, state.watermarks if state else None)
        self.is_dirty = False
        self.blobs = store.open(self.name, self.pointer) if state else []

    def set_name(self, name: str) -> None:
        """Set the name of a new shard from its first piece."""
        if not self.name:
            self.name = name
            self.store.open(name, None)

    def state(self, batches: int = 0) -> bytes:
        """State for bytewax, and the store with it; see its `note` for `batches`."""
        if self.pointer is None:
            message = f"shard {self.name or '?'}: snapshot before anything was staged"
            raise RuntimeError(message)
        state = encode_state(StepState(self.name, self.pointer, self.watermarks.by_task))
        self.store.note(self.step, key_of(self.name), state, batches)
        return state


def key_of(shard: str) -> str:
    """Bytewax's key of a shard: those of the resolver lie under the keys of the order shards."""
    return f"s{shard[1:]}"


class ResolveStep(StatefulBatchLogic[NumberPiece, tuple[str, OrderPiece], bytes]):
    """Resolver shard: gives events that only carry a number to the orders that registered it."""

    def __init__(
        self,
        rules: NumberRules,
        store: ShardStore,
        tasks: int,
        metrics: DataflowMetrics,
        resume: bytes | None,
    ) -> None:
        """Create the step, resumed or new; `rules` are the lifecycle file's."""
        self.step = Step(RESOLVE, store, tasks, resume)
        self.batches = 0  # since the run began; each brings one piece for every shard
        self.metrics = metrics
        self.resolver = resolver_of(rules)
        self.resolver.restore(map(decode_resolver, self.step.blobs))
        self.step.blobs = []
        metrics.restored(self.resolver.waiting_count)

    def on_batch(self, values: list[NumberPiece]) -> tuple[list[tuple[str, OrderPiece]], bool]:
        """Take registrations and questions, advance the watermark, emit what is resolved."""
        answers = Answers()
        self.batches += len(values)
        for piece in values:
            self.step.set_name(piece.shard)
            self.step.watermarks.advance(piece.task, piece.watermark)
            self.resolver.offer(piece.registrations, piece.questions)
            for registrations in piece.made:
                self.resolver.offer_made(registrations)
        self.resolver.advance(self.step.watermarks.watermark, answers)
        self.step.is_dirty |= self.resolver.has_changed
        self.metrics.resolved(self.step.name, answers, self.resolver.waiting_count)
        self.metrics.filled(self.step.name, self.resolver.bounds())
        return order_pieces(answers), False

    def on_notify(self) -> tuple[list[tuple[str, OrderPiece]], bool]:
        """Never called: bytewax compares with the wall clock, ours is stream time."""
        return [], False

    def on_eof(self) -> tuple[list[tuple[str, OrderPiece]], bool]:
        """The end of a run is not the end of time: nothing is given up."""
        return [], False

    def notify_at(self) -> None:
        """Never: a past value spins at 336,000 calls/s."""
        return

    def snapshot(self) -> bytes:
        """Stage what changed."""
        step = self.step
        if step.is_dirty or step.pointer is None:
            base = step.pointer is None or step.store.wants_base(step.name)
            blob = encode(self.resolver.snapshot(base=base))
            step.pointer = step.store.stage(step.name, blob, base=base)
            step.is_dirty = False
        return step.state(self.batches)


def order_pieces(answers: Answers) -> list[tuple[str, OrderPiece]]:
    """The answers by order shard."""
    by_shard: dict[int, OrderPiece] = {}
    for fact in answers.facts:
        piece_of(by_shard, shard_of(fact.key)).facts.append(fact)
    for given_up in answers.rejected:
        dead: Dead = dead_fact(given_up.fact, given_up.reason)
        piece_of(by_shard, shard_of(given_up.fact.event_id)).dead.append(dead)
    return [(piece.shard, piece) for piece in by_shard.values()]


def piece_of(by_shard: dict[int, OrderPiece], number: int) -> OrderPiece:
    """The piece for an order shard; its watermark comes with the tasks' own."""
    return by_shard.setdefault(number, OrderPiece(SHARDS[number], 0, -1, [], []))


class RetiredOrders:
    """The retired-order table of one shard in the store."""

    def __init__(self, step: Step) -> None:
        """Create the table of a step's shard."""
        self.step = step

    def get(self, key: str) -> bytes | None:
        """A retired order.

        Raises:
            DamagedState: this one is damaged.
            StoreUnavailable: the store can't be read.
        """
        try:
            return self.step.store.retired(self.step.name, key)
        except DamagedState:
            raise
        except StateError as error:
            raise StoreUnavailable(str(error)) from error


def released(set_aside: Mapping[str, Mark], releases: Releases) -> list[str]:
    """The orders set aside whose release was requested as they are now."""
    return [
        key
        for key, order in set_aside.items()
        if releases.get(key) == (order.since_at, order.releases)
    ]


class OrderStep(StatefulBatchLogic[OrderPiece, list[Block | Outgoing], bytes]):
    """Order shard: folds facts, advances to the watermark, emits documents, alerts and actions."""

    def __init__(
        self,
        table: Lifecycle,
        rules: Rules,
        store: ShardStore,
        tasks: int,
        metrics: DataflowMetrics,
        resume: bytes | None,
        releases: Releases | None = None,
    ) -> None:
        """Create the step, resumed or new; `releases` are the orders to release from set aside."""
        self.claims = Claims()  # of the tasks of all workers; `dataflows.track` puts the process's
        self.step = Step(TRACK, store, tasks, resume)
        self.metrics = metrics
        self.shard = Shard(table, rules, RetiredOrders(self.step), store.generation)
        self.has_new_rules = False
        self.heartbeat_at = 0
        if self.step.blobs:
            self.has_new_rules = self.shard.restore(self.step.blobs) != self.shard.digest
            self.shard.release_at_next(released(self.shard.set_aside(), releases or {}))
        self.step.blobs = []
        metrics.restored(self.shard.waiting_count)

    def on_batch(self, values: list[OrderPiece]) -> tuple[list[list[Block | Outgoing]], bool]:
        """Apply facts, advance the watermark, emit outcomes; always one item, it wakes the sink."""
        dead: list[Dead] = []
        for piece in values:
            self.step.set_name(piece.shard)
            self.step.watermarks.advance(piece.task, piece.watermark)
            self.claims.note(piece.task, piece.claimed)
            if piece.facts:
                self.shard.offer(piece.facts)
            for facts in piece.made:
                self.shard.offer_made(facts)
            dead += piece.dead
            self.step.is_dirty |= bool(piece.facts or piece.made)
        shard = self.shard
        outs: list[Output] = []
        found: list[Block | Outgoing] = []
        if self.has_new_rules:
            outs.append(shard.reevaluate())
            found += messages(outs[-1], shard.watermark)
            self.has_new_rules = False
        outs.append(shard.advance(self.step.watermarks.watermark))
        found += messages(outs[-1], shard.watermark)
        self.step.is_dirty |= shard.has_changed
        found += map(dead_letter, dead)
        found += self.heartbeat()
        orders, waiting = shard.order_count, shard.waiting_count
        for out in outs:
            self.metrics.advanced(self.step.name, out, shard.watermark, orders, waiting)
        faults = [fault for out in outs for fault in out.faults]
        self.metrics.filled(self.step.name, shard.bounds())
        self.metrics.set_aside(self.step.name, len(shard.set_aside()), faults)
        return [found], False

    def heartbeat(self) -> list[Outgoing]:
        """The watermark, for tiers without changes of orders, once a minute of stream time."""
        watermark = self.shard.watermark
        if watermark < self.heartbeat_at + MINUTE_MS:
            return []
        self.heartbeat_at = watermark
        key = f"{topics.CLOCK_KEY}-{self.step.name}".encode()
        clock = (topics.HEADER_CLOCK, b"%d" % watermark)
        shard = SHARDS.index(self.step.name)
        return [Outgoing(topics.ORDERS_CHANGES, key, None, [clock], shard)]

    def on_notify(self) -> tuple[list[list[Block | Outgoing]], bool]:
        """Never called."""
        return [], False

    def on_eof(self) -> tuple[list[list[Block | Outgoing]], bool]:
        """No deadline fires at the end of a run; the empty item wakes the sink for its barrier."""
        return [[]], False

    def notify_at(self) -> None:
        """Never: a past value spins at 336,000 calls/s."""
        return

    def snapshot(self) -> bytes:
        """Stage what changed; the old pointer where nothing did."""
        step, shard = self.step, self.shard
        if step.is_dirty or step.pointer is None:
            base = step.pointer is None or step.store.wants_base(step.name)
            retired = shard.take_cold_rows()
            step.pointer = step.store.stage(
                step.name, shard.snapshot(base=base), base=base, retired=retired
            )
            step.is_dirty = False
        return step.state()
