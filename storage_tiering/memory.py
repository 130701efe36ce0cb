"""A tier in a dictionary: the reference that the others are read and tested against."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from schemas.instants import HOUR_MS
from schemas.keys import order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import MOST_OUTCOMES, Outcome, OutcomeQuery, newest_first
from schemas.outcomes import matches as matches_outcome
from schemas.search import OrderQuery, Page, matches, place_of
from storage_tiering.tier import (
    Counts,
    EventRecord,
    Found,
    OrderRecord,
    OutcomeRecord,
    Partition,
    Stale,
    Staleness,
    Tier,
    WritesLost,
    by_time,
)


class HeldOrder:
    """One order; `changed_at` (ms) is its document's, else the arrival of its first event."""

    def __init__(self, changed_at: int) -> None:
        self.changed_at = changed_at
        self.document: OrderDocument | None = None
        self.events: dict[str, AcceptedEvent] = {}

    @property
    def version(self) -> int:
        """The document's; -1 before the first one."""
        return self.document.version if self.document else -1


class MemoryTier(Tier):
    """Keeps orders for `keep_ms` of stream time after their last change and drops retired ones."""

    keeps_retired = False

    def __init__(self, name: str = "memory", keep_ms: int = 72 * HOUR_MS) -> None:
        self.name = name
        self.keep_ms = keep_ms
        self.watermark: int | None = None
        self.orders: dict[str, HeldOrder] = {}
        self.held_outcomes: dict[tuple[str, str], OutcomeRecord] = {}
        self.held_offsets: dict[Partition, int] = {}
        self.held_staleness: Staleness | None = None
        self._noted: dict[Partition, int] = {}

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        for record in batch:
            if record.document is None:
                self._retire(record)
            else:
                self._change(record, record.document)

    def _change(self, record: OrderRecord, document: OrderDocument) -> None:
        held = self.orders.setdefault(record.key, HeldOrder(record.changed_at))
        if document.version > held.version:
            held.document = document
            held.changed_at = record.changed_at

    def _retire(self, record: OrderRecord) -> None:
        held = self.orders.get(record.key)
        if held and (record.version is None or held.version <= record.version):
            del self.orders[record.key]

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        for record in batch:
            held = self.orders.setdefault(record.key, HeldOrder(record.arrival_at))
            held.events.setdefault(record.event.event_hash, record.event)

    def write_outcomes(self, batch: Sequence[OutcomeRecord]) -> None:
        for record in batch:
            self.held_outcomes.setdefault((record.kind, record.id), record)

    def outcomes(self, query: OutcomeQuery, *, limit: int = MOST_OUTCOMES) -> list[Outcome]:
        found = [
            record.outcome
            for record in self.held_outcomes.values()
            if record.kind == query.kind and matches_outcome(query, record.outcome)
        ]
        return newest_first(found)[:limit]

    def flush(self, *, force: bool = False) -> bool:
        return True

    def find(self, tenant: str, order_id: str) -> Found | None:
        held = self.orders.get(order_key(tenant, order_id))
        stale = None if self.held_staleness is None else str(self.held_staleness)
        if held is None or held.document is None:
            if stale:
                raise Stale(stale)
            return None
        timeline = by_time(list(held.events.values()))
        watermark = None if stale else self.watermark
        return Found(document=held.document, timeline=timeline, watermark=watermark, stale=stale)

    def offsets(self) -> Mapping[Partition, int]:
        self._noted = dict(self.held_offsets)
        return dict(self.held_offsets)

    def note(self, offsets: Mapping[Partition, int]) -> None:
        behind = {
            each for each in offsets if self.held_offsets.get(each, 0) < self._noted.get(each, 0)
        }
        if behind:
            raise WritesLost(f"{self.name}: holds less than was written of {sorted(behind)}")
        for partition, offset in offsets.items():
            self.held_offsets[partition] = max(offset, self.held_offsets.get(partition, 0))
            self._noted[partition] = self.held_offsets[partition]

    def reconcile(self) -> Mapping[Partition, int]:
        return self.offsets()

    def forget_progress(self) -> None:
        self.held_offsets.clear()

    def staleness(self) -> Staleness | None:
        return self.held_staleness

    def set_staleness(self, staleness: Staleness | None) -> None:
        self.held_staleness = staleness

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        found = sorted(
            (*place_of(query.sort, held.document, held.changed_at), key)
            for key, held in self.orders.items()
            if held.document and matches(query, held.document, held.changed_at)
        )
        begin = 0 if after is None else bisect_right(found, tuple(after))
        page = found[begin : begin + limit]
        orders = [d for *_, key in page if (d := self.orders[str(key)].document)]
        has_more = begin + limit < len(found)
        watermark = self.watermark if self.held_staleness is None else None
        return Page(orders, list(page[-1]) if page and has_more else None, watermark)

    def orders_of(self, tenant: str, customer_id: str) -> list[str]:
        documents = [held.document for held in self.orders.values() if held.document]
        return [d.order_id for d in documents if (d.tenant, d.customer_id) == (tenant, customer_id)]

    def expire(self, watermark_ms: int) -> None:
        self.watermark = max(watermark_ms, self.watermark or 0)
        limit = self.watermark - self.keep_ms
        self.held_outcomes = {
            place: record for place, record in self.held_outcomes.items() if record.at > limit
        }
        self.orders = {key: held for key, held in self.orders.items() if held.changed_at > limit}

    def counts(self) -> Counts:
        documents = [held.document for held in self.orders.values() if held.document]
        events = [event for held in self.orders.values() for event in held.events.values()]
        size_bytes = sum(len(msgspec.json.encode(each)) for each in [*documents, *events])
        return Counts(orders=len(documents), events=len(events), size_bytes=size_bytes)

    def size_bytes(self) -> int:
        return self.counts().size_bytes

    def close(self) -> None:
        pass  # nothing is open
