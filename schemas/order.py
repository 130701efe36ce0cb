"""The order as everybody else sees it: the value of orders.changes, the document of the tiers."""

from typing import Literal

import msgspec

from schemas.alert import Because, Severity
from schemas.event import Destination, Location, Scalar

Lane = Literal["normal", "warning", "overdue"]


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is open now. `escalated_at`: since when it is overdue, if it was a warning."""

    alert_id: str
    rule: str
    severity: Severity
    opened_at: str
    because: Because
    escalated_at: str | None = None
    flapping: bool = False  # opened for the third time within 14 days: no action is requested

    @property
    def since_at(self) -> str:
        """Start of its present severity."""
        return self.escalated_at or self.opened_at


class ArmedDeadline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deadline that is running: what the rule will open (or do) at `due_at`."""

    rule: str
    due_at: str
    severity: Severity
    shipment: str | None = None


class ShipmentView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parcel of the order; `shipment` is "" for an order that names no parcel."""

    shipment: str
    status: str | None = None
    direction: Literal["forward", "return"] = "forward"
    ended_at: str | None = None  # since when it counts no more
    updated_at: str | None = None
    carrier: str | None = None
    location: Location | None = None
    readings: dict[str, dict[str, float]] | None = None  # attribute -> {min, max, last}


class OrderDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """An order after its latest change.

    `version` is the number of distinct events applied plus the outcomes emitted for the order
    (alert transitions, missed deadlines, the conflicting_duplicate flag); a sink ignores a version
    that is not higher than the one it holds. `status` is None for an embryo.

    `warm_period` (`2017-10`) names the period of the warm tier that holds it, fixed at its first
    change. `milestones` gives the first time of every status reached.
    """

    tenant: str
    order_id: str
    version: int
    status: str | None
    lane: Lane
    created_at: str | None
    updated_at: str | None
    promised_at: str | None
    ship_by: str | None
    milestones: dict[str, str]
    planned: dict[str, str]
    flags: list[str]
    shipments: list[ShipmentView]
    attributes: dict[str, Scalar]
    references: dict[str, list[str]]
    customer_id: str | None
    supplier_id: str | None
    carrier: str | None
    parcels_expected: int | None = None
    destination: Destination | None = None
    open_alerts: list[OpenAlert]
    deadlines: list[ArmedDeadline]
    warm_period: str


class AcceptedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Value of orders.events: an accepted event, once per order that it applies to.

    `event` is the event as it came (unknown fields included; personal data sealed).
    `event_hash` is the 16 hex digits that alerts name as evidence. `partition` and `offset` locate
    the original in `topic`.
    """

    tenant: str
    order_id: str
    arrival_at: str
    event_hash: str
    status: str
    at: str
    shipment: str
    topic: str
    partition: int
    offset: int
    event: msgspec.Raw
