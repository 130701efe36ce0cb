"""Delivery: a member of a consumer group over orders.changes that keeps its receiver up to date.

Level-triggered: each change gives the open alerts of an order. Delivery compares them with those
delivered before, and posts the difference; open alerts are renewed before they run out. Offsets are
committed when nothing is pending. After a kill anywhere in between, the next process posts the same
again, and the labels make it the same alert. A document older than one that was read before changes
nothing (versions.py). The previous owner of a partition may have posted without committing, so the
next one ends such alerts by name although it never opened them.

Acknowledgements and snoozes are notes in the control topic (notes.py). An acknowledgement is an
annotation of the alert. A snooze is a silence at a receiver that has them (silencer.py), and stops
no renewal.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event as Flag

import msgspec

from broker.backoff import Backoff
from broker.connect import Connection
from broker.consume import GroupReader, Message
from broker.consumer_loop import ConsumerLoop, Interrupted, LoopSettings
from broker.end_offsets import EndOffsets
from broker.start_offsets import Partition
from schemas.errors import Busy
from schemas.topics import ORDERS_CHANGES
from sinks.channels.alert_message import Style
from sinks.channels.channel import Channel, SilencingChannel
from sinks.delivery.changes import Change, changes_in
from sinks.delivery.entries import OrderKey
from sinks.delivery.ledger import Ledger
from sinks.delivery.live_orders import LiveOrders
from sinks.delivery.metrics import DeliveryMetrics
from sinks.delivery.notes import NoteFollower
from sinks.delivery.rebuild import dealt_with
from sinks.delivery.sender import MAX_WAIT_S, AlertSender
from sinks.delivery.silencer import Silencer
from sinks.delivery.versions import Versions

LOGGER = logging.getLogger("ordertide.delivery")
SETTINGS = LoopSettings(max_wait_s=MAX_WAIT_S)


class DeliveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Plan of delivery: the group, its topic, and how long (ms) an alert holds without a renewal.

    Without `renew_ms` open alerts aren't renewed, and stay open until their end is posted.
    """

    group: str
    topic: str = ORDERS_CHANGES
    renew_ms: int | None = 60_000
    hold_ms: int = 300_000
    style: Style = Style()


