"""Action worker: the handler of a consumer loop over orders.actions, with the outbox in between.

A round inserts a batch, stores the results of attempts, hands over what is due and publishes what
has ended. Offsets are committed after the insert. The thread of the loop alone uses the outbox and
the producer; the attempts run in the receivers' threads.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from threading import Event as Flag
from typing import NamedTuple
from uuid import uuid4

import msgspec

from broker.consume import Message
from broker.consumer_loop import ConsumerLoop, Interrupted, LoopSettings
from broker.consumer_loop import Reader as LoopReader
from schemas.errors import Busy
from schemas.instants import DAY_MS, parse_instant
from schemas.json_faults import json_fault
from schemas.topics import HEADER_CLOCK, number_in
from sinks.actions.attempt import ACTION, ActionClock
from sinks.actions.batches import batches_of
from sinks.actions.metrics import ActionMetrics
from sinks.actions.outbox import Arrival, Outbox, Result, Task
from sinks.actions.outcomes import Publisher
from sinks.actions.receiver import Receiver, Receivers
from sinks.actions.table import ActionTable

LOGGER = logging.getLogger("ordertide.actions")
SETTINGS = LoopSettings(read_timeout_s=0.05)
# As long as orders.actions keeps a message, and a day: one that comes again is known.
KEEP_MS = 15 * DAY_MS
PUBLISH_AT_A_TIME = 1_000
# More than are inserted in a second at 164 µs an action, so that the outbox doesn't grow for ever.
FORGET_AT_A_TIME = 10_000
UPKEEP_EVERY_S = 1.0
END_WITHIN_S = 10.0


class StreamTime:
    """Stream clock of the actions read: `now` of recorded history."""

    def __init__(self) -> None:
        """Create a clock at 0, before everything."""
        self.at = 0

    def see(self, message: Message) -> None:
        """Advance to the clock that came with a message."""
        self.at = max(self.at, number_in(message.headers, HEADER_CLOCK) or 0)

    def now(self) -> int:
        """The clock in ms."""
        return self.at


class WorkerParts(NamedTuple):
    """Parts of a worker; `verify` returns if this process holds the lease."""

    reader: LoopReader[Message]
    outbox: Outbox
    publisher: Publisher
    table: ActionTable
    receivers: Receivers
    clock: ActionClock
    watch: ActionMetrics
    stream: StreamTime
    verify: Callable[[], None]


class ActionWorker:
    """Does what its reader reads until `stop` is set."""

    def __init__(self, parts: WorkerParts, stop: Flag) -> None:
        """Create a worker; what an earlier one was sending is waiting again."""
        self.outbox = parts.outbox
        self.publisher = parts.publisher
        self.table = parts.table
        self.receivers = parts.receivers
        self.clock = parts.clock
        self.watch = parts.watch
        self.stream = parts.stream
        self.verify = parts.verify
        self.loop = ConsumerLoop(parts.reader, self, stop, SETTINGS)
        self._collected: list[Result] = []  # and not stored yet
        self._kept_at_s = 0.0
        with self.outbox.transaction():
            self.outbox.restart()

    def run(self) -> None:
        """Act until `stop` is set; attempts under way may end, and the others resume later.

        Raises:
            OrdertideError: the lease is lost, or the broker or the outbox refuses for good.
        """
        try:
            self.loop.run()
        except Interrupted:
            LOGGER.info("act: stopped while waiting")
        self.receivers.close()
        self._drain()

    def step(self) -> int:
        """Make one round; the number of messages read."""
        return self.loop.step()

    def submit(self, batch: Sequence[Message]) -> int:
        """Insert a batch, and move what is due or has ended."""
        arrivals = [*self._arrivals(batch)]
        positions = {(each.topic, each.partition): each.offset + 1 for each in batch}
        self._collect()
        self.loop.retry(self.verify)
        self.loop.retry(lambda: self._store(arrivals, positions))
        self.loop.retry(self._hand_over)
        self.loop.retry(self._publish)
        self.watch.starts(None)
        return len(batch)

    def committable(self, *, force: bool) -> bool:
        """Return True: everything submitted is in the outbox."""
        return True

    def committed(self) -> None:
        """Do nothing: the outbox holds nothing by offset."""

    def poll(self) -> None:
        """Expire, forget and measure, once a second."""
        if time.monotonic() - self._kept_at_s >= UPKEEP_EVERY_S:
            self._kept_at_s = time.monotonic()
            self.keep_up()

    def keep_up(self) -> None:
        """Expire what waits, forget what ended long ago, and measure."""
        try:
            with self.outbox.transaction():
                self.outbox.expire(self.clock.orders_ms())
                self.outbox.forget(self.clock.wall_ms() - KEEP_MS, FORGET_AT_A_TIME)
            self._measure()
        except Busy as busy:
            self.waiting(busy, 0.0)

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Log and measure a wait."""
        LOGGER.warning("act: waiting %.1f s: %s", wait_s, busy.reason)
        self.watch.waiting(busy, wait_s)

    def commit_deferred(self, busy: Busy) -> None:
        """Log that the broker takes no commit."""
        LOGGER.info("act: %s", busy.reason)

    def _arrivals(self, batch: Sequence[Message]) -> Iterator[Arrival]:
        for message in batch:
            self.stream.see(message)
            if message.value is None:
                continue
            try:
                action = ACTION.decode(message.value)
                expires_at = parse_instant(action.expires_at)
            except (msgspec.DecodeError, ValueError) as error:
                self.watch.unreadable("unreadable_action")
                LOGGER.warning(
                    "%s [%d] offset %d: passed over: %s",
                    *(message.topic, message.partition, message.offset),
                    json_fault(error, message.value),
                )
                continue
            row = self.table.row_of(action.kind, action.tenant)
            receiver = row.receiver if row else None
            end = {} if receiver else {"end": "skipped", "reason": "its kind has no receiver"}
            yield Arrival(
                action_id=action.action_id,
                receiver=receiver or "",
                expires_at=expires_at,
                came_at=message.timestamp_ms,
                value=message.value,
                **end,  # type: ignore[arg-type]  # one of the ends
            )

    def _collect(self) -> None:
        """Take the results that have come; they stay until they are stored."""
        for results in self.receivers.collect(self.clock.wall_ms()):
            self.watch.attempted(results)
            self._collected += results

    def _store(self, arrivals: list[Arrival], positions: Mapping[tuple[str, int], int]) -> None:
        if not (arrivals or positions or self._collected):
            return
        with self.outbox.transaction():
            self.outbox.insert(arrivals, self.clock.wall_ms(), self.clock.orders_ms())
            self.outbox.move_to(positions)
            self.outbox.settle(self._collected)
        self._collected = []

    def _hand_over(self) -> None:
        now_at = self.clock.wall_ms()
        rooms = {name: receiver.room(now_at) for name, receiver in self.receivers.items()}
        due = [name for name in rooms if rooms[name] > 0 and self.outbox.has_due(name, now_at)]
        if not due:
            return
        with self.outbox.transaction():  # one for all: each is a write to the disk
            taken = {name: self._taken(self.receivers[name], now_at, rooms[name]) for name in due}
        for name, requests in taken.items():
            self.receivers[name].put(requests)

    def _taken(self, receiver: Receiver, now_at: int, room: int) -> list[list[Task]]:
        """Actions of a receiver that are due, by the requests in which they are sent."""
        row = receiver.batch
        if row is None:
            return [[task] for task in self.outbox.take(receiver.name, now_at, room)]
        due = self.outbox.due(receiver.name, now_at, room * row.most)
        batches = batches_of(due, row, room, now_at, receiver.orders)
        requests = [each.named(uuid4().hex) for each in batches]
        self.outbox.begin(chain(*requests))
        return requests

    def _publish(self) -> None:
        tasks = self.outbox.unpublished(PUBLISH_AT_A_TIME)
        published = self.publisher.publish(tasks)
        if not published:
            return
        with self.outbox.transaction():
            self.outbox.published(published)
        for task in published:
            self.watch.published(task, self.clock.wall_ms())

    def _measure(self) -> None:
        is_up = {name: each.reason is None for name, each in self.receivers.items()}
        self.watch.holds(self.outbox.counts(self.clock.wall_ms()), is_up)

    def _drain(self) -> None:
        """Store what attempts under way give within ten seconds, and publish it."""
        give_up_at_s = time.monotonic() + END_WITHIN_S
        while True:
            self._collect()
            if self.receivers.are_idle or time.monotonic() >= give_up_at_s:
                break
            time.sleep(SETTINGS.read_timeout_s)
        try:
            self._store([], {})
            self._publish()
        except Busy as busy:  # the next run publishes it
            LOGGER.info("act: %s", busy.reason)
