"""Sample order: for previews, and for the trial of each template when it is read."""

from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Action, Because
from schemas.alert_text import Language
from schemas.order import OrderDocument
from sinks.actions.amounts import Amount
from sinks.actions.messages.fields import Fields, Shop, fields_of

LINK = "https://shop.example.com/t/SAMPLE"
SHOP = Shop("Example Shop", "help@shop.example.com")
AT = "2026-03-03T09:30:00.000Z"
FULL = {
    "tenant": "default",
    "order_id": "SO-2026-1",
    "version": 7,
    "status": "SHIPPED",
    "lane": "normal",
    "created_at": "2026-02-27T08:00:00.000Z",
    "updated_at": AT,
    "promised_at": "2026-03-02T22:59:59.999Z",
    "ship_by": None,
    "milestones": {"SHIPPED": "2026-02-28T10:00:00.000Z"},
    "planned": {"DELIVERED": "2026-03-04T17:00:00.000Z"},
    "flags": [],
    "shipments": [
        {"shipment": "SF1001", "carrier": "sf", "location": {"name": "Berlin"}},
        {"shipment": "SF1002", "carrier": "sf"},
    ],
    "attributes": {"order_value": 80, "currency": "EUR"},
    "references": {},
    "customer_id": "C-1017",
    "supplier_id": None,
    "carrier": "sf",
    "destination": {"town": "Berlin", "country": "DE"},
    "open_alerts": [],
    "deadlines": [],
    "warm_period": "2026-02",
}
BARE = FULL | {"promised_at": None, "planned": {}, "shipments": [], "carrier": None}


def sample_order() -> OrderDocument:
    """An order with everything that a template may use."""
    return msgspec.convert(FULL, OrderDocument)


def sample_link(_action: Action, _came_at: int, _language: Language) -> str:
    """The link of a sample order, which leads nowhere."""
    return LINK


def action_about(order: OrderDocument, kind: str, at: str = AT) -> Action:
    """An action of a kind, about an order and its first parcel."""
    named = [each.shipment for each in order.shipments if each.shipment]
    return Action(
        action_id="0" * 32,
        tenant=order.tenant,
        order_id=order.order_id,
        kind=kind,
        rule="preview",
        at=at,
        expires_at=at,
        alert_id=None,
        because=Because(
            anchor="promised_at" if order.promised_at else "created",
            anchor_event="0" * 16,
            anchor_at=order.promised_at or order.created_at or at,
            limit="0s",
            due_at=order.promised_at or at,
            last_event=order.status or "",
            last_event_at=order.updated_at or at,
            shipment=named[0] if named else None,
        ),
    )


def sample_fields(language: Language) -> tuple[Fields, Fields]:
    """The fields of an order with everything, and of one with little."""
    full, bare = sample_order(), msgspec.convert(BARE, OrderDocument)
    berlin = ZoneInfo("Europe/Berlin")
    return (
        fields_of(
            *(full, action_about(full, "sample"), SHOP, LINK),
            language=language,
            zone=berlin,
            amount=Amount("8.00", "EUR", "1d"),
        ),
        fields_of(
            *(bare, action_about(bare, "sample"), Shop("", ""), LINK),
            language=language,
            zone=berlin,
        ),
    )
