"""A source task: some partitions of `events`, read and decoded under one watermark.

Partition p belongs to task p mod SOURCE_TASKS, for ever: bytewax stores state per task, so new
partitions need no new task. bytewax calls `next_batch` once an epoch (the epoch interval is 1 ms;
`next_awake` paces on a wall-clock grid that all workers share): so a batch is an epoch, and the
watermark that a batch brings to the resolvers holds for everything read in the epochs before it.
They resolve what it has passed. So the orders get it an epoch later: then the facts are with them,
whatever way they took. (Batches that follow one another within a ms are one epoch: `snapshot` is
its end.)
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from bytewax.inputs import StatefulSourcePartition

from broker.clock import NO_WATERMARK, ClockKind, PartitionClock
from broker.connect import Connection
from broker.consume import Message
from broker.end_offsets import EndOffsets
from broker.topic_identity import check_topic_id, no_topic_id
from dataflows.core.compiled import Read
from dataflows.core.intake import Origin
from dataflows.core.questions import decode_questions
from dataflows.decoding import Decoder, recorded_at
from dataflows.exchange import Batch
from dataflows.metrics import DataflowMetrics
from dataflows.pacing import Pacing
from dataflows.partition_source import PartitionSource, PartitionState
from dataflows.rejection import dead_message
from dataflows.watermarks import NO_CLAIM, NO_PARTITIONS, Claims, MaxWatermark
from schemas.errors import Busy, Rejected
from schemas.event import Event, Tick
from schemas.instants import DAY_MS

LOGGER = logging.getLogger("ordertide.track")

BATCH_MESSAGES = 5_000
DISCOVER_PARTITIONS_EVERY = 50  # epochs


class SourceTaskState(msgspec.Struct, array_like=True):
    """Snapshot of a task: its partitions, and the counts of what it has read.

    `topic_id` is the id of the topic that the positions belong to; `max_watermark` is the value of
    `MaxWatermark`.
    """

    partitions: dict[int, PartitionState]
    read: int = 0
    ticks: int = 0
    rejected: int = 0
    topic_id: str = ""
    max_watermark: int = NO_WATERMARK


class SourceSettings(msgspec.Struct, frozen=True):
    """Settings of all tasks. `now` gives broker time in ms, `proven` also, None while unproven.

    `topic_id` is empty where the broker has none. `is_alone`: no other process has tasks of this
    flow. `note` is called with the number of a task and its state at the end of an epoch. Recorded
    times over `recorded_ahead_ms` ahead of all others advance no watermark; `claims` are those of
    the process. `closing` takes each task's `close`, to be called when the flow has ended: bytewax
    doesn't where a step fails.
    """

    connection: Connection
    topic: str
    group: str
    clock: ClockKind
    margin_ms: int
    epoch_ms: int
    tasks: int
    now: Callable[[], int]
    proven: Callable[[], int | None]
    stopping: Callable[[], bool]
    count_partitions: Callable[[], int]
    decoder: Decoder
    metrics: DataflowMetrics
    topic_id: Callable[[], str] = no_topic_id
    is_alone: bool = True
    note: Callable[[int, bytes], None] = lambda _task, _state: None
    recorded_ahead_ms: int = DAY_MS
    claims: Claims = msgspec.field(default_factory=Claims)
    closing: Callable[[Callable[[], None]], object] = lambda _close: None


class SourceTask(StatefulSourcePartition[Batch, bytes]):
    """Reads its partitions; one batch an epoch."""

    def __init__(
        self,
        number: int,
        resume: bytes | None,
        settings: SourceSettings,
        max_watermark: MaxWatermark | None = None,
    ) -> None:
        """Create a task, resumed or new. `max_watermark` is shared by the tasks of a process."""
        self.pacing = Pacing(settings.epoch_ms)
        self.number = number
        self.max_watermark = max_watermark or MaxWatermark()
        self.settings = settings
        self.state = (
            msgspec.msgpack.decode(resume, type=SourceTaskState) if resume else SourceTaskState({})
        )
        self.ends = EndOffsets(settings.connection)
        self.sources: dict[int, PartitionSource] = {}
        settings.closing(self.close)
        self.is_busy = False
        self.epochs = 0
        self.watermark = -1
        self.sent = -1  # the watermark of the last batch
        self.order_watermark = -1  # of the last whole epoch
        self.claimed = NO_CLAIM
        self.partitions = 0
        self.open_partitions(self.state.max_watermark)

    def open_partitions(self, initial_watermark: int) -> None:
        """Open partitions of this task that are not read yet.

        A partition missing in the snapshot was added when the watermark was `initial_watermark`:
        its messages arrive after that.

        Raises:
            OffsetLost: this is not the topic that was read before.
        """
        topic_id = self.settings.topic_id()
        check_topic_id(self.settings.topic, self.state.topic_id, topic_id)
        self.state.topic_id = topic_id
        self.partitions = self.settings.count_partitions()
        for partition in range(self.number, self.partitions, self.settings.tasks):
            if partition not in self.sources:
                state = self.state.partitions.get(partition)
                self.sources[partition] = PartitionSource(
                    partition, state, self.settings, self.ends, initial_watermark
                )

    def discover_partitions(self) -> None:
        """Open partitions added while running; an unavailable broker has added none."""
        try:
            self.open_partitions(
                max(self.state.max_watermark, self.max_watermark.watermark, self.present())
            )
        except Busy as busy:
            LOGGER.warning("new partitions: not queried, %s", busy)

    def present(self) -> int:
        """Return the present where tasks of other processes may be ahead of all of this one.

        No clock is ahead of the broker's time, but recorded history has nothing to do with it.
        """
        settings = self.settings
        is_known = settings.is_alone or settings.clock == "recorded"
        return NO_WATERMARK if is_known else settings.now()

    def next_batch(self) -> list[Batch]:
        """Return the messages since the last epoch, with the watermark of the epochs before."""
        if self.settings.stopping():
            raise StopIteration
        self.epochs += 1
        sources = self.sources.values()
        for source in sources:
            source.report()  # bytewax asks for an epoch once the barrier of the last is passed
        if self.epochs % DISCOVER_PARTITIONS_EVERY == 0:
            self.discover_partitions()
        batch = Batch(
            *(self.number, self.watermark, [], [], [], [], [], []),
            *(self.claimed, self.order_watermark),
        )
        self.sent = self.watermark
        with self.settings.decoder.together():
            read = sum([self.read(source, batch) for source in sources])
        self.confirm()
        self.watermark = self.task_watermark()
        self.claimed = min((source.clock.claimed for source in sources), default=NO_PARTITIONS)
        self.max_watermark.report(self.number, self.watermark)
        self.is_busy = read >= BATCH_MESSAGES // 4
        return [batch]

    def confirm(self) -> None:
        """Advance recorded watermarks over claims that all other partitions confirm."""
        if self.settings.clock != "recorded":
            return
        elsewhere = self.settings.claims.others(self.number, self.settings.tasks)
        claimed = {source.partition: source.clock.claimed for source in self.sources.values()}
        waiting = 0
        for partition, source in self.sources.items():
            beside = [at for other, at in claimed.items() if other != partition]
            others = None if self.partitions == 1 else min([elsewhere, *beside])
            waiting += source.confirm(others)
        self.settings.metrics.claiming(self.number, waiting)

    def task_watermark(self) -> int:
        """The watermark of the task: the earliest of its partitions."""
        return min(
            (source.clock.watermark for source in self.sources.values()), default=NO_PARTITIONS
        )

    def read(self, source: PartitionSource, batch: Batch) -> int:
        """Read a partition into the batch; return the number of messages."""
        messages = source.reader.read(BATCH_MESSAGES // len(self.sources))
        dead_before = len(batch.dead)
        ticks = self.take_all(messages, source.clock, batch)
        source.idle_advance.step(source.reader.position)
        self.state.read += len(messages)
        self.state.ticks += ticks
        rejected = Counter(dead.code for dead in batch.dead[dead_before:])
        self.settings.metrics.seen(len(messages), ticks, rejected)
        return len(messages)

    def take_all(self, messages: list[Message], clock: PartitionClock, batch: Batch) -> int:
        """Decode the messages of a partition into the batch; return the number of ticks."""
        if not messages:
            return 0
        read = self.settings.decoder.read_plain([(each.value, each.headers) for each in messages])
        recorded_at = read.recorded_at
        ticks = begin = 0
        arrivals: list[int | None] = []
        for end in [i for i, at in enumerate(recorded_at) if at is None]:
            arrivals += self.arrive(messages[begin:end], recorded_at[begin:end], clock, batch)
            ticks += self.take(messages[end], clock, batch)
            arrivals.append(None)
            begin = end + 1
        arrivals += self.arrive(messages[begin:], recorded_at[begin:], clock, batch)
        self.share(read, messages, arrivals, batch)
        return ticks

    def arrive(
        self,
        messages: Sequence[Message],
        recorded_at: Sequence[int | None],
        clock: PartitionClock,
        batch: Batch,
    ) -> Sequence[int | None]:
        """Arrivals of plain events that follow one another; None for one that is rejected."""
        if self.settings.clock == "recorded":
            arrivals = clock.saw_all(at for at in recorded_at if at is not None)
        else:
            arrivals = clock.saw_all([message.timestamp_ms for message in messages])
        if not self.settings.decoder.links.is_needed():
            return arrivals
        pairs = zip(messages, arrivals, strict=True)
        return [at if self.link(message, batch) else None for message, at in pairs]

    def link(self, message: Message, batch: Batch) -> bool:
        """Note the links of a plain event; False if it is rejected."""
        try:
            self.settings.decoder.link_plain(message.value or b"")
        except Rejected as reason:
            self.reject(message, reason, batch)
            return False
        return True

    def share(
        self, read: Read, messages: list[Message], arrivals: list[int | None], batch: Batch
    ) -> None:
        """Add what follows from plain events to the batch."""
        topic, partition = messages[0].topic, messages[0].partition
        offsets = [message.offset for message in messages]
        facts, registrations, questions, left = read.take(topic, partition, offsets, arrivals)
        batch.made.extend(facts)
        batch.made_numbers.extend(registrations)
        batch.questions.extend(decode_questions(questions))
        for index in left:
            self.take_arrived(messages[index], arrivals[index] or 0, batch)

    def take_arrived(self, message: Message, arrival_at: int, batch: Batch) -> None:
        """Decode a message with an arrival into the batch."""
        try:
            event, data = self.settings.decoder.read(message.value or b"", message.headers)
            if isinstance(event, Event):
                self.put(event, data, message, arrival_at, batch)
        except Rejected as reason:
            self.reject(message, reason, batch)

    def take(self, message: Message, clock: PartitionClock, batch: Batch) -> bool:
        """Decode a message into the batch; True for a tick."""
        try:
            event, data = self.settings.decoder.read(message.value or b"", message.headers)
            if isinstance(event, Tick):
                clock.tick(event.at)
                return True
            recorded = self.settings.clock == "recorded"
            arrival_at = clock.saw(recorded_at(event) if recorded else message.timestamp_ms)
            self.put(event, data, message, arrival_at, batch)
        except Rejected as reason:
            self.reject(message, reason, batch)
        return False

    def put(
        self, event: Event, data: bytes, message: Message, arrival_at: int, batch: Batch
    ) -> None:
        """Add an event to the batch: as a fact, or as a question with its registrations."""
        origin = Origin(message.topic, message.partition, message.offset)
        fact, question, registrations = self.settings.decoder.decode(
            event, data, arrival_at, origin
        )
        if event.dropped_fields:
            self.settings.metrics.dropped(event.dropped_fields)
        if self.settings.decoder.intake.is_unknown(event):
            self.settings.metrics.unknown_code(event.source, event.status_code)
        if fact is not None:
            batch.facts.append(fact)
        if question is not None:
            batch.questions.append(question)
        batch.registrations.extend(registrations)

    def reject(self, message: Message, reason: Rejected, batch: Batch) -> None:
        """Add a message that can't be read to the batch's dead letters."""
        self.state.rejected += 1
        batch.dead.append(dead_message(message, reason, self.settings.decoder))

    def next_awake(self) -> datetime:
        """Return now while there is much to read, else the next point of the common grid."""
        return self.pacing.next_awake(is_busy=self.is_busy)

    def snapshot(self) -> bytes:
        """Positions, watermarks and counts, at the end of an epoch."""
        self.order_watermark = self.sent
        self.state.partitions.update({p: source.state() for p, source in self.sources.items()})
        self.state.max_watermark = max(self.state.max_watermark, self.max_watermark.watermark)
        for source in self.sources.values():
            lag = max(0, source.end.offset - source.reader.position)
            self.settings.metrics.lag(self.settings.topic, source.partition, lag)
        state = msgspec.msgpack.encode(self.state)
        self.settings.note(self.number, state)
        return state

    def close(self) -> None:
        """Close the connections to the broker."""
        for source in self.sources.values():
            source.reader.close()
        self.ends.close()
