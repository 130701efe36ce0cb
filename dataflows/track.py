"""The main dataflow: events in; orders, alerts and actions out.

Theory of operation: the life of an epoch
-----------------------------------------
An epoch is one batch of each of the eight source tasks, its processing, and the barrier at its end.
bytewax begins no epoch before all workers have ended the one before.

    1  source   each task (source_task.py) reads its partitions, decodes (plain events in the
                compiled core), seals personal data, and makes one batch: facts, registrations,
                lookups, dead letters, and the watermark of the epochs before
    2  share    a piece of the batch goes to every order shard and every resolver shard: also an
                empty one, since it brings the watermark
    3  resolve  the resolver shard of a number gives events that only carry a number to the orders
                that registered it, or lets them wait (steps.ResolveStep)
    4  track    the order shard adds the facts to its pending ones and advances to the watermark:
                fold, deadlines, alerts, documents (steps.OrderStep, core/shard.py)
    5  stage    at the end of the epoch bytewax calls `snapshot` of every step that was active: it
                stages the changed orders as one blob in the store, and returns a pointer to it
    6  barrier  bytewax then calls `snapshot` of the sink: verify the fencing token, flush, commit
                the outputs' transaction, commit what was staged (sink.py, store.commit)
    7  record   bytewax writes the pointers, and the positions of the source tasks, to its recovery
                store, and counts the epoch as done

Everything moves forward in this order only: outputs, blobs, pointers. So whatever pointer bytewax
returns after a crash, its blobs are there and its outputs are out. A crash leaves:

    before the transaction is committed   a transaction that the next run aborts
    between the two commits of 6          outputs without state: emitted again with the same ids
    between 6 and 7                       blobs without a pointer: dropped when the shard opens at
                                          the pointer before; the epoch is read again
    on one worker, others are done        all workers resume from the last epoch that all had ended

A worker is a process. Its sink partition takes what its own shards emit, so that each worker has
one producer, one transaction and one commit an epoch.
"""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir

from broker.message_limits import MessageLimits
from broker.produce import Producer
from dataflows.core.lifecycle import Lifecycle
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.rules import Rules
from dataflows.exchange import Batch, NumberPiece, OrderPiece
from dataflows.metrics import DataflowMetrics
from dataflows.output_messages import Block, Outgoing
from dataflows.sink import KafkaSink, KafkaSinkPart, Worker
from dataflows.source import EventsSource
from dataflows.source_task import SourceSettings
from dataflows.state.store import ShardStore
from dataflows.steps import OrderStep, Releases, ResolveStep
from schemas.private_files import make_private, private_folder

# Resolver shards lie in the same store as order shards, under names of their own.
NUMBER_SHARDS = [f"n{name[1:]}" for name in SHARDS]
# One epoch is one batch; see dataflows.source_task.
EPOCH = timedelta(milliseconds=1)


class Track(msgspec.Struct, frozen=True):
    """Everything the dataflow is made of."""

    table: Lifecycle
    rules: Rules
    source: SourceSettings
    store: ShardStore
    producer: Producer
    limits: MessageLimits
    metrics: DataflowMetrics
    releases: Releases = {}
    worker: Worker = Worker()


def build(track: Track) -> Dataflow:
    """The dataflow. Step names are part of the stored state: they never change."""
    flow = Dataflow("track")
    batches = op.input("events", flow, EventsSource(track.source))
    direct = op.flat_map("share_orders", batches, share_orders)
    numbers = op.flat_map("share_numbers", batches, share_numbers)
    resolved = op.stateful_batch("resolve", numbers, resolver(track))
    owned = op.map("to_owner", resolved, to_owner)
    pieces = op.merge("facts", direct, owned)
    outputs = op.stateful_batch("track", pieces, orders(track))
    outgoing = op.map("to_local_sink", outputs, to_local_sink(track.worker))
    op.output("kafka", outgoing, KafkaSink(track.worker, sink_part(track)))
    return flow


def share_orders(batch: Batch) -> list[tuple[str, OrderPiece]]:
    """A piece for every order shard, facts or not: each brings the watermark.

    It follows the resolvers' watermark by an epoch: what they resolved by then has come.
    """
    task, watermark, claimed = batch.task, batch.order_watermark, batch.claimed
    pieces = [OrderPiece(name, task, watermark, [], [], claimed) for name in SHARDS]
    for fact in batch.facts:
        pieces[shard_of(fact.key)].facts.append(fact)
    for shard, facts in batch.made:
        pieces[shard].made.append(facts)
    for dead in batch.dead:
        pieces[dead.offset % len(SHARDS)].dead.append(dead)
    return [(piece.shard, piece) for piece in pieces]


def share_numbers(batch: Batch) -> list[tuple[str, NumberPiece]]:
    """A piece for every resolver shard."""
    task, watermark = batch.task, batch.watermark
    pieces = [NumberPiece(name, task, watermark, [], [], []) for name in NUMBER_SHARDS]
    for registration in batch.registrations:
        pieces[shard_of(registration.number)].registrations.append(registration)
    for shard, registrations in batch.made_numbers:
        pieces[shard].made.append(registrations)
    for question in batch.questions:
        pieces[shard_of(question.number)].questions.append(question)
    return list(zip(SHARDS, pieces, strict=True))


def to_owner(answer: tuple[str, tuple[str, OrderPiece]]) -> tuple[str, OrderPiece]:
    """From the resolver shard that answered to the order shard that owns the order."""
    return answer[1]


def resolver(track: Track) -> Callable[[bytes | None], ResolveStep]:
    """Builder of a resolver shard: new, or from bytewax's state."""
    rules = track.table.numbers
    return lambda resume: ResolveStep(rules, track.store, track.source.tasks, track.metrics, resume)


def orders(track: Track) -> Callable[[bytes | None], OrderStep]:
    """Builder of an order shard."""

    def build_step(resume: bytes | None) -> OrderStep:
        source = track.source
        step = OrderStep(
            *(track.table, track.rules, track.store, source.tasks, track.metrics, resume),
            track.releases,
        )
        step.claims = source.claims
        return step

    return build_step


def to_local_sink(
    worker: Worker,
) -> Callable[[tuple[str, list[Block | Outgoing]]], tuple[str, list[Block | Outgoing]]]:
    """To the sink partition on the worker where the shard lives."""
    key = worker.sink_key()
    return lambda item: (key, item[1])


def sink_part(track: Track) -> Callable[[], KafkaSinkPart]:
    """Builder of a sink partition."""
    return lambda: KafkaSinkPart(
        track.producer, track.limits, track.store, track.source.stopping, track.metrics
    )


def recovery(folder: Path) -> RecoveryConfig:
    """Bytewax's own recovery store in `folder`, made if it isn't there; it holds pointers only."""
    if not folder.exists():
        fresh = folder.with_name(folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed here
        private_folder(fresh)
        init_db_dir(fresh, 1)  # type: ignore[no-untyped-call]  # bytewax has no stubs for it
        make_private(fresh)
        fresh.rename(folder)
    return RecoveryConfig(folder, timedelta(0))  # type: ignore[no-untyped-call]  # likewise
