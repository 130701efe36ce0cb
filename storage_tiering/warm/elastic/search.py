"""Queries of the warm tier to Elasticsearch."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from elasticsearch import Elasticsearch

from schemas.event import Scalar
from schemas.instants import format_instant
from schemas.outcomes import Outcome, OutcomeQuery
from schemas.search import LEAST_PART, OrderQuery, Page, Sort
from storage_tiering.warm.elastic.documents import document_in, order_id_of, outcome_in
from storage_tiering.warm.elastic.errors import answers, fault_of, judged
from storage_tiering.warm.elastic.periods import Names

# An order has at most 2,000 events in its history, and mostly ten.
PAGE = 1_000

Source = dict[str, Any]


class Search(NamedTuple):
    """One search: in which indices, and the body."""

    pattern: str
    body: dict[str, Any]


class Hit(NamedTuple):
    """One document found; `sort` is the start of the next page."""

    source: Source
    sort: list[Any]


class Measured(NamedTuple):
    """An index: documents that searches see, and bytes with all copies."""

    name: str
    documents: int
    size_bytes: int


class Searches:
    """Reads from all periods at once. Every method raises `Busy` where a shard can't answer."""

    def __init__(self, client: Elasticsearch, names: Names) -> None:
        self.client = client
        self.names = names

    def order(self, key: str, tenant: str, order_id: str) -> tuple[list[Source], list[Source]]:
        """(documents, events) of an order, in one round trip where the events fill no page."""
        by_id = {"query": {"ids": {"values": [order_id_of(key)]}}}
        documents, events = self._ask(
            Search(self.names.orders("*"), by_id), self._events(tenant, order_id)
        )
        found = [hit.source for hit in events]
        while len(events) == PAGE:
            (events,) = self._ask(self._events(tenant, order_id, after=events[-1].sort))
            found += [hit.source for hit in events]
        return [hit.source for hit in documents], found

    def page(self, query: OrderQuery, limit: int, after: list[Any] | None = None) -> Page:
        """Orders that match, in the sequence asked for; see `storage_tiering.tier.Search`."""
        body: dict[str, Any] = {
            "query": {"bool": {"filter": filters_of(query)}},
            "sort": [*SORTS[query.sort], {"order_id": "asc"}, {"tenant": "asc"}],
            "size": limit,
        }
        if after is not None:
            body["search_after"] = after
        (hits,) = self._ask(Search(self.names.orders("*"), body))
        last = hits[-1].sort if len(hits) == limit else None
        # Twice, one after the other, while an order moves from its period to the live ones.
        once = {tuple(hit.sort): hit.source for hit in hits}
        return Page([document_in(source) for source in once.values()], last)

    def outcomes(self, query: OutcomeQuery, limit: int) -> list[Outcome]:
        """The latest outcomes that match, the newest at the head."""
        body: dict[str, Any] = {
            "query": {"bool": {"filter": outcome_filters_of(query)}},
            "sort": [{"@timestamp": "desc"}, {"event.id": "desc"}],
            "size": limit,
        }
        (hits,) = self._ask(Search(self.names.outcomes(query.kind, "*"), body))
        return [outcome_in(query.kind, hit.source) for hit in hits]

    def count(self) -> tuple[int, int]:
        """(orders, events)."""
        body = {"size": 0, "track_total_hits": True}
        patterns = [Search(each, body) for each in (self.names.orders("*"), self.names.events("*"))]
        orders, events = (answer["hits"]["total"]["value"] for answer in self._answers(*patterns))
        return orders, events

    def documents(self) -> dict[str, int]:
        """{index: documents that searches see} of all periods; none of an empty index."""
        body = {"size": 0, "aggs": {"indices": {"terms": {"field": "_index", "size": 10_000}}}}
        (answer,) = self._answers(Search(",".join(self.names.all_periods), body))
        buckets = answer["aggregations"]["indices"]["buckets"] if "aggregations" in answer else []
        return {bucket["key"]: bucket["doc_count"] for bucket in buckets}

    def measured(self) -> list[Measured]:
        """Every index of a period, by name."""
        documents = self.documents()
        return [
            Measured(index, documents.get(index, 0), size_bytes)
            for index, size_bytes in sorted(self.sizes().items())
        ]

    def sizes(self) -> dict[str, int]:
        """{index: bytes with all copies}."""
        with answers():
            stats = self.client.indices.stats(index=self.names.all_periods, metric="store")
        return {
            index: held["total"]["store"]["size_in_bytes"]
            for index, held in stats["indices"].items()
        }

    def _events(self, tenant: str, order_id: str, after: list[Any] | None = None) -> Search:
        """A page of an order's events, in an order that stays the same while some are added."""
        of_order = [{"term": {"tenant": tenant}}, {"term": {"order_id": order_id}}]
        body: dict[str, Any] = {
            "query": {"bool": {"filter": of_order}},
            "sort": [{"event_hash": "asc"}, {"arrival_at": "asc"}],
            "size": PAGE,
        }
        if after is not None:
            body["search_after"] = after
        return Search(self.names.events("*"), body)

    def _ask(self, *searches: Search) -> list[list[Hit]]:
        return [
            [Hit(hit["_source"], hit.get("sort", [])) for hit in answer["hits"]["hits"]]
            for answer in self._answers(*searches)
        ]

    def _answers(self, *searches: Search) -> Iterator[dict[str, Any]]:
        """Run searches; each must be answered by all shards, or events would be missing."""
        lines: list[dict[str, Any]] = []
        for search in searches:
            lines += [{"index": search.pattern, "allow_partial_search_results": False}, search.body]
        with answers():
            answer = self.client.msearch(searches=lines)
        for each in answer["responses"]:
            if "error" in each:
                raise judged(fault_of(each["status"], each["error"]))
            yield each


