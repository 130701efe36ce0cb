"""Alert message of a channel: an open alert of an order, with labels that are always the same.

The labels are a pure function of the order's document, so that a restarted process, or another
one, means the same alert. They are the alert's only identity at Alertmanager. That is why the order
id and the alert id are among them, and why an escalation (another severity) is one alert that ends
and another that begins. They never become labels of a metric.
"""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from schemas.alert import Because
from schemas.errors import Rejected
from schemas.instants import parse_instant
from schemas.order import Lane, OpenAlert

Labels = dict[str, str]
Identity = tuple[tuple[str, str], ...]


class Parcel(msgspec.Struct, frozen=True):
    """Of a parcel: who carries it."""

    shipment: str
    carrier: str | None = None


class AlertedOrder(msgspec.Struct, frozen=True):
    """Of `schemas.order.OrderDocument`: what the alerts need. The rest isn't decoded."""

    tenant: str
    order_id: str
    version: int
    lane: Lane
    carrier: str | None
    shipments: list[Parcel]
    open_alerts: list[OpenAlert]


class Notice(NamedTuple):
    """An open alert. `starts_at` (ms) is when it opened; `link` leads to the order, or is ""."""

    labels: Labels
    annotations: dict[str, str]
    starts_at: int
    link: str

    @property
    def identity(self) -> Identity:
        """The labels as a key: their order plays no part."""
        return tuple(sorted(self.labels.items()))


class Posting(NamedTuple):
    """A notice as it is posted at `at`: open until `ends_at` unless posted again, else over.

    Both are ms of the wall clock, by which receivers judge, also where `notice.starts_at` is of
    recorded history and lies years back.
    """

    notice: Notice
    at: int
    ends_at: int

    @property
    def resolved(self) -> bool:
        """The alert is over."""
        return self.ends_at <= self.at

    @property
    def starts_at(self) -> int:
        """When it opened; the orders' clock may be a little ahead of this host's."""
        return min(self.notice.starts_at, self.at)


DOCUMENT = msgspec.json.Decoder(AlertedOrder)


def read_order(value: bytes) -> AlertedOrder:
    """An order's document, as far as its alerts need it.

    Raises:
        Rejected: `unreadable_value`.
    """
    try:
        return DOCUMENT.decode(value)
    except (ValueError, RecursionError) as error:
        raise Rejected("unreadable_value", f"no order document: {error}") from error


def notices_of(order: AlertedOrder, link: str = "") -> list[Notice]:
    """One for each open alert; `link` may name {tenant} and {order_id}.

    Raises:
        Rejected: `unreadable_value`, an alert opened at no instant.
    """
    try:
        return [*each_notice(order, link)]
    except ValueError as error:
        raise Rejected("unreadable_value", f"{order.order_id}: {error}") from error


def each_notice(order: AlertedOrder, link: str) -> Iterator[Notice]:
    """As `notices_of`; ValueError for an instant that is none."""
    target = link_to(order, link)
    for alert in order.open_alerts:
        yield Notice(
            labels=labels_of(order, alert),
            annotations=annotations_of(order, alert),
            starts_at=parse_instant(alert.opened_at),
            link=target,
        )


def labels_of(order: AlertedOrder, alert: OpenAlert) -> Labels:
    """The identity. No label is empty: Alertmanager takes an empty one for none."""
    labels = {
        "alertname": alert.rule,
        "severity": alert.severity,
        "tenant": order.tenant,
        "carrier": carrier_of(order, alert.because.shipment),
        "order_id": order.order_id,
        "alert_id": alert.alert_id,
    }
    return {name: value for name, value in labels.items() if value}


def carrier_of(order: AlertedOrder, shipment: str | None) -> str:
    """Carrier of the alert's parcel, else of the order; "" if unknown."""
    of_parcel = (parcel.carrier for parcel in order.shipments if parcel.shipment == shipment)
    return next(of_parcel, None) or order.carrier or ""


def annotations_of(order: AlertedOrder, alert: OpenAlert) -> dict[str, str]:
    """Annotations for people, and the evidence as JSON."""
    return {
        "summary": f"{alert.rule}: order {order.order_id}",
        "reason": reason_of(alert.because),
        "evidence": msgspec.json.encode(alert.because).decode(),
    }


def reason_of(because: Because) -> str:
    """Why, in a sentence."""
    parcel = f"parcel {because.shipment}, " if because.shipment else ""
    return (
        f"due {because.due_at}: {parcel}{because.anchor} {because.anchor_at}, "
        f"limit {because.limit}; last event {because.last_event} {because.last_event_at}"
    )


def link_to(order: AlertedOrder, template: str) -> str:
    """The template with the order's tenant and id in it, fit for a URL."""
    link = template.replace("{tenant}", quote(order.tenant, safe=""))
    return link.replace("{order_id}", quote(order.order_id, safe=""))
