"""The embedded warm tier: SQLite, one file per month, so that expiring is deleting a file.

There are four or five files at a time, so a look-up queries each; an index over all of them would
have to be kept in step with files that come and go.

A kill between two files is repaired by writing the batch again: a document is in its file before
the events that waited for it are moved, and those are copied before they are removed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

from schemas.instants import DAY_MS
from schemas.keys import order_key
from schemas.order import OrderDocument
from schemas.outcomes import MOST_OUTCOMES, Outcome, OutcomeQuery, newest_first
from schemas.private_files import private_folder
from schemas.search import OrderQuery, Page, matches
from storage_tiering.records import ACCEPTED, DOCUMENT, outcome_of
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
    by_time,
)
from storage_tiering.warm.sqlite.database import Row
from storage_tiering.warm.sqlite.marks import PeriodMarks
from storage_tiering.warm.sqlite.pending_events import Unplaced
from storage_tiering.warm.sqlite.period import (
    LIVE,
    PERIOD,
    SUFFIX,
    PeriodFile,
    check_period,
    event_row,
    month_of,
    period_end,
)

KEEP_MS = 92 * DAY_MS


class SqliteTier(Tier):
    """Orders of the periods that ended less than `keep_ms` of stream time ago, under `folder`.

    An order of an older period is kept while it is open, with its events, in `live.sqlite`. It is
    copied there before the period's file is deleted, under its version: after a kill again. A
    tombstone of another order changes nothing: the last document stays.
    """

    name = "warm"
    keeps_retired = True

    def __init__(self, folder: Path, keep_ms: int = KEEP_MS) -> None:
        self.folder = folder
        self.keep_ms = keep_ms
        private_folder(folder)
        self._unplaced = Unplaced(folder)
        self._marks = PeriodMarks(folder)
        self._open: dict[str, PeriodFile] = {}

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        watermark = self._unplaced.watermark() or 0
        by_period: dict[str, list[OrderRecord]] = defaultdict(list)
        outlived: list[OrderRecord] = []
        for record in batch:
            if record.document is None or self._is_outdated(record.document.warm_period, watermark):
                outlived.append(record)
            else:
                by_period[record.document.warm_period].append(record)
        for period, records in by_period.items():
            self._put(self._file(period), records)
        if outlived:
            self._write_live(outlived, watermark)

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        rows = {record.key: list[Row]() for record in batch}
        for record in batch:
            rows[record.key].append(event_row(record))
        for file in self._files():
            placed = file.held(list(rows))
            if placed:
                file.add([row for key in placed for row in rows.pop(key)])
        if rows:
            self._unplaced.add([row for waiting in rows.values() for row in waiting])

    def write_outcomes(self, batch: Sequence[OutcomeRecord]) -> None:
        watermark = self._unplaced.watermark() or 0
        by_period: dict[str, list[OutcomeRecord]] = defaultdict(list)
        for record in batch:
            by_period[month_of(record.at)].append(record)
        for period, records in by_period.items():
            if not self._is_outdated(period, watermark):
                self._file(period).add_outcomes(records)

    def outcomes(self, query: OutcomeQuery, *, limit: int = MOST_OUTCOMES) -> list[Outcome]:
        found = [doc for file in self._files() for doc in file.outcomes(query, limit)]
        return newest_first([outcome_of(query.kind, doc) for doc in found])[:limit]

    def flush(self, *, force: bool = False) -> bool:
        return True

    def find(self, tenant: str, order_id: str) -> Found | None:
        key = order_key(tenant, order_id)
        watermark = self._unplaced.watermark()  # first, so that it never claims too much
        found = [(*held, file) for file in self._files() if (held := file.find(key))]
        stale = self._stale()
        if not found:
            if stale:
                raise Stale(stale)
            return None
        _, document, _ = max(found, key=lambda held: held[0])
        events = [event for *_, file in found for event in file.events_of(key)]
        events += [row[-1] for row in self._unplaced.waiting([key])]
        by_hash = {event.event_hash: event for event in map(ACCEPTED.decode, events)}
        return Found(
            document=DOCUMENT.decode(document),
            timeline=by_time(list(by_hash.values())),
            watermark=None if stale else watermark,
            stale=stale,
        )

    def offsets(self) -> Mapping[Partition, int]:
        return {} if self._marks.missing(self._counted()) else self._marks.offsets()

    def note(self, offsets: Mapping[Partition, int]) -> None:
        self._marks.note(offsets, self._counted())

    def reconcile(self) -> Mapping[Partition, int]:
        return self._marks.begin_with(self.offsets(), self._counted())

    def forget_progress(self) -> None:
        self._marks.begin_with({}, ())

    def staleness(self) -> Staleness | None:
        return self._marks.staleness()

    def set_staleness(self, staleness: Staleness | None) -> None:
        self._marks.set_staleness(staleness)

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        watermark = None if self._stale() else self._unplaced.watermark()  # first: see `find`
        rows = merge(*(file.search(query, after) for file in self._files()))
        orders: list[OrderDocument] = []
        last: list[Any] | None = None
        for *place, changed_at, data in rows:
            document = DOCUMENT.decode(data)
            if matches(query, document, changed_at):
                if len(orders) == limit:
                    return Page(orders, last, watermark)
                orders.append(document)
                last = place
        return Page(orders, None, watermark)

    def orders_of(self, tenant: str, customer_id: str) -> list[str]:
        documents = [
            document for file in self._files() for document in file.of_customer(customer_id)
        ]
        return [
            document.order_id
            for document in map(DOCUMENT.decode, documents)
            if (document.tenant, document.customer_id) == (tenant, customer_id)
        ]

    def expire(self, watermark_ms: int) -> None:
        self._unplaced.advance(watermark_ms)
        self._drop_outdated(watermark_ms)
        self._unplaced.expire(watermark_ms - self.keep_ms)

    def counts(self) -> Counts:
        files = self._files()
        held = [file.counts() for file in files]
        return Counts(
            orders=sum(orders for orders, _ in held),
            events=sum(events for _, events in held) + self._unplaced.count(),
            size_bytes=self.size_bytes(),
        )

    def size_bytes(self) -> int:
        own = [self._unplaced.database, self._marks.database]
        databases = [*own, *(file.database for file in self._files())]
        return sum(database.size_bytes for database in databases)

    def close(self) -> None:
        for file in self._open.values():
            file.database.close()
        self._open.clear()
        self._unplaced.database.close()
        self._marks.database.close()

    def _stale(self) -> str | None:
        """The staleness that is kept, or else what is missing and not noticed by a writer yet."""
        if staleness := self._marks.staleness():
            return str(staleness)
        missing = self._marks.missing(self._counted())
        if missing:  # unless it has just expired, or was just made
            missing = self._marks.missing(self._counted())
        return f"{', '.join(missing)}; its writer reads the topics again" if missing else None

    def _is_outdated(self, period: str, watermark_ms: int) -> bool:
        """Return True if a period has expired."""
        check_period(period)
        return period_end(period) + self.keep_ms <= watermark_ms

    def _put(self, file: PeriodFile, records: list[OrderRecord]) -> None:
        """Take documents, and the events that waited for their orders."""
        file.put(records)
        self._place(file, [record.key for record in records])

    def _write_live(self, outlived: Sequence[OrderRecord], watermark_ms: int) -> None:
        """Changes and tombstones of orders whose period was dropped, in their order."""
        is_there = any(file.period == LIVE for file in self._files())
        if not any(each.is_open for each in outlived) and not is_there:
            return
        # One that a kill has left must not be copied once a newer document has left the live ones.
        self._drop_outdated(watermark_ms)
        file = self._file(LIVE)
        for is_open, records in groupby(outlived, key=lambda record: record.is_open):
            if is_open:
                self._put(file, list(records))
            else:
                file.remove(list(records))

    def _drop_outdated(self, watermark_ms: int) -> None:
        for file in self._files():
            if file.period != LIVE and self._is_outdated(file.period, watermark_ms):
                self._outlive(file)
                self._marks.dropped(file.period)  # first, or it would be missing
                self._open.pop(file.period).database.remove()

    def _outlive(self, file: PeriodFile) -> None:
        """Copy the open orders of a period that is about to be dropped."""
        if kept := file.open_orders():
            live = self._file(LIVE)
            live.put(kept)
            live.add([row for record in kept for row in file.event_rows(record.key)])

    def _place(self, file: PeriodFile, keys: list[str]) -> None:
        """Move the events that waited for these orders."""
        if rows := self._unplaced.waiting(keys):
            file.add(rows)
            self._unplaced.remove(rows)

    def _counted(self) -> list[PeriodFile | Unplaced]:
        """The files whose writes the marks count, each as it lies in the folder now."""
        private_folder(self.folder)
        if not self._marks.database.is_in_place:
            self._marks.reopen()
        if not self._unplaced.database.is_in_place:
            self._unplaced.database.close()
            self._unplaced = Unplaced(self.folder)
        return [*self._files(), self._unplaced]

    def _file(self, period: str) -> PeriodFile:
        if period in self._open and not self._open[period].database.is_in_place:
            self._open.pop(period).database.close()
        if period not in self._open:
            private_folder(self.folder)
            self._open[period] = PeriodFile(self.folder, period)
        return self._open[period]

    def _files(self) -> list[PeriodFile]:
        """The files that exist now, newest first: another process may have dropped or made some."""
        there = {path.stem for path in self.folder.glob(f"*{SUFFIX}")}
        for period in [period for period in self._open if period not in there]:
            self._open.pop(period).database.close()
        named = (name for name in there if name == LIVE or PERIOD.fullmatch(name))
        periods = sorted(named, reverse=True)
        return [self._file(period) for period in periods]