# Sequences as `schemas.search.place_of` has them; an order that lacks the instant is last.
SORTS: dict[Sort, list[Source]] = {
    "updated": [{"derived.changed_at": "desc"}],
    "silent": [{"derived.changed_at": "asc"}],
    "created": [{"created_at": {"order": "desc", "missing": "_last"}}],
    "due": [
        {"derived.alerts.first_due_at": {"order": "asc", "missing": "_last"}},
        {"deadlines.due_at": {"order": "asc", "mode": "min", "missing": "_last"}},
    ],
}
RANGES = {"created": "created_at", "promised": "promised_at"}

# Where the fields of an `OutcomeQuery` are; `source.ip` lacks what is no address.
OUTCOME_FIELDS = {
    "tenant": "tenant",
    "order_id": "order_id",
    "operator": "user.id",
    "ip": "derived.ip",
}


def outcome_filters_of(query: OutcomeQuery) -> list[dict[str, Any]]:
    """The filters of a query: all conditions of `schemas.outcomes.matches`."""
    filters: list[dict[str, Any]] = [
        {"term": {OUTCOME_FIELDS[name]: value}} for name, value in query.fields.items()
    ]
    bounds = {"gte": query.since, "lt": query.until}
    instants = {name: format_instant(at) for name, at in bounds.items() if at is not None}
    return [*filters, {"range": {"@timestamp": instants}}] if instants else filters


def filters_of(query: OrderQuery) -> list[dict[str, Any]]:
    """The filters of a query: all conditions of `schemas.search.matches`."""
    filters: list[dict[str, Any]] = [
        {"term": {name: value}} for name, value in query.fields.items()
    ]
    if query.rule is not None:
        filters.append({"term": {"derived.alerts.rules": query.rule}})
    if query.flag is not None:
        filters.append({"term": {"flags": query.flag}})
    filters += [with_attribute(*pair) for pair in query.attributes.items()]
    filters += [range_of(name, *span) for name, span in query.ranges.items()]
    if query.number is not None:
        form = query.form
        ways: list[dict[str, Any]] = [{"term": {"derived.numbers": form}}]
        if len(form) >= LEAST_PART:
            ways.append({"prefix": {"derived.numbers": form}})
            ways.append({"prefix": {"derived.numbers_reversed": form[::-1]}})
        filters.append({"bool": {"should": ways, "minimum_should_match": 1}})
    return filters


def with_attribute(name: str, value: Scalar) -> dict[str, Any]:
    """The filter of an attribute; an index may have it in the type of an older declaration."""
    return {"match": {f"derived.attributes.{name}": {"query": value, "lenient": True}}}


def range_of(name: str, first: int | None, end: int | None) -> dict[str, Any]:
    """The filter of a range: `changed_at` is a number, the others are texts."""
    bounds = {"gte": first, "lt": end}
    given = {bound: at for bound, at in bounds.items() if at is not None}
    if name == "changed":
        return {"range": {"derived.changed_at": given}}
    return {"range": {RANGES[name]: {bound: format_instant(at) for bound, at in given.items()}}}
