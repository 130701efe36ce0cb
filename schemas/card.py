"""The card of an order: what a list or a board shows of an order that needs attention."""

import msgspec

from schemas.order import Lane, OpenAlert, OrderDocument, ShipmentView


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """An order in short; `lane` is warning or overdue.

    `alerts`: its open alerts, the worst first. `due_at`: when the worst one was due, or what it
    warns of will be; in a lane that is the order to work in. `town` is the destination's.
    """

    key: str
    tenant: str
    order_id: str
    version: int
    lane: Lane
    status: str | None
    carrier: str | None
    supplier_id: str | None
    town: str | None = None
    promised_at: str | None
    updated_at: str | None
    due_at: str
    alerts: tuple[OpenAlert, ...]
    shipments: tuple[ShipmentView, ...]


def card_of(key: str, order: OrderDocument) -> Card:
    """The card of an order with an open alert, from its document."""
    alerts = worst_first(order)
    return Card(
        key=key,
        tenant=order.tenant,
        order_id=order.order_id,
        version=order.version,
        lane=order.lane,
        status=order.status,
        carrier=order.carrier,
        supplier_id=order.supplier_id,
        town=order.destination.town if order.destination else None,
        promised_at=order.promised_at,
        updated_at=order.updated_at,
        due_at=due_at(order, alerts),
        alerts=tuple(alerts),
        shipments=tuple(order.shipments),
    )


def worst_first(order: OrderDocument) -> list[OpenAlert]:
    """Open alerts of an order, overdue ones first."""
    return sorted(order.open_alerts, key=lambda alert: (alert.severity, alert.because.due_at))


def due_at(order: OrderDocument, alerts: list[OpenAlert]) -> str:
    """When an order is, or becomes, overdue; without such a time when its first alert was due."""
    if order.lane == "warning":
        ahead = [each.due_at for each in order.deadlines if each.severity == "overdue"]
        if ahead:
            return min(ahead)
    return alerts[0].because.due_at if alerts else ""
