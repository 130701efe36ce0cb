"""Refill of a tier that has lost writes: read the topics again, and mark the tier until it is done.

A tier loses writes when Redis comes back from an old snapshot, or an index or a file is deleted.
orders.changes is compacted, so it brings every live order back; events come back as far as the
topic reaches; of orders that have retired a tier that keeps them misses the last document once it
is compacted away. Data missing in the topics is reported with the command that restores it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import msgspec

from schemas.errors import StateError
from schemas.keys import split_order_key
from schemas.topics import ORDERS_ACTIONS, ORDERS_AUDIT, ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.tier import (
    OrderRecord,
    Partition,
    Stale,
    Staleness,
    Tier,
    partition_name,
    partition_of,
)
from storage_tiering.writer_ports import Reader, Rewinds, WriterMetrics

LOGGER = logging.getLogger("ordertide.storage_tiering")
Answer = TypeVar("Answer")


class Patiently(Protocol):
    """Calls something until it isn't `Busy`."""

    def __call__(self, call: Callable[[], Answer]) -> Answer:
        """The answer of `call`."""
        ...


class Refill:
    """Compares what a tier holds with what was committed, and rewinds the reader to what it lacks.

    `drop` is called as soon as partitions are read again: what was read of them before counts for
    nothing.
    """

    def __init__(
        self,
        tier: Tier,
        reader: Reader,
        watch: WriterMetrics,
        patiently: Patiently,
        drop: Callable[[Iterable[Partition]], None],
    ) -> None:
        self.tier = tier
        self.reader = reader
        self.watch = watch
        self._patiently = patiently
        self._drop = drop
        self._until: dict[Partition, int] = {}
        self._reached: dict[Partition, int] = {}

    @property
    def is_running(self) -> bool:
        """Return True while the tier must not be reported as fresh."""
        return bool(self._until)

    def check_assigned(self) -> None:
        """Compare the progress of partitions that came with what was committed for them."""
        if not isinstance(self.reader, Rewinds):
            return
        came = self.reader.take_assigned()
        if came or self._until:
            self._keep_owned(self.reader)
        if not came:
            return
        self._reached |= came
        held = self._patiently(self.tier.offsets)
        staleness = self._patiently(self.tier.staleness)
        for partition in came.keys() & {partition_of(each) for each in (staleness or NONE).until}:
            self._until[partition] = (staleness or NONE).until[partition_name(partition)]
        self.watch.stale(self.tier.name, str(staleness) if staleness else None)
        lost = {each: held.get(each, 0) for each in came if held.get(each, 0) < came[each]}
        if lost:
            some = min(lost)
            self._begin(
                f"{self.tier.name} tier: holds {some[0]} [{some[1]}] up to offset {lost[some]}, but"
                f" {came[some]} was committed: it was restored from a backup, or emptied"
            )
        else:
            self._advance()
            if staleness is not None and not (staleness.until or staleness.lasting):
                self._put(None)  # a rebuild was requested, and nothing has been written yet

    def writes_lost(self, reason: str) -> None:
        """Read again what the tier has lost.

        Raises:
            StateError: the reader can't go back.
        """
        if not isinstance(self.reader, Rewinds):
            raise StateError(f"{reason}; run 'ordertide tier rebuild {self.tier.name}'")
        self._begin(reason)

    def report(self) -> None:
        """Report again whether the tier can be vouched for: a rebuild may have ended its staleness.

        Raises:
            Busy: the tier is unavailable.
        """
        staleness = self.tier.staleness()
        self.watch.stale(self.tier.name, str(staleness) if staleness else None)

    def wrote(self, offsets: Mapping[Partition, int]) -> None:
        """Everything before these offsets was written and noted."""
        self._reached |= offsets
        if self._until:
            self._advance()

    def wrote_orders(self, records: Iterable[OrderRecord]) -> None:
        """Find out whether retired orders are missing whose documents were compacted away."""
        if not self._until or not self.tier.keeps_retired or self._held_staleness().lasting:
            return
        for record in records:
            if record.document is None and not self._has(record.key):
                self._lacks(f"at least the retired order {record.key!r} is missing")
                return

    def _keep_owned(self, reader: Rewinds) -> None:
        """Of a partition that went to another writer that one takes care."""
        owned = set(reader.partitions)
        self._until = {each: at for each, at in self._until.items() if each in owned}
        self._reached = {each: at for each, at in self._reached.items() if each in owned}

    def _has(self, key: str) -> bool:
        def find() -> bool:
            try:
                return self.tier.find(*split_order_key(key)) is not None
            except Stale:
                return False

        return self._patiently(find)

    def _begin(self, reason: str) -> None:
        reader = self.reader
        assert isinstance(reader, Rewinds)
        self._keep_owned(reader)
        LOGGER.error("%s; the topics are read again", reason)
        self.watch.rewound(self.tier.name)
        for partition, reached in self._reached.items():
            self._until[partition] = max(reached, self._until.get(partition, 0))
        self._show(reason)
        held = self._patiently(self.tier.reconcile)
        wanted = {partition: held.get(partition, 0) for partition in self._reached}
        starts = self._patiently(lambda: reader.rewind(wanted))
        self._drop(starts)  # at once: a caller that waits in `patiently` reads on
        for partition, start in starts.items():
            self._reached[partition] = start
            if start > wanted[partition] and self._matters(partition):
                self._lacks(f"{partition[0]} reaches back to offset {start} of [{partition[1]}]")
        self._until = {each: at for each, at in self._until.items() if each in starts}
        self._show(reason)  # again: `reconcile` may have opened a store without it
        self._advance()

    def _matters(self, partition: Partition) -> bool:
        """Old events come back in no hot tier: it keeps what came since an order came back."""
        topic = partition[0]
        return topic.endswith(ORDERS_CHANGES) or (
            topic.endswith((ORDERS_EVENTS, ORDERS_AUDIT, ORDERS_ACTIONS))
            and self.tier.keeps_retired
        )

    def _lacks(self, what: str) -> None:
        """Keep it in the tier now: the tombstone that shows it is not read again."""
        lasting = (
            f"the topics no longer have all that was lost ({what}): run 'ordertide tier rebuild "
            f"{self.tier.name}'"
        )
        LOGGER.error("%s tier: %s", self.tier.name, lasting)
        self._put(msgspec.structs.replace(self._held_staleness(), lasting=lasting))

    def _advance(self) -> None:
        done = [each for each, at in self._until.items() if self._reached.get(each, 0) >= at]
        if not done:
            return
        for partition in done:
            del self._until[partition]
        held = self._held_staleness()
        until = {name: at for name, at in held.until.items() if partition_of(name) not in done}
        until |= {partition_name(each): at for each, at in self._until.items()}
        if until:
            self._put(msgspec.structs.replace(held, until=until))
        else:
            self._put(Staleness(reason="", lasting=held.lasting) if held.lasting else None)
            more = f"; {held.lasting}" if held.lasting else ""
            LOGGER.warning("%s tier: refilled%s", self.tier.name, more)

    def _show(self, reason: str) -> None:
        held = self._held_staleness()
        until = held.until | {partition_name(each): at for each, at in self._until.items()}
        text = f"{reason}; being written again"
        self._put(Staleness(reason=text, until=until, lasting=held.lasting))

    def _held_staleness(self) -> Staleness:
        return self._patiently(self.tier.staleness) or NONE

    def _put(self, staleness: Staleness | None) -> None:
        self._patiently(lambda: self.tier.set_staleness(staleness))
        self.watch.stale(self.tier.name, str(staleness) if staleness else None)


NONE = Staleness(reason="")
