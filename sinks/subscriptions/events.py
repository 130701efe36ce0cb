"""Events of an order for subscriptions, from its document and what was seen of it before. Pure.

orders.changes holds orders as they are after a change; the difference to the one before is the
events. Of each live order about 100 bytes are remembered for it (`Seen`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.alert import Severity
from schemas.instants import DAY_MS, format_instant, parse_instant
from schemas.keys import content_id, split_order_key
from schemas.order import Lane, OpenAlert, OrderDocument, ShipmentView
from sinks.subscriptions.subscription import EventType, Facets

# A retired order that a late event recalls looks like a new one, but for its age: the shipped
# lifecycle retires an order 30 days after its last event at the earliest.
NEW_FOR_MS = 30 * DAY_MS
DELIVERED = "DELIVERED"

encode = msgspec.json.Encoder(order="deterministic").encode


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Order as its last document had it; `alerts` are rule and severity by alert id."""

    version: int
    status: str | None
    lane: Lane
    carrier: str | None
    supplier_id: str | None
    is_delivered: bool
    alerts: dict[str, tuple[str, Severity]]

    def facets(self, tenant: str) -> Facets:
        """Facets that filters compare."""
        return Facets(tenant, self.lane, self.carrier, self.supplier_id)


class OrderEvent(NamedTuple):
    """An event: its type, its id, its body as it is posted, and the order before and after."""

    kind: EventType
    event_id: str
    body: bytes
    sides: tuple[Facets, ...]


class AlertData(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert; `due_at` and `since_at` are None for one that has ended."""

    alert_id: str
    rule: str
    severity: Severity
    since_at: str | None = None
    due_at: str | None = None


class OrderData(msgspec.Struct, frozen=True, kw_only=True):
    """Data of an event of an order; `was` is None for an order that was not live before."""

    tenant: str
    order_id: str
    version: int
    status: str | None
    lane: Lane
    was: dict[str, str | None] | None
    carrier: str | None
    supplier_id: str | None
    town: str | None
    created_at: str | None
    promised_at: str | None
    updated_at: str | None
    alerts: list[AlertData]
    shipments: list[ShipmentView]


class AlertEventData(msgspec.Struct, frozen=True, kw_only=True):
    """Data of an event of an alert, with its order in short."""

    tenant: str
    order_id: str
    version: int
    status: str | None
    lane: Lane
    carrier: str | None
    supplier_id: str | None
    alert: AlertData


class RetiredData(msgspec.Struct, frozen=True, kw_only=True):
    """Data of `order.retired`: the order is no longer live."""

    tenant: str
    order_id: str


class Change(NamedTuple):
    """Message of orders.changes, decoded; `clock_at` is the stream's, `came_at` its append time.

    `document` None: the order is no longer live. `now` is the part of it that the next one is
    compared with.
    """

    key: str
    document: OrderDocument | None
    now: Seen | None
    clock_at: int
    came_at: int


def seen_of(document: OrderDocument) -> Seen:
    """The part of a document that the next one is compared with."""
    return Seen(
        document.version,
        document.status,
        document.lane,
        document.carrier,
        document.supplier_id,
        DELIVERED in document.milestones,
        {each.alert_id: (each.rule, each.severity) for each in document.open_alerts},
    )


def sides_of(change: Change, before: Seen | None) -> tuple[Facets, ...]:
    """The order before a change, if it was live, and after it, if it is."""
    tenant, _ = split_order_key(change.key)
    was = (before.facets(tenant),) if before else ()
    return was if change.now is None else (*was, change.now.facets(tenant))


def events_of(
    change: Change, before: Seen | None, sides: tuple[Facets, ...]
) -> Iterator[OrderEvent]:
    """The events of a change, in the sequence in which a receiver gets them."""
    document, now = change.document, change.now
    if document is None or now is None:
        if before:
            tenant, order_id = split_order_key(change.key)
            retired = RetiredData(tenant=tenant, order_id=order_id)
            yield event(change, "order.retired", before.version, retired, sides)
        return
    data = order_data(document, before)
    if is_new(change, document, before):
        yield event(change, "order.created", now.version, data, sides)
    yield event(change, "order.changed", now.version, data, sides)
    if now.is_delivered and not (before and before.is_delivered):
        yield event(change, "order.delivered", now.version, data, sides)
    yield from alert_events(change, document, before, sides)


def is_new(change: Change, document: OrderDocument, before: Seen | None) -> bool:
    """Return True for an order that its creating event has just made one."""
    if document.status is None or document.created_at is None:
        return False
    if before is not None:
        return before.status is None
    return change.clock_at - parse_instant(document.created_at) < NEW_FOR_MS


def alert_events(
    change: Change, document: OrderDocument, before: Seen | None, sides: tuple[Facets, ...]
) -> Iterator[OrderEvent]:
    """Alerts that opened, escalated or ended."""
    open_before = before.alerts if before else {}
    for each in document.open_alerts:
        held = open_before.get(each.alert_id)
        if held is None or held != (each.rule, each.severity):
            kind: EventType = "alert.opened" if held is None else "alert.escalated"
            yield alert_event(change, kind, document, alert_data(each), sides)
    still_open = {each.alert_id for each in document.open_alerts}
    for alert_id, (rule, severity) in open_before.items():
        if alert_id not in still_open:
            ended = AlertData(alert_id=alert_id, rule=rule, severity=severity)
            yield alert_event(change, "alert.resolved", document, ended, sides)


def alert_event(
    change: Change,
    kind: EventType,
    document: OrderDocument,
    alert: AlertData,
    sides: tuple[Facets, ...],
) -> OrderEvent:
    """An event of an alert."""
    data = AlertEventData(
        tenant=document.tenant,
        order_id=document.order_id,
        version=document.version,
        status=document.status,
        lane=document.lane,
        carrier=document.carrier,
        supplier_id=document.supplier_id,
        alert=alert,
    )
    return event(change, kind, document.version, data, sides, alert.alert_id)


def event(
    change: Change,
    kind: EventType,
    version: int,
    data: msgspec.Struct,
    sides: tuple[Facets, ...],
    alert_id: str = "",
) -> OrderEvent:
    """An event; its id is the same whenever the change is read."""
    event_id = content_id("event", change.key, kind, str(version), alert_id)
    return OrderEvent(kind, event_id, body_of(kind, change.came_at, data), sides)


def body_of(kind: str, at: int, data: object) -> bytes:
    """The body that is posted, as Standard Webhooks has it."""
    return encode({"type": kind, "timestamp": format_instant(max(at, 0)), "data": data})


def order_data(document: OrderDocument, before: Seen | None) -> OrderData:
    """An order in short, with its lane and status before."""
    return OrderData(
        tenant=document.tenant,
        order_id=document.order_id,
        version=document.version,
        status=document.status,
        lane=document.lane,
        was={"status": before.status, "lane": before.lane} if before else None,
        carrier=document.carrier,
        supplier_id=document.supplier_id,
        town=document.destination.town if document.destination else None,
        created_at=document.created_at,
        promised_at=document.promised_at,
        updated_at=document.updated_at,
        alerts=[alert_data(each) for each in document.open_alerts],
        shipments=document.shipments,
    )


def alert_data(alert: OpenAlert) -> AlertData:
    """An open alert in short."""
    return AlertData(
        alert_id=alert.alert_id,
        rule=alert.rule,
        severity=alert.severity,
        since_at=alert.since_at,
        due_at=alert.because.due_at,
    )