class Delivery:
    """Delivers to `channel` until `stop` is set: the handler of a consumer loop.

    `now` gives the wall clock in ms.
    """

    def __init__(
        self,
        connection: Connection,
        plan: DeliveryPlan,
        channel: Channel,
        watch: DeliveryMetrics,
        *,
        stop: Flag,
        now: Callable[[], int],
    ) -> None:
        self.connection = connection
        self.plan = plan
        self.watch = watch
        self.stop = stop
        self.now = now
        self.ledger = Ledger(plan.renew_ms, plan.hold_ms)
        self.versions = Versions()
        self.live_orders = LiveOrders()
        self.notes = NoteFollower(connection)
        self.sender = AlertSender(self.ledger, channel, watch, self.notes.annotated, now)
        self.silencer = None
        if isinstance(channel, SilencingChannel):
            self.silencer = Silencer(channel, self.notes, self.ledger, self.versions, watch)
        self.reader = GroupReader(connection, plan.group, [plan.topic], self._revoked)
        self.loop = ConsumerLoop(self.reader, self, stop, SETTINGS)
        self._ends = EndOffsets(connection)
        self._known: dict[int, int] = {}  # partitions whose past has been read → their end then
        self._current_partitions: set[int] = set()  # read beyond that end
        self.notes.start()

    def run(self) -> None:
        """Deliver until `stop` is set. Open alerts stay open: others continue, or they run out.

        Raises:
            OrdertideError: the broker refuses for good.
        """
        try:
            self.loop.run()
        except Interrupted:
            LOGGER.info("delivery: stopped while waiting")
        finally:
            self.close()

    def close(self) -> None:
        """Leave the group."""
        self.reader.close()
        self._ends.close()
        self.notes.close()

    def step(self) -> int:
        """One round: read, take down, post, commit. Returns how many messages it read."""
        return self.loop.step()

    def submit(self, batch: Sequence[Message]) -> int:
        """Take down what a batch changes, and post what is due."""
        self._learn_all()
        self._take(batch)
        self._note_current()
        changed = self.notes.changed()
        self.ledger.renew(OrderKey(partition, key) for key in changed for partition in self._known)
        if self.silencer:
            self.silencer.keep(self._current_partitions, self.now(), at_once=bool(changed))
        self.sender.post_due()
        return len(batch)

    def committable(self, *, force: bool) -> bool:
        """Return True once all changes read are recorded and their alerts delivered."""
        return not self.ledger.pending and not self._owned() - self._known.keys()

    def committed(self) -> None:
        """Do nothing: the ledger holds nothing by offset."""

    def poll(self) -> None:
        """Measure what is open, and count what is live."""
        self.watch.holds(self.ledger)
        self.watch.counts(self.live_orders)

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Log and measure a wait for the broker."""
        LOGGER.warning("delivery: waiting %.1f s: %s", wait_s, busy.reason)
        self.watch.waiting(busy.reason, wait_s)

    def commit_deferred(self, busy: Busy) -> None:
        """Log that the broker takes no commit."""
        LOGGER.info("delivery: %s", busy.reason)

    def _owned(self) -> set[int]:
        return {partition for _, partition in self.reader.partitions}

    def _revoked(self, partitions: list[Partition]) -> None:
        self.loop.drop_ahead(partitions)
        for _, partition in partitions:
            self._known.pop(partition, None)
            self._forget(partition)

    def _learn_all(self) -> None:
        """Load the delivered state of new partitions, with the reader paused but polling."""
        while (news := self._owned() - self._known.keys()) and not self.stop.is_set():
            with self.loop.paused():
                for partition in sorted(news):
                    self._learn(partition)

    def _learn(self, partition: int) -> None:
        """Read a partition's past; gives up when it is revoked meanwhile, or at `stop`."""
        backoff = Backoff(MAX_WAIT_S)
        while partition in self._owned() and not self.stop.is_set():
            try:
                self._read_past(partition)
            except Busy as busy:
                self.loop.wait(busy, backoff.next_s(busy.retry_after_s))
            else:
                return

    def _note_current(self) -> None:
        """Note the partitions that were read up to the end that they had at their assignment."""
        for (_, partition), position in self.reader.positions().items():
            if not self.loop.ahead and position >= self._known.get(partition, position + 1):
                self._current_partitions.add(partition)

    def _forget(self, partition: int) -> None:
        self._current_partitions.discard(partition)
        self.ledger.drop(partition)
        self.versions.drop(partition)
        self.live_orders.drop(partition)

    def _read_past(self, partition: int) -> None:
        self._forget(partition)
        plan = self.plan
        end = self._ends.get(plan.topic, partition)  # the owner before read no further
        for messages in dealt_with(self.connection, plan.group, plan.topic, partition):
            for change in self._current(messages):
                self.ledger.load_delivered(change.order, change.lane, change.notices)
            self.loop.keep_membership()
            if partition not in self._owned() or self.stop.is_set():
                return
        self._known[partition] = end

    def _take(self, messages: Iterable[Message]) -> None:
        """Take down what changed. What was read of a partition that is gone since isn't ours."""
        ours = [message for message in messages if message.partition in self._known]
        for change in self._current(ours):
            offered = change.offset < self._known[change.order.partition]
            self.ledger.set_desired(
                change.order, change.lane, change.notices, change.came_at, offered=offered
            )
        if ours:
            self.watch.heard(self.now())

    def _current(self, messages: Iterable[Message]) -> Iterator[Change]:
        """The changes that are not older than what was read of their orders before."""
        for change in changes_in(messages, self.plan.style, self.watch):
            is_stale = self.versions.is_stale(
                change.order,
                change.version,
                is_tombstone=change.is_tombstone,
                came_at=change.came_at,
            )
            if is_stale:
                self.watch.stale()
            else:
                self._count(change)
                yield change

    def _count(self, change: Change) -> None:
        if change.is_tombstone:
            self.live_orders.remove(change.order)
        else:
            self.live_orders.apply(change.order, change.status, change.carrier)
