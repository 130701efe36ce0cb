"""Documents of Elasticsearch: conversion from records, and back.

A document is the record's own JSON, so that its fields have the same names as in the topics. Beside
it are the fields that the Elastic Common Schema (ECS) has names for (`@timestamp`, `event.id`,
`geo.location`), and `derived`: what a search or a dashboard needs and neither of them has.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.errors import Rejected
from schemas.event import Location
from schemas.instants import format_instant
from schemas.json_faults import json_fault
from schemas.keys import content_id
from schemas.order import AcceptedEvent, OrderDocument
from schemas.outcomes import Outcome, OutcomeKind
from storage_tiering.dead_letters import DeadLetter
from storage_tiering.records import ACCEPTED, DOCUMENT, NOWHERE, order_record, outcome_of
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord
from storage_tiering.warm.elastic.order_fields import geo_of, order_derived, places
from storage_tiering.warm.elastic.periods import Names
from storage_tiering.warm.elastic.vocabulary import Vocabulary
from storage_tiering.warm.sqlite.period import check_period, month_of

# Fields of an accepted event's original, beside those that ECS has names for.
NAMED_IN_EVENT = ("kind", "waybill", "carrier", "customer_id")
EVENT_TIME = "@timestamp"  # of every document: events when they happened, orders at their change


class Action(NamedTuple):
    """An action of a bulk: the operation, and the document (none of a removal)."""

    header: dict[str, dict[str, Any]]
    body: bytes

    @property
    def target(self) -> str:
        """The index that it is for."""
        (named,) = self.header.values()
        return str(named["_index"])


def order_action(index: str, record: OrderRecord, vocabulary: Vocabulary) -> Action:
    """Put a document (not a tombstone) into an index unless a newer version is there.

    Raises:
        Rejected: `bad_period`, `unreadable_value`.
    """
    document = record.document
    assert document is not None
    check_period(document.warm_period)
    target = {
        "_index": index,
        "_id": order_id_of(record.key),
        "version": document.version,
        "version_type": "external",  # taken only if higher than the one held
    }
    changed_at = record.changed_at
    source = {
        **json_in(record.data),
        EVENT_TIME: format_instant(changed_at),
        **places(document),
        "derived": {"changed_at": changed_at, **order_derived(document, vocabulary)},
    }
    return Action({"index": target}, msgspec.json.encode(source))


def event_action(index: str, record: EventRecord) -> Action:
    """Add an event to an index unless it is there.

    Raises:
        Rejected: `unreadable_value`.
    """
    target = {
        "_index": index,
        "_id": content_id("event", record.key, record.event.event_hash),
    }
    source = {**json_in(record.data), **event_fields(record.event), EVENT_TIME: record.event.at}
    return Action({"create": target}, msgspec.json.encode(source))


def outcome_action(index: str, record: OutcomeRecord) -> Action:
    """Add an audit entry or action to an index unless it is there.

    Raises:
        Rejected: `unreadable_value`.
    """
    outcome = record.outcome
    target = {"_index": index, "_id": content_id(record.kind, record.key, record.id)}
    told: dict[str, Any] = msgspec.to_builtins(outcome)
    fields = {
        EVENT_TIME: outcome.at,
        "tenant": outcome.tenant,
        "order_id": outcome.order_id,
        "event": {
            "id": record.id,
            "action": told["what"] if record.kind == "audit" else told["kind"],
            **renamed(told, provider="source"),
            "original": record.data.decode(),
        },
        "user": renamed(told, id="operator"),
        "source": renamed(told, ip="ip"),
        "derived": renamed(told, ip="ip"),  # as it came: one that is no address too
        "detail": scalars_in(told.get("detail")),
        "alert": told.get("alert"),
        "action": told.get("action") if record.kind == "audit" else told,
    }
    source = {name: value for name, value in fields.items() if value}
    return Action({"create": target}, msgspec.json.encode(source))


def dead_letter_action(names: Names, letter: DeadLetter) -> Action:
    """Put a dead letter; its id holds its time, as a recreated topic counts from 0 again."""
    position = letter.position
    target = {
        "_index": names.rejected(month_of(letter.at)),
        "_id": f"{letter.at}-{position.partition}-{position.offset}",
    }
    fields = msgspec.to_builtins(letter)
    named = fields.pop("identifiers")
    event = renamed(named, id="event_id", provider="source")
    others = {name: named[name] for name in named if name not in {"event_id", "source"}}
    del fields["position"], fields["at"]
    document = {**others, **fields, "event": event, EVENT_TIME: format_instant(letter.at)}
    return Action({"index": target}, msgspec.json.encode(document))


def order_id_of(key: str) -> str:
    """The `_id` of an order: a hash, as a key may be longer than the 512 bytes of an `_id`."""
    return content_id("order", key)


def event_fields(event: AcceptedEvent) -> dict[str, Any]:
    """Fields of ECS and `derived`, from the original.

    The original is a text in `event.original`: as an object its own names would meet those of ECS.
    """
    original = json_in(event.event)
    texts = {name: value for name, value in original.items() if isinstance(value, str)}
    derived: dict[str, Any] = {name: texts[name] for name in NAMED_IN_EVENT if name in texts}
    if attributes := scalars_in(original.get("attributes")):
        derived["attributes"] = attributes
    fields = {
        "event": {
            **renamed(texts, id="event_id", provider="source"),
            "created": event.arrival_at,
            "original": bytes(event.event).decode(),
        },
        "user": renamed(texts, id="operator"),
        "source": renamed(texts, ip="ip"),
        "derived": derived,
        **geo_of(locations_in(original.get("location"))),
    }
    return {name: value for name, value in fields.items() if value}


def renamed(found: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Those of `found` that are there, under the names of ECS: {its name: ours}."""
    return {ecs: found[name] for ecs, name in names.items() if found.get(name)}


