"""The Tier: what the hot, the warm and the archive store have in common.

Every implementation passes `tests/contracts/test_tiers.py`; `storage_tiering/memory.py` is the one
to read first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from schemas.errors import OrdertideError
from schemas.instants import parse_instant
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import MOST_OUTCOMES, Outcome, OutcomeKind, OutcomeQuery, id_of
from schemas.search import OrderQuery, Page

Partition = tuple[str, int]


class WritesLost(OrdertideError):
    """The tier holds less than was written to it: restored from a backup, emptied, or in part."""


class Stale(OrdertideError):
    """The tier lacks the order and can't vouch for that either; the text gives the reason."""


class Staleness(msgspec.Struct, frozen=True, kw_only=True):
    """Staleness of a tier: why it can't be vouched for. The tier keeps it, look-ups show it.

    `until`: {`topic/partition`: offset}, up to which the tier is being written again. `lasting` is
    the data missing in the topics, with the command that restores it; it stays afterwards.
    """

    reason: str
    until: dict[str, int] = {}
    lasting: str = ""

    def __str__(self) -> str:
        """For people, on one line."""
        return "; ".join(part for part in (self.reason, self.lasting) if part)


class TopicPosition(msgspec.Struct, frozen=True):
    """Position of a record in the topic that the tiers are written from."""

    topic: str
    partition: int
    offset: int


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One message of orders.changes: an order after a change.

    `document` is None in a tombstone: the order has retired from memory. `version` is the
    document's; a tombstone has the one of its header, or None where it has none, and then it
    applies to any version. `data` is the document as JSON, unknown fields included. `clock_at` is
    the stream clock (ms) that came with the message, None where none did.
    """

    key: str
    position: TopicPosition
    document: OrderDocument | None
    version: int | None
    data: bytes
    clock_at: int | None = None

    @property
    def is_open(self) -> bool:
        """Return True while the order has an open alert or a deadline that is running."""
        document = self.document
        return document is not None and bool(document.open_alerts or document.deadlines)

    @property
    def changed_at(self) -> int:
        """When the order changed, in ms of stream time.

        The latest event's time, or the start of an alert if that is later: an alert that opens or
        escalates days after the last event is a change too, and the order has to be found hot. A
        function of the document: the clock that came with the message is later by as much as the
        dataflow was behind, so an old order that was caught up with would stay hot for three days.
        """
        document = self.document
        if document is None:
            return self.clock_at or 0
        times = [alert.since_at for alert in document.open_alerts]
        if document.updated_at is not None:
            times.append(document.updated_at)
        return max(map(parse_instant, times), default=self.clock_at or 0)


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One message of orders.events: an accepted event of one order. `data` is it as JSON."""

    key: str
    position: TopicPosition
    event: AcceptedEvent
    data: bytes

    @property
    def at(self) -> int:
        """When it happened, in ms."""
        return parse_instant(self.event.at)

    @property
    def arrival_at(self) -> int:
        """When it reached us, in ms."""
        return parse_instant(self.event.arrival_at)


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One message of orders.audit or orders.actions. `data` is the outcome as JSON."""

    key: str
    position: TopicPosition
    kind: OutcomeKind
    outcome: Outcome
    data: bytes

    @property
    def id(self) -> str:
        """Its id, the same in every copy."""
        return id_of(self.outcome)

    @property
    def at(self) -> int:
        """When it happened, in ms of stream time."""
        return parse_instant(self.outcome.at)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An order as one tier holds it.

    `timeline` holds the events in the tier, by time. `watermark` is the freshness of the answer:
    it includes everything in the stream up to this instant (ms, stream time); None before the
    tier's first note. `stale`: why the answer may be outdated or incomplete (then `watermark` is
    None); None where the tier vouches for it.
    """

    document: OrderDocument
    timeline: list[AcceptedEvent]
    watermark: int | None
    stale: str | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a tier: distinct orders, distinct events, and bytes."""

    orders: int
    events: int
    size_bytes: int


class Tier(Protocol):
    """A place that orders are written to and found in.

    Writing twice is writing once: a document whose version is not higher than what is held is
    ignored, and so is an event that the order has already (same `event_hash`). Hence a batch whose
    outcome isn't known is simply written again.

    Every method raises `Busy` when the store can't answer now (wait, and do the same again), the
    write methods `Rejected` when a record of the batch can never be taken, and `StateError` when
    what is stored is damaged. After `Rejected` some of the batch may have been written.

    **Progress.** A tier holds, beside the records, up to which offset each partition was written,
    and notices when it holds less than that later: a Redis restored from an old snapshot, an index
    or a file that was deleted. `note` comes before a commit of the same offsets, so a tier whose
    `offsets` are behind what the group has committed has lost writes.
    """

    name: str  # what people call it: `hot`, `warm`, `archive`
    keeps_retired: bool  # a retired order's last document stays

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        """Take changes and tombstones, in the order of their partitions."""
        ...

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        """Take accepted events; they may come before their order's first change."""
        ...

    def flush(self, *, force: bool = False) -> bool:
        """Make writes durable; return True if all so far are, so that offsets may be committed.

        A tier that collects records into files returns False until a file is due; `force` makes it
        due now.
        """
        ...

    def find(self, tenant: str, order_id: str) -> Found | None:
        """The order with its highest version, or None; sees what is durable.

        Raises:
            Stale: the order isn't there, and the tier is stale.
        """
        ...

    def find_many(self, names: Sequence[tuple[str, str]]) -> "list[Found | Stale | None]":
        """`find` for many orders, by (tenant, order id); `Stale` is returned, not raised."""
        found: list[Found | Stale | None] = []
        for tenant, order_id in names:
            try:
                found.append(self.find(tenant, order_id))
            except Stale as stale:
                found.append(stale)
        return found

    def offsets(self) -> Mapping[Partition, int]:
        """The offset up to which each partition was written, by what is in the tier now.

        The least over all parts that can be lost on their own; a partition without one is at 0.
        """
        ...

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """Note in the tier that everything before these offsets was written and is durable.

        Raises:
            WritesLost: the tier holds less than was noted before, or than was written since.
        """
        ...

    def reconcile(self) -> Mapping[Partition, int]:
        """Restart the marks from the present content after lost writes; return the `offsets`.

        May be called at any time; later notes are compared with its result.
        """
        ...

    def forget_progress(self) -> None:
        """Drop the noted offsets: its writer notices, and writes everything again."""
        ...

    def staleness(self) -> Staleness | None:
        """Why the tier can't be vouched for; None if it can."""
        ...

    def set_staleness(self, staleness: Staleness | None) -> None:
        """Keep the staleness in the tier, in the place of the one before; None takes it away."""
        ...

    def expire(self, watermark_ms: int) -> None:
        """Drop what is too old at stream time `watermark_ms`; everything up to it was written."""
        ...

    def counts(self) -> Counts:
        """Count it all. It may read everything: for reconciling, not for every scrape."""
        ...

    def size_bytes(self) -> int:
        """Size of the tier in bytes (Redis: of all its servers); cheap, for every minute."""
        ...

    def close(self) -> None:
        """Close connections and files. Unflushed records are lost."""
        ...


