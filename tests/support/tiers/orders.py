"""Made-up orders for the tests of the tiers: documents, events, and the log they come in."""

import msgspec

from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from schemas.keys import event_hash, order_key
from schemas.order import AcceptedEvent, OrderDocument
from schemas.topics import (
    CLOCK_KEY,
    EVENTS_REJECTED,
    HEADER_CLOCK,
    HEADER_CODE,
    HEADER_OFFSET,
    HEADER_PARTITION,
    HEADER_REASON,
    HEADER_TOPIC,
    HEADER_VERSION,
    ORDERS_CHANGES,
    ORDERS_EVENTS,
)
from storage_tiering.records import event_record, order_record, tombstone
from storage_tiering.tier import EventRecord, OrderRecord, TopicPosition

START = parse_instant("2017-10-02T10:56:33.000Z")
PERIOD_END = parse_instant("2017-11-01T00:00:00.000Z")
HOT_KEEP_MS = 72 * HOUR_MS
WARM_KEEP_MS = 92 * DAY_MS


def document(
    order_id: str = "e481f51c", version: int = 1, updated_at: int = START, **changes: object
) -> OrderDocument:
    plain: dict[str, object] = {
        "tenant": "default",
        "order_id": order_id,
        "version": version,
        "status": "PAID",
        "lane": "normal",
        "created_at": format_instant(START),
        "updated_at": format_instant(updated_at),
        "promised_at": None,
        "ship_by": None,
        "milestones": {"PAID": format_instant(START)},
        "planned": {},
        "flags": [],
        "shipments": [],
        "attributes": {"note": f"version {version}"},
        "references": {},
        "customer_id": None,
        "supplier_id": None,
        "carrier": None,
        "open_alerts": [],
        "deadlines": [],
        "warm_period": "2017-10",
    }
    return msgspec.convert(plain | changes, OrderDocument)


def accepted(
    order_id: str = "e481f51c",
    event_id: str = "1",
    at: int = START,
    arrival_at: int | None = None,
    tenant: str = "default",
) -> AcceptedEvent:
    original = {"event_id": event_id, "source": "shop", "说明": "已支付"}
    return AcceptedEvent(
        tenant=tenant,
        order_id=order_id,
        arrival_at=format_instant(at if arrival_at is None else arrival_at),
        event_hash=f"{event_hash('shop', event_id):016x}",
        status="PAID",
        at=format_instant(at),
        shipment="",
        topic="events",
        partition=3,
        offset=7,
        event=msgspec.Raw(msgspec.json.encode(original)),
    )


class Log:
    """Gives each record its place, as a producer to one partition of each topic would."""

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self._next = {ORDERS_CHANGES: 0, ORDERS_EVENTS: 0}

    def changes(self, *documents: OrderDocument) -> list[OrderRecord]:
        return [order_record(each, self.position(ORDERS_CHANGES)) for each in documents]

    def retirement(self, order_id: str, version: int | None = None) -> OrderRecord:
        return tombstone(order_key("default", order_id), self.position(ORDERS_CHANGES), version)

    def events(self, *events: AcceptedEvent) -> list[EventRecord]:
        return [event_record(each, self.position(ORDERS_EVENTS)) for each in events]

    def position(self, topic: str) -> TopicPosition:
        position = TopicPosition(topic, self.partition, self._next[topic])
        self._next[topic] += 1
        return position


class LogMessage(msgspec.Struct, frozen=True):
    """A message that can lie in a file."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int = 1_000


def message(record: OrderRecord | EventRecord, clock: int | None = None) -> LogMessage:
    """The message that `record` would be read from."""
    headers: list[tuple[str, bytes | None]] = []
    if clock is not None:
        headers.append((HEADER_CLOCK, str(clock).encode()))
    if isinstance(record, OrderRecord) and record.version is not None:
        headers.append((HEADER_VERSION, str(record.version).encode()))
    position = record.position
    value = record.data or None
    return LogMessage(
        position.topic, position.partition, position.offset, record.key.encode(), value, headers
    )


def heartbeat(log: Log, clock: int) -> LogMessage:
    """A message that only carries the clock."""
    position = log.position(ORDERS_CHANGES)
    headers: list[tuple[str, bytes | None]] = [(HEADER_CLOCK, str(clock).encode())]
    key = f"{CLOCK_KEY}-{position.partition}".encode()
    return LogMessage(position.topic, position.partition, position.offset, key, None, headers)


def dead_letter(
    code: str, original: bytes = b"{", offset: int = 0, at: int = 1_514_800_000_000
) -> LogMessage:
    """A message of events.rejected, of an original that was the 42nd of its partition."""
    headers: list[tuple[str, bytes | None]] = [
        (HEADER_CODE, code.encode()),
        (HEADER_REASON, b"for a reason"),
        (HEADER_TOPIC, b"events"),
        (HEADER_PARTITION, b"3"),
        (HEADER_OFFSET, b"42"),
    ]
    return LogMessage(EVENTS_REJECTED, 0, offset, None, original, headers, at)
