"""Live orders that have outlived their month: they move to an index of their own.

Periods are dropped as a whole, and an order may stay open for longer than one is kept. Before a
period's index goes, its open orders are copied to `PREFIX-orders-live`; later versions go there
too. An order leaves it with the version that is open no more, or with its tombstone.

A copy is written under the document's own version, so after a kill it is made again. The index of
the period is deleted only once nothing was written to it during the copy.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from storage_tiering.tier import OrderRecord
from storage_tiering.warm.elastic.bulk import send
from storage_tiering.warm.elastic.documents import Action, order_action, order_id_of, order_in
from storage_tiering.warm.elastic.errors import answers
from storage_tiering.warm.elastic.periods import Names, Periods
from storage_tiering.warm.elastic.templates import Templates

IDS_PER_QUERY = 10_000
# What a document of before version 7 has of an open order; `is_open` then decides.
MAY_BE_OPEN: list[dict[str, Any]] = [
    {"terms": {"lane": ["warning", "overdue"]}},
    {"exists": {"field": "derived.alerts.count"}},
    {"exists": {"field": "deadlines.due_at"}},
]


class LiveOrders:
    """The index of open orders whose period has been dropped."""

    def __init__(
        self, client: Elasticsearch, names: Names, periods: Periods, templates: Templates
    ) -> None:
        """Create it; nothing is queried yet."""
        self.client = client
        self.names = names
        self._periods = periods
        self._templates = templates

    def actions(self, records: Iterable[OrderRecord]) -> list[Action]:
        """The changes that records of dropped periods make, in their order; tombstones too."""
        records = list(records)
        # Most batches have none, and cost no request.
        if not records or not (any(record.is_open for record in records) or self._is_there()):
            return []
        last: dict[str, OrderRecord] = {}
        for record in records:
            held = last.get(record.key)
            if held is None or record.version is None or record.version >= (held.version or 0):
                last[record.key] = record
        return [self._action(record) for record in last.values()]

    def outlive(self, period: str) -> None:
        """Keep the open orders of a period whose index is about to be dropped."""
        index = self.names.orders(period)
        while True:
            writes = self._writes_to(index)
            self._periods.refresh([index, self.names.live])
            found = [*self._candidates(index, period)]
            if actions := self.actions(found):
                self._periods.ensure([self.names.live])
                send(self.client, actions)
                self._periods.refresh([self.names.live])
            if self._writes_to(index) == writes:
                return

    def _candidates(self, index: str, period: str) -> Iterator[OrderRecord]:
        """The period's orders that are open, or were when they were copied."""
        yield from self._records(index, {"bool": {"should": MAY_BE_OPEN}})
        if not self._is_there():
            return
        of_period = {"term": {"warm_period": period}}
        copied = [hit["_id"] for hit in self._hits(self.names.live, of_period)]
        for start in range(0, len(copied), IDS_PER_QUERY):
            named = {"values": copied[start : start + IDS_PER_QUERY]}
            yield from self._records(index, {"ids": named})

    def _records(self, index: str, query: dict[str, Any]) -> Iterator[OrderRecord]:
        for hit in self._hits(index, query):
            yield order_in(hit["_source"])

    def _hits(self, index: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        with answers():
            return [*scan(self.client, index=index, query={"query": query})]

    def _action(self, record: OrderRecord) -> Action:
        if record.is_open:
            return order_action(self.names.live, record, self._templates.vocabulary)
        return self._removal(record)

    def _removal(self, record: OrderRecord) -> Action:
        target: dict[str, Any] = {"_index": self.names.live, "_id": order_id_of(record.key)}
        if record.version is not None:  # a newer one that was recalled stays
            target |= {"version": record.version, "version_type": "external_gte"}
        return Action({"delete": target}, b"")

    def _is_there(self) -> bool:
        with answers():
            return bool(self.client.indices.exists(index=self.names.live))

    def _writes_to(self, index: str) -> int:
        with answers():
            stats = self.client.indices.stats(index=index, metric="indexing")
        return int(stats["_all"]["primaries"]["indexing"]["index_total"])