def partition_name(partition: Partition) -> str:
    """`orders.changes/3`."""
    topic, number = partition
    return f"{topic}/{number}"


def partition_of(name: str) -> Partition:
    """The partition of a `partition_name`."""
    topic, _, number = name.rpartition("/")
    return topic, int(number)


def by_time(events: Sequence[AcceptedEvent]) -> list[AcceptedEvent]:
    """A timeline: by time, then arrival, then hash, so that equal sets give equal timelines."""
    return sorted(events, key=_time_order)


def _time_order(event: AcceptedEvent) -> tuple[int, int, str]:
    return parse_instant(event.at), parse_instant(event.arrival_at), event.event_hash


@runtime_checkable
class ReadsFiles(Protocol):
    """A tier whose look-ups open files."""

    def on_opened(self, note: Callable[[], object]) -> None:
        """Call `note` for each file that is opened from now on."""
        ...


@runtime_checkable
class Customers(Protocol):
    """A tier with the documents of orders beyond what the topics still hold."""

    def orders_of(self, tenant: str, customer_id: str) -> Iterable[str]:
        """The ids of the orders whose document names the customer.

        Raises:
            Busy: temporarily unavailable; retry.
        """
        ...


@runtime_checkable
class Search(Protocol):
    """A tier that finds orders by their fields; its contract is tests/contracts/test_search.py."""

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        """A page of the orders asked for; every one is on one page where none changes meanwhile.

        `limit` is at most `MOST_ORDERS`; `after` is that of the page before, and opaque.

        Raises:
            Busy: temporarily unavailable; retry.
        """
        ...


@runtime_checkable
class Outcomes(Protocol):
    """A tier that keeps audit entries and actions; see tests/contracts/test_outcomes.py."""

    def write_outcomes(self, batch: Sequence[OutcomeRecord]) -> None:
        """Take outcomes, each once, whatever came of its order."""
        ...

    def outcomes(self, query: OutcomeQuery, *, limit: int = MOST_OUTCOMES) -> list[Outcome]:
        """The latest outcomes asked for, the newest at the head.

        Raises:
            Busy: temporarily unavailable; retry.
        """
        ...
