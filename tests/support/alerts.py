"""Made-up orders with open alerts, as messages of orders.changes and as notices."""

from collections.abc import Sequence
from typing import Any

import msgspec

from broker.fetcher import Headers
from broker.produce import Producer, Record
from schemas.instants import HOUR_MS, format_instant, parse_instant
from schemas.keys import alert_id, order_key
from schemas.order import OrderDocument
from schemas.topics import HEADER_VERSION, ORDERS_CHANGES
from sinks.channels.alert_message import Notice, Posting, notices_of, read_order
from tests.support.tiers.orders import document

OPENED = parse_instant("2017-10-05T10:56:33.000Z")
HOLD_MS = 300_000


def alert(
    rule: str = "late_shipping",
    severity: str = "overdue",
    order_id: str = "SO-1",
    tenant: str = "default",
    shipment: str | None = None,
    opened_at: int = OPENED,
) -> dict[str, Any]:
    """An open alert, as a document holds it."""
    return {
        "alert_id": alert_id(order_key(tenant, order_id), rule, 7, shipment or ""),
        "rule": rule,
        "severity": severity,
        "opened_at": format_instant(opened_at),
        "because": {
            "anchor": "milestone PAID",
            "anchor_event": f"{7:016x}",
            "anchor_at": format_instant(opened_at - 72 * HOUR_MS),
            "limit": "72h",
            "due_at": format_instant(opened_at),
            "last_event": "PAID",
            "last_event_at": format_instant(opened_at - 72 * HOUR_MS),
            "shipment": shipment,
        },
    }


def order(
    order_id: str = "SO-1",
    version: int = 1,
    *alerts: dict[str, Any],
    tenant: str = "default",
    carrier: str | None = None,
    shipments: Sequence[dict[str, Any]] = (),
    warm_period: str = "2017-10",
) -> OrderDocument:
    """An order with these open alerts."""
    lanes = {each["severity"] for each in alerts}
    lane = next((lane for lane in ("overdue", "warning") if lane in lanes), "normal")
    return document(
        order_id,
        version,
        tenant=tenant,
        open_alerts=[*alerts],
        lane=lane,
        carrier=carrier,
        shipments=[*shipments],
        warm_period=warm_period,
    )


def overdue(order_id: str = "SO-1", version: int = 1) -> OrderDocument:
    """An order that hasn't been shipped in time."""
    return order(order_id, version, alert(order_id=order_id))


def notice(order_id: str = "SO-1") -> Notice:
    """The notice of an order with one alert."""
    told = overdue(order_id)
    return notices_of(read_order(msgspec.json.encode(told)))[0]


def opened(told: Notice, now_at: int, hold_ms: int = HOLD_MS) -> Posting:
    return Posting(told, now_at, now_at + hold_ms)


def over(told: Notice, now_at: int) -> Posting:
    return Posting(told, now_at, now_at)


def produce(producer: Producer, *documents: OrderDocument, topic: str = ORDERS_CHANGES) -> None:
    """Write them like track does, and wait until they are there."""
    producer.send_many(
        topic,
        [
            Record(order_key(each.tenant, each.order_id).encode(), msgspec.json.encode(each))
            for each in documents
        ],
    )
    producer.flush()


def retire(
    producer: Producer, order_id: str, topic: str = ORDERS_CHANGES, version: int | None = None
) -> None:
    """Write an order's tombstone, with the version that track gives it or without."""
    headers: Headers = [] if version is None else [(HEADER_VERSION, b"%d" % version)]
    producer.send(topic, order_id.encode(), None, headers)
    producer.flush()
