"""View model of an order's page: why it is late, plan and progress, timeline, map, deadlines."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.board.audit import AuditRow, audit_rows
from gateway.board.gantt import Gantt, gantt
from gateway.board.handling import Desk, Handling
from gateway.board.progress import Progress
from gateway.board.reasons import allowed, reading, why
from gateway.board.route_map import RouteMap, route_map
from gateway.board.timeline import Day, days
from gateway.board.wording import Words
from schemas.alert import AuditEntry, Because
from schemas.alert_text import last_heard
from schemas.card import worst_first
from schemas.instants import parse_instant
from schemas.order import AcceptedEvent, ArmedDeadline, Lane, OpenAlert, OrderDocument, ShipmentView
from schemas.versions import changes_of

WIDE, NARROW = 860, 336


class Held(NamedTuple):
    """An order as a look-up found it: `tier` answered, complete up to `watermark` (ms).

    `stale` is why it may be outdated. `unreachable` are tiers that gave no answer. `is_staff`: its
    viewer sees events as they came, who sent them, and the `audit`; `sees_rules`: and what rules
    say of it.
    """

    order: OrderDocument
    timeline: Sequence[AcceptedEvent]
    tier: str
    watermark: int | None
    stale: str | None = None
    unreachable: tuple[str, ...] = ()
    is_staff: bool = True
    sees_rules: bool = True
    audit: Sequence[AuditEntry] = ()


class Why(NamedTuple):
    """An open alert in words: `heard` is the last event, `limit` what `short` leaves out.

    `evidence` is the hash of the event that it counts from.
    """

    severity: str
    rule: str
    rule_id: str
    short: str
    heard: str
    limit: str
    since: str
    span: str
    parcel: str
    evidence: str
    flapping: bool
    handling: Handling


class Parcel(NamedTuple):
    """A parcel: its last news, and readings with their limits."""

    number: str
    carrier: str
    status: str
    stage: int
    is_back: bool
    is_over: bool
    place: str
    at: str
    span: str
    readings: list[str]


class Coming(NamedTuple):
    """A running deadline."""

    due_at: int
    span: str
    at: str
    rule: str
    severity: str
    parcel: str


class Fact(NamedTuple):
    """A field of the order with its value."""

    name: str
    value: str


class OrderPage(NamedTuple):
    """An order's page."""

    order_id: str
    status: str
    lane: Lane
    stage: int
    is_over: bool
    is_late: bool
    promised: str
    promised_span: str
    version: int
    tier: str
    fresh: str
    stale: str
    unreachable: str
    is_staff: bool
    sees_rules: bool
    whys: list[Why]
    wide: Gantt | None
    narrow: Gantt | None
    days: list[Day]
    route: RouteMap | None
    parcels: list[Parcel]
    coming: list[Coming]
    facts: list[Fact]
    references: list[Fact]
    audit: list[AuditRow]


def order_page(words: Words, progress: Progress, held: Held, now: int, desk: Desk) -> OrderPage:
    """The page of an order at `now` (ms of the stream)."""
    order = held.order
    promised_at = parse_instant(order.promised_at) if order.promised_at else None
    is_over = progress.ends_well(order.status)
    parcels = [p for p in order.shipments if p.shipment]
    return OrderPage(
        order_id=order.order_id,
        status=words.status(order.status),
        lane=order.lane,
        stage=progress.stage(order.status, order.shipments),
        is_over=is_over,
        is_late=not is_over and promised_at is not None and promised_at < now,
        promised=words.promise(order.promised_at, now),
        promised_span=words.span(promised_at - now) if promised_at and not is_over else "",
        version=changes_of(order.version),
        tier=held.tier,
        fresh=words.stamp(held.watermark, now) if held.watermark else "",
        stale=held.stale or "",
        unreachable=", ".join(held.unreachable),
        is_staff=held.is_staff,
        sees_rules=held.sees_rules,
        whys=[why_of(words, order, alert, now, desk) for alert in worst_first(order)],
        wide=gantt(words, progress, order, held.timeline, now, WIDE),
        narrow=gantt(words, progress, order, held.timeline, now, NARROW),
        days=days(words, order, held.timeline, now, is_staff=held.is_staff, audit=held.audit),
        route=route_map(order, held.timeline),
        parcels=[parcel_of(words, progress, each, order.attributes, now) for each in parcels],
        coming=[coming_of(words, each, now) for each in sorted_deadlines(order)],
        facts=list(facts_of(words, order, now)),
        references=[
            Fact(kind, number) for kind, numbers in order.references.items() for number in numbers
        ],
        audit=audit_rows(words, held.audit, now),
    )


