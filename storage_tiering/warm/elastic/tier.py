"""The warm tier on Elasticsearch: an index a month, so that expiring is dropping an index.

Committed records can be searched: `flush` refreshes the indices that were written to, at most once
in `refresh_every_s`, and returns False in between. So readers need no right but to read, and
writing costs a refresh in five seconds instead of one a batch.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from elasticsearch import Elasticsearch

from schemas.errors import Busy, Rejected
from schemas.instants import DAY_MS
from schemas.keys import order_key
from schemas.outcomes import MOST_OUTCOMES, Outcome, OutcomeQuery
from schemas.search import MOST_ORDERS, OrderQuery, Page
from storage_tiering.dead_letters import DeadLetter, DeadLetterTier
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
from storage_tiering.warm.elastic.bulk import send
from storage_tiering.warm.elastic.documents import (
    Action,
    dead_letter_action,
    document_in,
    event_action,
    event_in,
    newest,
    order_action,
    outcome_action,
)
from storage_tiering.warm.elastic.live_orders import LiveOrders
from storage_tiering.warm.elastic.marks import DocumentCounts, IndexMarks
from storage_tiering.warm.elastic.periods import Periods, names_with
from storage_tiering.warm.elastic.progress import Progress
from storage_tiering.warm.elastic.search import Searches
from storage_tiering.warm.elastic.templates import Templates
from storage_tiering.warm.sqlite.period import month_of

LOGGER = logging.getLogger("ordertide.storage_tiering")
KEEP_MS = 92 * DAY_MS
REFRESH_EVERY_S = 5.0
COUNT_EVERY_S = 60.0


class ElasticTier(Tier, DeadLetterTier):
    """Orders, events and outcomes of the periods that ended less than `keep_ms` of stream time ago.

    Orders of an older period are kept while they are open (`LiveOrders`). Dead letters are kept as
    long as a period, by the time at which they were written.
    Events of an older period are skipped: their index would be dropped at the next `expire`.
    A tombstone changes nothing: the last document stays. The templates have to exist
    (`ordertide tier init`); the first write raises otherwise.
    """

    name = "warm"
    keeps_retired = True

    def __init__(
        self,
        client: Elasticsearch,
        prefix: str = "ordertide",
        keep_ms: int = KEEP_MS,
        refresh_every_s: float = REFRESH_EVERY_S,
        count_every_s: float = COUNT_EVERY_S,
    ) -> None:
        self.client = client
        self.names = names_with(prefix)
        self.keep_ms = keep_ms
        self.refresh_every_s = refresh_every_s
        self.templates = Templates(client, self.names)
        self.periods = Periods(client, self.names, self.templates.check)
        rejected = [self.names.rejected("*")]
        self.letter_periods = Periods(client, self.names, self.templates.check, rejected)
        self.live = LiveOrders(client, self.names, self.periods, self.templates)
        self.progress = Progress(client, self.names, self.periods)
        self.searches = Searches(client, self.names)
        counts = DocumentCounts(self.searches.documents, self.periods.refresh, count_every_s)
        self.marks = IndexMarks(client, self.names, self.periods, counts)
        self.periods.on_drop = self.letter_periods.on_drop = self.marks.dropped
        self._has_checked = False
        self._watermark: int | None = None  # of `expire`; noted once all before it can be searched
        self._dropped_before = ""  # the period before which all were dropped
        self._letters_kept_from = ""
        self._unseen: set[str] = set()  # indices that hold what searches don't see yet
        self._refresh_due_s = 0.0  # on the monotonic clock

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        self._begin()
        vocabulary, kept_from = self.templates.vocabulary, self._kept_from
        current = [record for record in batch if period_of(record) >= kept_from]
        actions = [
            order_action(self.names.orders(period_of(record)), record, vocabulary)
            for record in newest(current)
        ]
        others = (each for each in batch if each.document is None or period_of(each) < kept_from)
        self._write([*actions, *self.live.actions(others)])

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        self._load_watermark()
        kept_from = self._kept_from
        dated = ((month_of(record.arrival_at), record) for record in batch)
        current = [(self.names.events(at), each) for at, each in dated if at >= kept_from]
        self._write([event_action(index, record) for index, record in current])

    def write_outcomes(self, batch: Sequence[OutcomeRecord]) -> None:
        self._load_watermark()
        kept_from, index_of = self._kept_from, self.names.outcomes
        dated = ((month_of(record.at), record) for record in batch)
        current = [(index_of(each.kind, at), each) for at, each in dated if at >= kept_from]
        self._write([outcome_action(index, record) for index, record in current])

    def outcomes(self, query: OutcomeQuery, *, limit: int = MOST_OUTCOMES) -> list[Outcome]:
        return self.searches.outcomes(query, limit)

    def write_dead_letters(self, batch: Sequence[DeadLetter]) -> None:
        actions = [dead_letter_action(self.names, letter) for letter in batch]
        indices = {action.target for action in actions}
        self.letter_periods.ensure(indices)
        self._unseen |= indices
        try:
            send(self.client, actions)
        except Rejected as refused:  # a dead letter of a dead letter would have no end
            LOGGER.warning("a dead letter can't be kept in Elasticsearch: %s", refused.reason)
        except Busy:
            self.letter_periods.forget()
            raise
        self._drop_letters(max(letter.at for letter in batch))

    def flush(self, *, force: bool = False) -> bool:
        if force or time.monotonic() >= self._refresh_due_s:
            self.periods.refresh(self._unseen)
            self._unseen.clear()
            if self._watermark is not None:
                self._check_indices()
                self.progress.note(self._watermark)
            self._refresh_due_s = time.monotonic() + self.refresh_every_s
        return not self._unseen

    def find(self, tenant: str, order_id: str) -> Found | None:
        watermark = self.progress.watermark()  # first, so that it never claims too much
        key = order_key(tenant, order_id)
        documents, events = self.searches.order(key, tenant, order_id)
        stale = self._stale()
        if not documents:
            if stale:
                raise Stale(stale)
            return None
        by_hash = {event.event_hash: event for event in map(event_in, events)}
        return Found(
            document=max(map(document_in, documents), key=lambda document: document.version),
            timeline=by_time(list(by_hash.values())),
            watermark=None if stale else watermark,
            stale=stale,
        )

    def offsets(self) -> Mapping[Partition, int]:
        return self.marks.offsets()

    def note(self, offsets: Mapping[Partition, int]) -> None:
        self.marks.note(offsets)

    def reconcile(self) -> Mapping[Partition, int]:
        self.progress.forget()
        return self.marks.begin_with(self.marks.offsets())

    def forget_progress(self) -> None:
        self.marks.begin_with({})

    def staleness(self) -> Staleness | None:
        return self.marks.staleness()

    def set_staleness(self, staleness: Staleness | None) -> None:
        self.marks.set_staleness(staleness)

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        watermark = self._vouched_watermark()  # first, so that it never claims too much
        page = self.searches.page(query, limit, after)
        return msgspec.structs.replace(page, watermark=watermark)

    def orders_of(self, tenant: str, customer_id: str) -> list[str]:
        """At most the 10,000 that were changed last, as many as a search returns."""
        query = OrderQuery(tenant=tenant, customer_id=customer_id)
        return [order.order_id for order in self.searches.page(query, MOST_ORDERS).orders]

    def expire(self, watermark_ms: int) -> None:
        self._watermark = max(watermark_ms, self._watermark or watermark_ms)
        self._drop_outdated()

    def counts(self) -> Counts:
        self.periods.refresh(self.names.all_periods)
        orders, events = self.searches.count()
        size_bytes = sum(each.size_bytes for each in self.searches.measured())
        return Counts(orders=orders, events=events, size_bytes=size_bytes)

    def size_bytes(self) -> int:
        return sum(self.searches.sizes().values())

    def close(self) -> None:
        self.client.close()

    def _begin(self) -> None:
        """Load what orders are written by, and complete a drop of periods that was interrupted.

        An outdated document must not be copied to the live ones after a newer one has left them.
        """
        self._load_fields()
        self._load_watermark()
        self._drop_outdated()

    def _load_fields(self) -> None:
        if not self._has_checked:
            self.templates.check()
            self._has_checked = True

    def _drop_outdated(self) -> None:
        if self._kept_from == self._dropped_before:  # no period has ended since
            return
        outdated = {each for each in self.periods.all_orders() if each < self._kept_from}
        for period in sorted(outdated):
            self._load_fields()
            self.live.outlive(period)
        self.periods.drop_before(self._kept_from)
        self._dropped_before = self._kept_from

    def _load_watermark(self) -> None:
        """Load the watermark that was noted: it decides which periods are kept."""
        if self._watermark is None:
            self._watermark = self.progress.watermark()

    def _write(self, actions: Sequence[Action]) -> None:
        indices = {action.target for action in actions}
        self.periods.ensure(indices)
        self._unseen |= indices  # now: a part may be written although the rest is not
        try:
            send(self.client, actions, self.marks.documents.created)
        except Busy:
            self.periods.forget()  # an index may have gone
            raise

    def _vouched_watermark(self) -> int | None:
        return None if self._stale() else self.progress.watermark()

    def _check_indices(self) -> None:
        """Check the indices before the freshness is noted."""
        if missing := self.marks.missing():
            raise WritesLost(f"warm tier: {', '.join(missing)}")

    def _stale(self) -> str | None:
        """The staleness that is kept, or else what is missing and not noticed by a writer yet."""
        if staleness := self.marks.staleness():
            return str(staleness)
        missing = self.marks.missing()
        return f"{', '.join(missing)}; its writer reads the topics again" if missing else None

    def _drop_letters(self, at: int) -> None:
        """By their own time, which is the broker's: the stream clock may be years behind it."""
        kept_from = month_of(at - self.keep_ms)
        if kept_from > self._letters_kept_from:
            self.letter_periods.drop_before(kept_from)
            self._letters_kept_from = kept_from

    @property
    def _kept_from(self) -> str:
        """The oldest period that is kept: all before it ended `keep_ms` ago or earlier."""
        return "" if self._watermark is None else month_of(self._watermark - self.keep_ms)


def period_of(record: OrderRecord) -> str:
    """The period of a document; "" of a tombstone, which has none."""
    return record.document.warm_period if record.document else ""
