"""The two datasets' columns: records become tables, and rows become records again."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from schemas.instants import format_instant, parse_instant, to_instant
from schemas.order import AcceptedEvent
from storage_tiering.tier import EventRecord, OrderRecord

INSTANT = pa.timestamp("ms", tz="UTC")
NAME = pa.dictionary(pa.int32(), pa.string())

EVENT_COLUMNS = pa.schema(
    [
        ("tenant", NAME),
        ("order_id", pa.string()),
        ("event_hash", pa.string()),
        ("status", NAME),
        ("at", INSTANT),
        ("arrival_at", INSTANT),
        ("source", NAME),
        ("shipment", pa.string()),
        ("topic", NAME),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("event", pa.string()),
    ]
)
ORDER_COLUMNS = pa.schema(
    [
        ("tenant", NAME),
        ("order_id", pa.string()),
        ("version", pa.int64()),
        ("status", NAME),
        ("lane", NAME),
        ("updated_at", INSTANT),
        ("document", pa.string()),
    ]
)


class Sourced(msgspec.Struct):
    """The one field of an event's original that has a column of its own."""

    source: str = ""


SOURCED = msgspec.json.Decoder(Sourced)


def event_table(records: Sequence[EventRecord]) -> pa.Table:
    """The rows of these events."""
    return pa.Table.from_pylist([_event_row(record) for record in records], EVENT_COLUMNS)


def order_table(records: Sequence[OrderRecord]) -> pa.Table:
    """The rows of these changes (tombstones have none)."""
    return pa.Table.from_pylist([_order_row(record) for record in records], ORDER_COLUMNS)


def event_of(row: dict[str, Any]) -> AcceptedEvent:
    """The event of a row with all columns."""
    return AcceptedEvent(
        tenant=row["tenant"],
        order_id=row["order_id"],
        arrival_at=format_instant(to_instant(row["arrival_at"])),
        event_hash=row["event_hash"],
        status=row["status"],
        at=format_instant(to_instant(row["at"])),
        shipment=row["shipment"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        event=msgspec.Raw(row["event"].encode()),
    )


def _event_row(record: EventRecord) -> dict[str, Any]:
    event = record.event
    return {
        "tenant": event.tenant,
        "order_id": event.order_id,
        "event_hash": event.event_hash,
        "status": event.status,
        "at": record.at,
        "arrival_at": record.arrival_at,
        "source": SOURCED.decode(event.event).source,
        "shipment": event.shipment,
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "event": bytes(event.event).decode(),
    }


def _order_row(record: OrderRecord) -> dict[str, Any]:
    document = record.document
    assert document is not None
    updated_at = document.updated_at
    return {
        "tenant": document.tenant,
        "order_id": document.order_id,
        "version": document.version,
        "status": document.status,
        "lane": document.lane,
        "updated_at": None if updated_at is None else parse_instant(updated_at),
        "document": record.data.decode(),
    }