def sorted_deadlines(order: OrderDocument) -> list[ArmedDeadline]:
    """Running deadlines, the next one first."""
    return sorted(order.deadlines, key=lambda each: each.due_at)


def why_of(words: Words, order: OrderDocument, alert: OpenAlert, now: int, desk: Desk) -> Why:
    """An open alert in words."""
    because = alert.because
    since = parse_instant(alert.since_at)
    return Why(
        severity=alert.severity,
        rule=words.rule(alert.rule),
        rule_id=alert.rule,
        short=why(words, order, alert, now),
        heard=heard_last(words, order, alert, now),
        limit=limit_of(words, order, because),
        since=words.stamp(since, now),
        span=words.span(now - since),
        parcel=because.shipment or "",
        evidence=because.anchor_event,
        flapping=alert.flapping,
        handling=desk.handling(alert),
    )


def limit_of(words: Words, order: OrderDocument, because: Because) -> str:
    """The limit that was passed: of a silence, or of a parcel's readings."""
    if because.anchor != "condition":
        return allowed(words, because)
    return " · ".join(
        text
        for parcel in order.shipments
        if parcel.shipment == because.shipment
        for name in parcel.readings or {}
        for text in limits_of(words, name, order.attributes)
    )


def heard_last(words: Words, order: OrderDocument, alert: OpenAlert, now: int) -> str:
    """The last event before an alert: status, place, instant, and how long ago."""
    heard = last_heard(order, alert.because)
    at = parse_instant(heard.at)
    last = words.say("why.last", status=words.status(heard.status))
    if heard.place:
        last = words.say("reason.at", last=last, place=heard.place)
    return words.say("why.heard", last=last, at=words.stamp(at, now), span=words.span(now - at))


def parcel_of(
    words: Words,
    progress: Progress,
    parcel: ShipmentView,
    attributes: Mapping[str, object],
    now: int,
) -> Parcel:
    """A parcel in words."""
    updated_at = parse_instant(parcel.updated_at) if parcel.updated_at else None
    is_over = parcel.ended_at is not None or progress.ends_well(parcel.status)
    return Parcel(
        number=parcel.shipment,
        carrier=parcel.carrier or "",
        status=words.status(parcel.status),
        stage=progress.stages.get(parcel.status or "", 0),
        is_back=parcel.direction == "return",
        is_over=is_over,
        place=(parcel.location.name or "") if parcel.location else "",
        at=words.stamp(updated_at, now) if updated_at else "",
        span=words.span(now - updated_at) if updated_at and not is_over else "",
        readings=[
            reading_and_limits(words, name, values, attributes)
            for name, values in (parcel.readings or {}).items()
        ],
    )


def reading_and_limits(
    words: Words, name: str, values: Mapping[str, float], attributes: Mapping[str, object]
) -> str:
    """A reading's range, and its limits where the order has some."""
    return " · ".join([reading(words, name, values), *limits_of(words, name, attributes)])


def limits_of(words: Words, name: str, attributes: Mapping[str, object]) -> list[str]:
    """The limits of a reading that the order has."""
    stem, _, unit = name.rpartition("_")
    return [
        words.say(f"reading.{end}", value=attributes[field])
        for end in ("min", "max")
        if (field := f"{stem}_{end}_{unit}") in attributes
    ]


def coming_of(words: Words, deadline: ArmedDeadline, now: int) -> Coming:
    """A running deadline in words."""
    due_at = parse_instant(deadline.due_at)
    return Coming(
        due_at=due_at,
        span=words.span(due_at - now),
        at=words.stamp(due_at, now),
        rule=words.rule(deadline.rule),
        severity=deadline.severity,
        parcel=deadline.shipment or "",
    )


def facts_of(words: Words, order: OrderDocument, now: int) -> list[Fact]:
    """Fields of the order that are known."""
    end = order.destination
    town = ", ".join(filter(None, (end.town, end.region, end.country))) if end else ""
    created = words.stamp(parse_instant(order.created_at), now) if order.created_at else ""
    values = {
        "created": created,
        "destination": town,
        "supplier": order.supplier_id or "",
        "carrier": order.carrier or "",
        "customer": order.customer_id or "",
        "parcels": str(order.parcels_expected or ""),
        "flags": ", ".join(order.flags),
    }
    facts = [Fact(words.say(f"fact.{name}"), value) for name, value in values.items() if value]
    return facts + [Fact(name, str(value)) for name, value in order.attributes.items()]
