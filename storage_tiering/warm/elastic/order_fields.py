"""Fields of an order's document that are computed for searches and dashboards.

All are functions of the document alone, so that writing it again gives the same. Durations that
grow by themselves are no fields: "late by now" is a range of `promised_at` to `now`.
"""

from typing import Any

from schemas.event import Location
from schemas.instants import HOUR_MS, parse_instant
from schemas.order import OpenAlert, OrderDocument
from schemas.search import numbers_of
from storage_tiering.warm.elastic.vocabulary import Vocabulary

DELIVERED = "DELIVERED"


def order_derived(document: OrderDocument, vocabulary: Vocabulary) -> dict[str, Any]:
    """The computed fields, without those that have no value.

    `numbers` and `numbers_reversed` are what the order is known by. `delivered_at`, `delivery_h`,
    `hours_late` (negative: early) and `promise_kept` come with the delivery.
    """
    numbers = sorted(numbers_of(document))
    fields: dict[str, Any] = {
        "numbers": numbers,
        "numbers_reversed": [number[::-1] for number in numbers],
        "attributes": declared(document, vocabulary),
        "hours_to": hours_to(document),
        "stage_h": stage_hours(document, vocabulary),
        **delivery(document),
    }
    if document.open_alerts:
        fields["alerts"] = alert_summary(document.open_alerts)
    return fields


def delivery(document: OrderDocument) -> dict[str, Any]:
    """Fields that an order has from its delivery on."""
    delivered_at = document.milestones.get(DELIVERED)
    if not delivered_at:
        return {}
    fields: dict[str, Any] = {"delivered_at": delivered_at}
    took_h = hours_between(document.created_at, delivered_at)
    late_h = hours_between(document.promised_at, delivered_at)
    if took_h is not None:
        fields["delivery_h"] = took_h
    if late_h is not None:
        fields |= {"hours_late": late_h, "promise_kept": late_h <= 0}
    return fields


def declared(document: OrderDocument, vocabulary: Vocabulary) -> dict[str, Any]:
    """The attributes that have a field of their type."""
    named = vocabulary.attributes
    return {name: value for name, value in document.attributes.items() if name in named}


def hours_to(document: OrderDocument) -> dict[str, float]:
    """{status: hours from the order's creation to its milestone}."""
    took = {
        status: hours_between(document.created_at, at) for status, at in document.milestones.items()
    }
    return {status: hours for status, hours in took.items() if hours is not None}


def stage_hours(document: OrderDocument, vocabulary: Vocabulary) -> dict[str, float]:
    """{stage: hours from its first milestone to the first one of a later stage}.

    A stage that the order is in still has none.
    """
    begun: dict[int, int] = {}
    for status, instant in document.milestones.items():
        stage, at = vocabulary.stages.get(status), instant_in(instant)
        if stage is not None and at is not None:
            begun[stage] = min(at, begun.get(stage, at))
    hours = {}
    for stage, at in sorted(begun.items()):
        later = [end for other, end in begun.items() if other > stage and end >= at]
        if later:
            hours[str(stage)] = (min(later) - at) / HOUR_MS
    return hours


def alert_summary(alerts: list[OpenAlert]) -> dict[str, Any]:
    """The open alerts in fields that need no nested query: Lens and tables take them."""
    return {
        "count": len(alerts),
        "rules": sorted({alert.rule for alert in alerts}),
        "severities": sorted({alert.severity for alert in alerts}),
        "first_opened_at": min(alert.opened_at for alert in alerts),
        "first_due_at": min(alert.because.due_at for alert in alerts),
    }


def places(document: OrderDocument) -> dict[str, Any]:
    """`geo`: the places at which the parcels were seen last."""
    located = [parcel.location for parcel in document.shipments if parcel.location]
    return geo_of(located)


def geo_of(locations: list[Location]) -> dict[str, Any]:
    """`geo`, as ECS names it: points and names of places."""
    points = [point for location in locations if (point := point_of(location))]
    names = [location.name for location in locations if location.name]
    return {"geo": {"location": points, "name": names}} if points or names else {}


def point_of(location: Location) -> dict[str, float] | None:
    """A geo_point, WGS 84."""
    if location.lat is None or location.lon is None:
        return None
    return {"lat": location.lat, "lon": location.lon}


def hours_between(start: str | None, end: str | None) -> float | None:
    """Hours from one instant to another; None where one is missing."""
    began, ended = instant_in(start), instant_in(end)
    return None if began is None or ended is None else (ended - began) / HOUR_MS


def instant_in(text: str | None) -> int | None:
    """The instant; None for a text that is none, which Elasticsearch refuses with its document."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError:
        return None