def scalars_in(attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of the sender
    """Attributes that can be searched; none of another form, which the original has anyway."""
    if not isinstance(attributes, dict):
        return {}
    return {
        name: value
        for name, value in attributes.items()
        if name and "\0" not in name and isinstance(value, str | int | float)
    }


def locations_in(location: Any) -> list[Location]:  # noqa: ANN401 - JSON of the sender
    """The location in an original, where its format is known."""
    try:
        found = msgspec.convert(location, Location | None)
    except msgspec.ValidationError:
        return []  # kept with the original anyway
    return [found] if found else []


def json_in(data: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode JSON.

    Raises:
        Rejected: `unreadable_value`: a number that is beyond all floats, or (from before events
            were checked for it) bytes that aren't UTF-8, in a field that was never read so far.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = json_fault(error, bytes(data))
        raise Rejected("unreadable_value", f"Elasticsearch can't keep it: {fault}") from error


def outcome_in(kind: OutcomeKind, source: dict[str, Any]) -> Outcome:
    """The audit entry or action in a hit's `_source`."""
    return outcome_of(kind, source["event"]["original"])


def newest(records: Iterable[OrderRecord]) -> list[OrderRecord]:
    """Of several versions of an order only the highest: the others would be overwritten."""
    held: dict[tuple[str, str], OrderRecord] = {}
    for record in records:
        if record.document is None:
            continue  # a tombstone: the last document stays
        place = record.key, record.document.warm_period
        other = held.get(place)
        if other is None or (record.version or 0) > (other.version or 0):
            held[place] = record
    return list(held.values())


def document_in(source: dict[str, Any]) -> OrderDocument:
    """The order in a hit's `_source`."""
    return DOCUMENT.decode(msgspec.json.encode(source))


def order_in(source: dict[str, Any]) -> OrderRecord:
    """The record of the order in a hit's `_source`, which has no position."""
    data = msgspec.json.encode(source)
    return order_record(DOCUMENT.decode(data), NOWHERE, data)


def event_in(source: dict[str, Any]) -> AcceptedEvent:
    """The event in a hit's `_source`; before version 7 the original was an object in `event`."""
    if EVENT_TIME in source:
        source = {**source, "event": msgspec.Raw(source["event"]["original"].encode())}
    return ACCEPTED.decode(msgspec.json.encode(source))
