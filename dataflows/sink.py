"""Sink of the dataflow: sends the shards' outputs to Kafka, and ends each epoch with a barrier.

bytewax calls `snapshot` of a sink partition after all writes of the epoch, and after the snapshots
of all shards on all workers, and counts the epoch as done only when it returns. So it flushes the
producer and then commits the blobs of the epoch: an output that was not acknowledged, or a blob
that is not on the disk, is never counted as done. (bytewax's own KafkaSink drops delivery errors.)
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from broker.message_limits import MessageLimits, record_bytes
from broker.produce import Producer
from dataflows.core.routing import SHARDS
from dataflows.metrics import DataflowMetrics
from dataflows.output_messages import Block, Outgoing
from dataflows.state.store import ShardStore
from dataflows.unsendable import are_small, dead_letter_of, excess_of, reason_in
from schemas.errors import Busy, Rejected

# One sink partition for each worker there can be; stored with the state, never change it.
SINKS = 16
FLUSH_TIMEOUT_S = 30.0


class Worker(msgspec.Struct, frozen=True):
    """One worker of a run: its index, and the number of them. Each is a process with one flow."""

    index: int = 0
    count: int = 1

    def sink_key(self) -> str:
        """The key of its own sink partition."""
        return f"w{self.index:02d}"

    def sink_parts(self) -> list[str]:
        """The keys of the sink partitions that lie on it; without items but for its own."""
        return [f"w{number:02d}" for number in range(SINKS) if number % self.count == self.index]


class KafkaSinkPart(StatefulSinkPartition[list[Block | Outgoing], None]):
    """The outputs of one worker."""

    def __init__(
        self,
        producer: Producer,
        limits: MessageLimits,
        store: ShardStore,
        stopping: Callable[[], bool],
        metrics: DataflowMetrics,
    ) -> None:
        """Create the part; one producer and one store a process."""
        self.producer = producer
        self.limits = limits
        self.store = store
        self.stopping = stopping
        self.metrics = metrics

    def write_batch(self, values: list[list[Block | Outgoing]]) -> None:
        """Hand the messages to the producer."""
        for batch in values:
            for each in batch:
                if isinstance(each, Block):
                    self.write_block(each)
                else:
                    self.write(each)

    def write_block(self, block: Block) -> None:
        """Hand messages to the producer, those that may be too large one by one."""
        if not are_small(block, self.limits):
            for outgoing in block.singly():
                self.write(outgoing)
            return
        refused = self.producer.send_rows(block.topic, block.rows)
        for outgoing in Block(block.topic, refused).singly():
            self.send_refused(outgoing)

    def write(self, outgoing: Outgoing) -> None:
        """Hand a message to the producer, or a dead letter where its topic doesn't take it."""
        excess = excess_of(outgoing, self.limits)
        if excess:
            self.send_dead_letter(outgoing, *excess)
            return
        try:
            self.send(outgoing)
        except Rejected:
            self.send_refused(outgoing)

    def send_refused(self, outgoing: Outgoing) -> None:
        """Send the dead letter of what the producer refuses: it has a lower limit of its own."""
        size_bytes = record_bytes(outgoing.key, outgoing.value, outgoing.headers)
        self.send_dead_letter(outgoing, size_bytes, None)

    def send(self, outgoing: Outgoing) -> None:
        """Hand a message to the producer.

        Raises:
            Rejected: it is too large; nothing was sent.
        """
        topic, key, value, headers, heartbeat_of = outgoing
        if heartbeat_of is None:
            self.producer.send(topic, key, value, headers)
        else:
            for partition in heartbeat_partitions(
                heartbeat_of, self.producer.partition_count(topic)
            ):
                self.producer.send(topic, key, value, headers, partition=partition)

    def send_dead_letter(
        self, outgoing: Outgoing, size_bytes: int, limit_bytes: int | None
    ) -> None:
        """Send the dead letter of an output; if that is too large as well, it is only logged."""
        dead_letter = dead_letter_of(outgoing, size_bytes, limit_bytes)
        self.metrics.unsendable(outgoing.topic, reason_in(dead_letter))
        if excess_of(dead_letter, self.limits) is None:
            with suppress(Rejected):  # logged above
                self.send(dead_letter)

    def snapshot(self) -> None:
        """The barrier."""
        began = time.perf_counter()
        self.flush()
        flushed = time.perf_counter()
        self.store.commit()
        self.limits.refresh()
        self.metrics.barrier(flushed - began, time.perf_counter() - flushed)

    def flush(self) -> None:
        """Wait until the broker has acknowledged everything."""
        while True:
            try:
                self.producer.flush(FLUSH_TIMEOUT_S)
            except Busy:
                # The broker is unavailable; nothing continues without it. When stopping, end: the
                # epoch doesn't count and is done again by the next run.
                if self.stopping():
                    raise
            else:
                return


def heartbeat_partitions(shard: int, partitions: int) -> Sequence[int]:
    """The partitions that a shard's heartbeat goes to: all shards together reach each of them.

    By their keys they would not: of 16 partitions one got none, and its tiers' clock stood still.
    """
    return range(shard, partitions, len(SHARDS)) or [shard % partitions]


class KafkaSink(FixedPartitionedSink[list[Block | Outgoing], None]):
    """A sink partition on each worker, for that worker's outputs."""

    def __init__(self, worker: Worker, build: Callable[[], KafkaSinkPart]) -> None:
        """Create the sink of `worker`; `build` makes a partition."""
        self.worker = worker
        self.build = build

    def list_parts(self) -> list[str]:
        """The partitions that lie on this worker."""
        return self.worker.sink_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaSinkPart:
        """Open a partition."""
        return self.build()

    def part_fn(self, item_key: str) -> int:
        """The number of the partition of a key."""
        return int(item_key.removeprefix("w"))
