"""Documents of Elasticsearch: conversion from records, and back.

A document is the record's own JSON, so that its fields have the same names as in the topics, and
beside it `derived`: fields that a search or a dashboard needs and the record lacks in a form that
can be aggregated.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from schemas.errors import Rejected
from schemas.event import Location
from schemas.instants import HOUR_MS, format_instant, parse_instant
from schemas.keys import content_id
from schemas.order import AcceptedEvent, OrderDocument
from schemas.search import numbers_of
from storage_tiering.dead_letters import DeadLetter
from storage_tiering.records import ACCEPTED, DOCUMENT
from storage_tiering.tier import EventRecord, OrderRecord
from storage_tiering.warm.elastic.periods import Names, month_of
from storage_tiering.warm.sqlite.period import check_period

DELIVERED = "DELIVERED"
# What an accepted event's original is searched by.
NAMED_IN_EVENT = ("event_id", "source", "kind", "waybill", "carrier")


class Action(NamedTuple):
    """One line pair of a bulk: what to do, and the document."""

    header: dict[str, dict[str, Any]]
    body: bytes

    @property
    def target(self) -> str:
        """The index that it is for."""
        (named,) = self.header.values()
        return str(named["_index"])


def order_action(names: Names, record: OrderRecord) -> Action:
    """Put a document (not a tombstone) unless a newer version is there.

    Raises:
        Rejected: `bad_period`, `unreadable_value`.
    """
    document = record.document
    assert document is not None
    check_period(document.warm_period)
    target = {
        "_index": names.orders(document.warm_period),
        "_id": order_id_of(record.key),
        "version": document.version,
        "version_type": "external",  # taken only if higher than the one held
    }
    derived = {"changed_at": record.changed_at, **order_derived(document)}
    return Action({"index": target}, with_derived(record.data, derived))


def event_action(names: Names, record: EventRecord) -> Action:
    """Add an event unless it is there.

    Raises:
        Rejected: `unreadable_value`.
    """
    target = {
        "_index": names.events(month_of(record.arrival_at)),
        "_id": content_id("event", record.key, record.event.event_hash),
    }
    return Action({"create": target}, with_derived(record.data, event_derived(record.event)))


def dead_letter_action(names: Names, letter: DeadLetter) -> Action:
    """Put a dead letter; its id holds its time, as a recreated topic counts from 0 again."""
    position = letter.position
    target = {
        "_index": names.rejected(month_of(letter.at)),
        "_id": f"{letter.at}-{position.partition}-{position.offset}",
    }
    fields = msgspec.to_builtins(letter)
    del fields["position"]
    document = {**fields.pop("identifiers"), **fields, "at": format_instant(letter.at)}
    return Action({"index": target}, msgspec.json.encode(document))


def order_id_of(key: str) -> str:
    """The `_id` of an order: a hash, as a key may be longer than the 512 bytes of an `_id`."""
    return content_id("order", key)


def order_derived(document: OrderDocument) -> dict[str, Any]:
    """Fields for searches: `delivered_at`, `delivery_h` (hours since the order began), `points`.

    `points` are the parcels'; `numbers` and `numbers_reversed` are what the order is known by.
    """
    numbers = sorted(numbers_of(document))
    derived: dict[str, Any] = {
        "numbers": numbers,
        "numbers_reversed": [number[::-1] for number in numbers],
    }
    if delivered_at := document.milestones.get(DELIVERED):
        derived["delivered_at"] = delivered_at
        if document.created_at:
            took_ms = parse_instant(delivered_at) - parse_instant(document.created_at)
            derived["delivery_h"] = took_ms / HOUR_MS
    points = [point_of(parcel.location) for parcel in document.shipments]
    derived["points"] = [point for point in points if point]
    return derived


def event_derived(event: AcceptedEvent) -> dict[str, Any]:
    """Search fields of the original, and its `point`; the original itself is only kept."""
    original = json_in(event.event)
    named = {name: original.get(name) for name in NAMED_IN_EVENT}
    derived: dict[str, Any] = {
        name: value for name, value in named.items() if isinstance(value, str)
    }
    if point := point_in(original.get("location")):
        derived["point"] = point
    return derived


def point_in(location: Any) -> dict[str, float] | None:  # noqa: ANN401 - JSON of the sender
    """The point of a location in an original, where its format is known."""
    try:
        return point_of(msgspec.convert(location, Location | None))
    except msgspec.ValidationError:
        return None  # kept with the original anyway


def point_of(location: Location | None) -> dict[str, float] | None:
    """A geo_point, WGS 84."""
    if location is None or location.lat is None or location.lon is None:
        return None
    return {"lat": location.lat, "lon": location.lon}


def with_derived(data: bytes, derived: dict[str, Any]) -> bytes:
    """The JSON object on one line, as a bulk needs it, with no name twice."""
    return msgspec.json.encode({**json_in(data), "derived": derived})


def json_in(data: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode JSON.

    Raises:
        Rejected: `unreadable_value`: a number that is beyond all floats, or (from before events
            were checked for it) bytes that aren't UTF-8, in a field that was never read so far.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected("unreadable_value", f"Elasticsearch can't keep it: {error}") from error


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


def event_in(source: dict[str, Any]) -> AcceptedEvent:
    """The event in a hit's `_source`."""
    return ACCEPTED.decode(msgspec.json.encode(source))
