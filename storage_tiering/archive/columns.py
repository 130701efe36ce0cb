"""The datasets' columns: records become tables, and rows become records again."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from schemas.alert import Action
from schemas.instants import format_instant, parse_instant, to_instant
from schemas.order import AcceptedEvent
from storage_tiering.tier import EventRecord, OrderRecord, OutcomeRecord

Fields = list[tuple[str, pa.DataType]]

INSTANT = pa.timestamp("ms", tz="UTC")
# No column is named by a keyword of SQL: every engine takes them without quotes.
EVENT_FIELDS: Fields = [
    ("tenant", pa.string()),
    ("order_id", pa.string()),
    ("event_hash", pa.string()),
    ("status", pa.string()),
    ("event_at", INSTANT),
    ("arrival_at", INSTANT),
    ("source_name", pa.string()),
    ("shipment", pa.string()),
    ("origin_topic", pa.string()),
    ("origin_partition", pa.int32()),
    ("origin_offset", pa.int64()),
    ("event_json", pa.string()),
]
ORDER_FIELDS: Fields = [
    ("tenant", pa.string()),
    ("order_id", pa.string()),
    ("order_version", pa.int64()),
    ("status", pa.string()),
    ("lane", pa.string()),
    ("customer_id", pa.string()),
    ("carrier", pa.string()),
    ("created_at", INSTANT),
    ("promised_at", INSTANT),
    ("delivered_at", INSTANT),
    ("updated_at", INSTANT),
    ("order_json", pa.string()),
]
OUTCOME_FIELDS: Fields = [
    ("tenant", pa.string()),
    ("order_id", pa.string()),
    ("outcome_id", pa.string()),
    ("what", pa.string()),
    ("outcome_at", INSTANT),
    ("rule_id", pa.string()),
    ("operator_id", pa.string()),
    ("ip_address", pa.string()),
    ("source_name", pa.string()),
    ("outcome_json", pa.string()),
]
EVENT_COLUMNS, ORDER_COLUMNS = pa.schema(EVENT_FIELDS), pa.schema(ORDER_FIELDS)
OUTCOME_COLUMNS = pa.schema(OUTCOME_FIELDS)
# Values that repeat: a dictionary makes them small.
REPEATING = [
    "tenant",
    "status",
    "source_name",
    "origin_topic",
    "lane",
    "carrier",
    "what",
    "rule_id",
]
DELIVERED = "DELIVERED"


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


def outcome_table(records: Sequence[OutcomeRecord]) -> pa.Table:
    """The rows of these audit entries or actions."""
    return pa.Table.from_pylist([_outcome_row(record) for record in records], OUTCOME_COLUMNS)


def event_of(row: dict[str, Any]) -> AcceptedEvent:
    """The event of a row with all columns."""
    return AcceptedEvent(
        tenant=row["tenant"],
        order_id=row["order_id"],
        arrival_at=format_instant(to_instant(row["arrival_at"])),
        event_hash=row["event_hash"],
        status=row["status"],
        at=format_instant(to_instant(row["event_at"])),
        shipment=row["shipment"],
        topic=row["origin_topic"],
        partition=row["origin_partition"],
        offset=row["origin_offset"],
        event=msgspec.Raw(row["event_json"].encode()),
    )


def _event_row(record: EventRecord) -> dict[str, Any]:
    event = record.event
    return {
        "tenant": event.tenant,
        "order_id": event.order_id,
        "event_hash": event.event_hash,
        "status": event.status,
        "event_at": record.at,
        "arrival_at": record.arrival_at,
        "source_name": SOURCED.decode(event.event).source,
        "shipment": event.shipment,
        "origin_topic": event.topic,
        "origin_partition": event.partition,
        "origin_offset": event.offset,
        "event_json": bytes(event.event).decode(),
    }


def _order_row(record: OrderRecord) -> dict[str, Any]:
    document = record.document
    assert document is not None
    return {
        "tenant": document.tenant,
        "order_id": document.order_id,
        "order_version": document.version,
        "status": document.status,
        "lane": document.lane,
        "customer_id": document.customer_id,
        "carrier": document.carrier,
        "created_at": _instant(document.created_at),
        "promised_at": _instant(document.promised_at),
        "delivered_at": _instant(document.milestones.get(DELIVERED)),
        "updated_at": _instant(document.updated_at),
        "order_json": record.data.decode(),
    }


def _outcome_row(record: OutcomeRecord) -> dict[str, Any]:
    outcome = record.outcome
    row = {
        "tenant": outcome.tenant,
        "order_id": outcome.order_id,
        "outcome_id": record.id,
        "outcome_at": record.at,
        "outcome_json": record.data.decode(),
    }
    if isinstance(outcome, Action):
        return {**row, "what": outcome.kind, "rule_id": outcome.rule}
    about = outcome.alert or outcome.action
    return {
        **row,
        "what": outcome.what,
        "rule_id": about.rule if about else outcome.detail.get("rule"),
        "operator_id": outcome.operator,
        "ip_address": outcome.ip,
        "source_name": outcome.source,
    }


def _instant(text: str | None) -> int | None:
    """The instant; None for a text that is none, which `order_json` has."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError:
        return None
