"""The writer of one tier: read a batch, write it, commit it; nothing is lost, nothing doubled.

A process that dies anywhere in between reads the batch again, and the tier ignores what it has.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from typing import TypeVar

from broker.consumer_loop import ConsumerLoop, Interrupted, LoopSettings
from schemas.errors import Busy, Rejected, StateError
from schemas.topics import EVENTS_REJECTED
from storage_tiering.dead_letters import DeadLetterTier, dead_letter_of
from storage_tiering.records import Message, decode
from storage_tiering.refill import Refill
from storage_tiering.stream_clock import StreamClock
from storage_tiering.tier import (
    EventRecord,
    OrderRecord,
    OutcomeRecord,
    Outcomes,
    Partition,
    Tier,
    WritesLost,
)
from storage_tiering.writer_ports import (
    Audit,
    DeadLetters,
    NoMetrics,
    Reader,
    Rewinds,
    WriterMetrics,
    nothing,
)

LOGGER = logging.getLogger("ordertide.storage_tiering")
Record = TypeVar("Record", OrderRecord, EventRecord, OutcomeRecord)


class WriterSettings(LoopSettings, frozen=True, kw_only=True):
    """Settings of the loop, and the intervals of the tier's upkeep.

    The tier expires when stream time has advanced by `expire_every_ms`; its size is measured every
    `measure_every_s`. Without anything to write, every `vouch_every_s` the tier is checked for lost
    writes. The writer's `audit` is called every `audit_every_s`.
    """

    expire_every_ms: int = 1_000
    measure_every_s: float = 60.0
    vouch_every_s: float = 5.0
    audit_every_s: float = 60.0


class Writer:
    """Writer: writes what `reader` reads into `tier`, until `stop` is set; a loop's handler.

    Only for a tier that is a `DeadLetterTier` may it read events.rejected as well, and only for one
    that keeps `Outcomes` orders.audit and orders.actions.
    A reader with a group reports its partitions to the same `clock` (`assigned`, `revoked`).
    """

    def __init__(
        self,
        tier: Tier,
        reader: Reader,
        dead_letters: DeadLetters,
        *,
        stop: Flag,
        clock: StreamClock | None = None,
        settings: WriterSettings | None = None,
        watch: WriterMetrics | None = None,
    ) -> None:
        self.tier = tier
        self.dead_letters = dead_letters
        self.settings = settings or WriterSettings()
        self.watch = watch or NoMetrics()
        self.clock = clock or StreamClock()
        self._expired_to: int | None = None
        self._has_written = False  # since it expired
        self._since_ms: dict[str, int] = {}  # by topic, of what isn't committed
        self._measured_at_s = -math.inf
        self.audit: Audit = nothing
        self._audited_at_s = -math.inf
        self._batch: Sequence[Message] = []
        self._offsets: dict[Partition, int] = {}  # of what was written and isn't committed
        self._has_lost_writes = False  # in this round
        self._vouched_at_s = time.monotonic()
        self.loop = ConsumerLoop(reader, self, stop, self.settings)
        self.refill = Refill(tier, reader, self.watch, self.loop.retry, self._drop)

    @property
    def reader(self) -> Reader:
        """The reader of the loop."""
        return self.loop.reader

    @reader.setter
    def reader(self, reader: Reader) -> None:
        self.loop.reader = reader

    def run(self) -> None:
        """Write until `stop` is set; then make durable what was written, and commit it."""
        try:
            self.loop.run()
            self.loop.commit(force=True)
        except WritesLost as lost:
            LOGGER.error("%s; the next run reads the topics again", lost)  # noqa: TRY400 - no fault of ours
        except Interrupted:
            # commit() would cover what was read and not written: the next run reads it again.
            LOGGER.info("%s writer: stopped while waiting", self.tier.name)

    def step(self) -> int:
        """One round: read, write, commit, expire. Returns how many messages it dealt with.

        Raises:
            Interrupted: nothing may be committed any more.
        """
        return self.loop.step()

    def submit(self, batch: Sequence[Message]) -> int:
        """Write a batch into the tier."""
        self._has_lost_writes = False
        self._batch = batch
        self.refill.check_assigned()
        messages = self._batch
        for message in messages:  # now: once a partition is revoked, its clock may not come back
            self.clock.see(message)
            self._note(message)
        self.watch.uncommitted(self.tier.name, self._since_ms)
        orders, events, outcomes = self._decode(self._keep_letters(messages))
        # Changes first: they fix the period of the events of an order.
        self._put(self.tier.write_orders, orders)
        self._put(self.tier.write_events, events)
        if isinstance(self.tier, Outcomes):
            self._put(self.tier.write_outcomes, outcomes)
        self.watch.written(self.tier.name, len(orders), len(events) + len(outcomes))
        self._has_written = self._has_written or bool(orders or events or outcomes)
        self._offsets |= {(m.topic, m.partition): m.offset + 1 for m in messages}
        with self._refilling():
            self.refill.wrote_orders(record for _, record in orders)
        return len(messages)

    def committable(self, *, force: bool) -> bool:
        """Return True if the tier holds everything submitted, and has noted the offsets."""
        if force:  # nothing is refilled any more: the next run is
            return self._is_durable(force=True)
        if not self._has_lost_writes:
            with self._refilling():
                return self._is_durable(force=False)
        return False

    def committed(self) -> None:
        """Restart the count of uncommitted messages."""
        self._since_ms = {}
        self._offsets = {}
        self.watch.uncommitted(self.tier.name, self._since_ms)

    def poll(self) -> None:
        """Expire what is too old; measure and audit the tier now and then."""
        if not self._has_lost_writes:
            with self._refilling():
                self._expire()
        self._measure()
        self._audit_now_and_then()

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Log and measure a wait."""
        LOGGER.warning("%s writer: waiting %.1f s: %s", self.tier.name, wait_s, busy.reason)
        self.watch.waiting(self.tier.name, busy.reason, wait_s)

    def commit_deferred(self, busy: Busy) -> None:
        """Measure that the broker takes no commit."""
        self.watch.waiting(self.tier.name, busy.reason, 0.0)

    @contextmanager
    def _refilling(self) -> Iterator[None]:
        """Begin a refill where the tier has lost writes; nothing is committed in this round."""
        try:
            yield
        except WritesLost as lost:
            self._has_lost_writes = True
            self.refill.writes_lost(str(lost))

    def _note(self, message: Message) -> None:
        at = message.timestamp_ms
        self._since_ms[message.topic] = min(at, self._since_ms.get(message.topic, at))

    def _measure(self) -> None:
        now_s = time.monotonic()
        if now_s - self._measured_at_s < self.settings.measure_every_s:
            return
        self._measured_at_s = now_s
        try:
            self.watch.measured(self.tier.name, self.tier.size_bytes())
            self.refill.report()
        except (Busy, StateError) as error:  # a size is not worth waiting for
            LOGGER.info("%s writer: its size isn't known: %s", self.tier.name, error)

    def _audit_now_and_then(self) -> None:
        if time.monotonic() - self._audited_at_s >= self.settings.audit_every_s:
            self._audited_at_s = time.monotonic()
            try:
                self.audit()
            except (Busy, StateError) as error:  # the next one may succeed
                LOGGER.warning("%s writer: not audited: %s", self.tier.name, error)

    def _keep_letters(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Let a tier that does it keep the dead letters; the other messages."""
        tier = self.tier
        found = [dead_letter_of(m) for m in messages if m.topic == EVENTS_REJECTED]
        if not found or not isinstance(tier, DeadLetterTier):
            return messages
        self.loop.retry(lambda: tier.write_dead_letters(found))
        return [m for m in messages if m.topic != EVENTS_REJECTED]

    def _decode(
        self, messages: Sequence[Message]
    ) -> tuple[
        list[tuple[Message, OrderRecord]],
        list[tuple[Message, EventRecord]],
        list[tuple[Message, OutcomeRecord]],
    ]:
        orders: list[tuple[Message, OrderRecord]] = []
        events: list[tuple[Message, EventRecord]] = []
        outcomes: list[tuple[Message, OutcomeRecord]] = []
        for message in messages:
            try:
                record = decode(message)
            except Rejected as rejected:
                self._bury(message, rejected)
                continue
            if isinstance(record, OrderRecord):
                orders.append((message, record))
            elif isinstance(record, EventRecord):
                events.append((message, record))
            elif record is not None:
                outcomes.append((message, record))
        return orders, events, outcomes

    def _put(
        self,
        write: Callable[[Sequence[Record]], None],
        pairs: Sequence[tuple[Message, Record]],
    ) -> None:
        if not pairs:
            return
        try:
            self.loop.retry(lambda: self._write(write, [record for _, record in pairs]))
        except Rejected as rejected:
            self._put_singly(write, pairs, rejected)

    def _write(self, write: Callable[[Sequence[Record]], None], records: Sequence[Record]) -> None:
        began = time.perf_counter()
        write(records)
        self.watch.took(self.tier.name, time.perf_counter() - began)

    def _put_singly(
        self,
        write: Callable[[Sequence[Record]], None],
        pairs: Sequence[tuple[Message, Record]],
        rejected: Rejected,
    ) -> None:
        """Find out which of the batch it is; writing the others again changes nothing."""
        if len(pairs) == 1:
            self._bury(pairs[0][0], rejected)
            return
        for pair in pairs:
            self._put(write, [pair])

    def _bury(self, message: Message, rejected: Rejected) -> None:
        code, reason = rejected.code, rejected.reason
        self.loop.retry(lambda: self.dead_letters.put(message, code, reason))
        self.watch.rejected(self.tier.name, code)

    def _expire(self) -> None:
        watermark = self.clock.watermark
        if watermark is None or self.refill.is_running:  # it may not be called fresh meanwhile
            return
        last = self._expired_to
        # Once more when all is written: events don't hold the clock, and may come after the changes
        # of years that it has passed.
        is_at_rest = self._has_written and not self._batch
        if last is None or is_at_rest or watermark - last >= self.settings.expire_every_ms:
            self.loop.retry(lambda: self.tier.expire(watermark))
            self._expired_to, self._has_written = watermark, False
            self.watch.watermark(self.tier.name, watermark)

    def _is_durable(self, *, force: bool) -> bool:
        is_flushed = self.loop.retry(lambda: self.tier.flush(force=force))
        if not is_flushed or self.loop.ahead:  # what came ahead is read, but not written
            return False
        noted = self._positions()
        self._vouch(noted)
        return self._positions() == noted  # else something came while the tier was busy

    def _positions(self) -> dict[Partition, int]:
        """Offsets to commit: those written, and ends behind them that were passed."""
        passed = self.reader.positions() if isinstance(self.reader, Rewinds) else {}
        return {**self._offsets, **passed}

    def _vouch(self, offsets: Mapping[Partition, int]) -> None:
        """Note offsets before a commit: a tier that is behind what is committed has lost it."""
        is_due = time.monotonic() - self._vouched_at_s >= self.settings.vouch_every_s
        if offsets or is_due:
            self.loop.retry(lambda: self.tier.note(offsets))
            self._vouched_at_s = time.monotonic()
            self.refill.wrote(offsets)

    def _drop(self, partitions: Iterable[Partition]) -> None:
        """Drop the messages read of these partitions: they are read again."""
        dropped = set(partitions)
        self.loop.drop_ahead(dropped)
        self._batch = [m for m in self._batch if (m.topic, m.partition) not in dropped]
        self._offsets = {each: at for each, at in self._offsets.items() if each not in dropped}
