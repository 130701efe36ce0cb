"""Alert message of a channel: an open alert of an order, with labels that are always the same.

The labels are a pure function of the order's document, so that a restarted process, or another
one, means the same alert. They are the alert's only identity at Alertmanager: what changes while an
alert is open (the order's status, its promise) is an annotation. The severity has to be a label, as
routes go by it; so at Alertmanager an escalation is one alert that ends and another that begins,
with the same `alert_id`. Labels with an order's id never become labels of a metric.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from schemas.alert import Severity
from schemas.alert_text import AlertText
from schemas.display import printable, printable_json
from schemas.errors import Rejected
from schemas.event import Location
from schemas.instants import parse_instant
from schemas.json_faults import json_fault
from schemas.order import Lane, OpenAlert

Labels = dict[str, str]
Identity = tuple[tuple[str, str], ...]


SERVICE = "ordertide"
ROUTED: dict[Severity, str] = {"warning": "warning", "overdue": "critical"}  # as routes know them
WORD = re.compile(r"[^\W_]+")


class Parcel(msgspec.Struct, frozen=True):
    """Of a parcel: who carries it, and what was heard of it last."""

    shipment: str
    carrier: str | None = None
    status: str | None = None
    updated_at: str | None = None
    location: Location | None = None


class AlertedOrder(msgspec.Struct, frozen=True):
    """Of `schemas.order.OrderDocument`: what the alerts need. The rest isn't decoded."""

    tenant: str
    order_id: str
    version: int
    status: str | None
    lane: Lane
    promised_at: str | None
    carrier: str | None
    shipments: list[Parcel]
    open_alerts: list[OpenAlert]


class Style(NamedTuple):
    """Sentences of notices, and a template of their links that may name {tenant} and {order_id}."""

    text: AlertText = AlertText()
    link: str = ""


class Notice(NamedTuple):
    """An open alert. `starts_at` (ms) is the start of its severity, its opening or escalation.

    `link` leads to the order, or is "".
    """

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
    recorded history and lies years back. `ends_at` is None for an alert that stays open until its
    end is posted.
    """

    notice: Notice
    at: int
    ends_at: int | None

    @property
    def resolved(self) -> bool:
        """The alert is over."""
        return self.ends_at is not None and self.ends_at <= self.at

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
        fault = json_fault(error, value)
        raise Rejected("unreadable_value", f"no order document: {fault}") from error


def notices_of(order: AlertedOrder, style: Style = Style()) -> list[Notice]:  # noqa: B008 - immutable
    """One for each open alert.

    Raises:
        Rejected: `unreadable_value`, an alert opened at no instant.
    """
    try:
        return [*each_notice(order, style)]
    except ValueError as error:
        raise Rejected("unreadable_value", f"{order.order_id}: {error}") from error


def each_notice(order: AlertedOrder, style: Style) -> Iterator[Notice]:
    """As `notices_of`; ValueError for an instant that is none."""
    target = link_to(order, style.link)
    for alert in order.open_alerts:
        yield Notice(
            labels=labels_of(order, alert),
            annotations=annotations_of(order, alert, style.text),
            starts_at=parse_instant(alert.since_at),
            link=target,
        )


def labels_of(order: AlertedOrder, alert: OpenAlert) -> Labels:
    """The identity. No label is empty: Alertmanager takes an empty one for none."""
    labels = {
        "alertname": alert_name(alert.rule),
        "service": SERVICE,
        "severity": ROUTED[alert.severity],
        "lane": alert.severity,
        "rule": alert.rule,
        "tenant": order.tenant,
        "carrier": carrier_of(order, alert.because.shipment),
        "order_id": order.order_id,
        "alert_id": alert.alert_id,
    }
    return {name: value for name, value in labels.items() if value}


@lru_cache(maxsize=1024)
def alert_name(rule: str) -> str:
    """`OrderLateDelivery` of the rule `late_delivery`, in the form of the other alerts' names."""
    return "".join(["Order", *(word[0].upper() + word[1:] for word in WORD.findall(rule))])


def known_carrier(order: AlertedOrder, shipment: str | None) -> str:
    """As `carrier_of`; else the carrier of the order's parcels, if it is one."""
    of_parcels = {parcel.carrier for parcel in order.shipments if parcel.carrier}
    only = of_parcels.pop() if len(of_parcels) == 1 else ""
    return carrier_of(order, shipment) or only


def carrier_of(order: AlertedOrder, shipment: str | None) -> str:
    """Carrier of the alert's parcel, else of the order; "" if unknown.

    Not that of any parcel: a label that appears when the order is shipped would end the alert and
    begin another.
    """
    of_parcel = (parcel.carrier for parcel in order.shipments if parcel.shipment == shipment)
    return next(of_parcel, None) or order.carrier or ""


def annotations_of(order: AlertedOrder, alert: OpenAlert, text: AlertText) -> dict[str, str]:
    """Annotations for people and their templates, and the evidence as JSON."""
    found = {
        "summary": text.summary(order, alert),
        "description": text.description(order, alert),
        "status": printable(order.status or ""),
        "carrier": printable(known_carrier(order, alert.because.shipment)),
        "promised_at": printable(order.promised_at or ""),
        "shipment": printable(alert.because.shipment or ""),
        "evidence": printable_json(msgspec.json.encode(alert.because)).decode(),
    }
    return {name: value for name, value in found.items() if value}


def link_to(order: AlertedOrder, template: str) -> str:
    """The template with the order's tenant and id in it, fit for a URL."""
    link = template.replace("{tenant}", quote(order.tenant, safe=""))
    return link.replace("{order_id}", quote(order.order_id, safe=""))
