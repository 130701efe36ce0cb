"""Orders: one order with its timeline, as its caller may see it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.api.lanes import parcels_for
from gateway.problems import Problem
from gateway.route import Call
from schemas.errors import UnknownOrder
from schemas.event import Location, Scalar
from schemas.instants import format_instant, parse_instant
from schemas.keys import DEFAULT_TENANT
from schemas.order import AcceptedEvent, OrderDocument
from storage_tiering.find import Answer, timeline

NOT_MODIFIED = 304
MOST_EVENTS = 1_000
LATE_MS = 3_600_000  # an event that came so long after it happened is marked


class OrderAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order's `tenant`; without it the caller's own, else `default`."""

    tenant: str | None = None


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accepted event. `lag_ms` is from its time to its arrival; `arrived_late` if over 1 h."""

    at: str
    arrival_at: str
    lag_ms: int
    status: str
    event_hash: str
    arrived_late: bool = False
    source: str = ""
    event_id: str = ""
    kind: str = "fact"
    shipment: str = ""
    carrier: str | None = None
    location: Location | None = None
    raw_status: str | None = None
    operator: str | None = None
    corrects: str | None = None
    attributes: dict[str, Scalar] = {}
    dropped_fields: list[str] = []


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An order. `through` is the stream's time up to which its tier holds it.

    `unreachable`: tiers that should have been asked and gave no answer; `stale` is why the answer
    may be outdated.
    """

    order: OrderDocument
    timeline: list[TimelineEvent]
    answered_by: str
    through: str | None
    stale: str | None
    unreachable: list[str]


class EventsAsked(OrderAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of events: those behind the event `after` (its `event_hash`), the earliest first."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS)] = 100


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events of an order from all tiers that answer; `next` is the `after` of the next page."""

    events: list[TimelineEvent]
    next: str | None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that a timeline shows of an event as its sender wrote it."""

    source: str = ""
    event_id: str = ""
    kind: str = "fact"
    carrier: str | None = None
    location: Location | None = None
    raw_status: str | None = None
    operator: str | None = None
    corrects: str | None = None
    attributes: dict[str, Scalar] | None = None
    dropped_fields: list[str] | None = None


class SentOddly(Sent, frozen=True, kw_only=True):
    """The same of an event whose sender wrote something else for a location or a raw status."""

    location: Any = None
    raw_status: Any = None


SENT, SENT_ODDLY = msgspec.json.Decoder(Sent), msgspec.json.Decoder(SentOddly)


async def order(call: Call) -> OrderAnswer | Response:
    """One order from the hottest tier that has it: document, timeline, deadlines, open alerts."""
    answer = await found(call)
    document = answer.found.document
    tag = f'W/"{document.version}-{call.caller.role}"'  # weak: the same for a compressed answer
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=NOT_MODIFIED, headers={"etag": tag})
    watermark = answer.found.watermark
    body = OrderAnswer(
        order=visible(document, call.caller),
        timeline=[timeline_event(event, call.caller) for event in answer.found.timeline],
        answered_by=answer.tier,
        through=None if watermark is None else format_instant(watermark),
        stale=answer.found.stale,
        unreachable=[each.tier for each in answer.asked if each.answer == "busy"],
    )
    encoded = msgspec.json.encode(body)
    return Response(encoded, media_type="application/json", headers={"etag": tag})


async def events(call: Call) -> EventsAnswer:
    """Every event of an order, by time, with its source, its arrival and its lag."""
    document = (await found(call)).found.document
    tenant, order_id, asked = document.tenant, document.order_id, call.asked
    known = await call.gateway.tiers.run(lambda tiers: timeline(tiers, tenant, order_id))
    start = 0
    if asked.after is not None:
        places = {event.event_hash: place for place, event in enumerate(known)}
        if asked.after not in places:
            raise Problem("bad_field", f"after: no event {asked.after!r}", field="after")
        start = places[asked.after] + 1
    page = known[start : start + asked.limit]
    has_more = start + asked.limit < len(known)
    return EventsAnswer(
        events=[timeline_event(event, call.caller) for event in page],
        next=page[-1].event_hash if has_more else None,
    )


async def found(call: Call) -> Answer:
    """The order in the path, if the caller may see it.

    Raises:
        Problem: `unknown_order`, there is none in the caller's scope.
        Busy: a tier that may hold it is unavailable.
    """
    order_id = call.parameter("id")
    tenant = call.asked.tenant or call.caller.tenant or DEFAULT_TENANT
    unknown = Problem(
        "unknown_order", f"order {order_id!r} of tenant {tenant!r}: no tier holds it; check the id"
    )
    if call.caller.tenant not in {None, tenant}:
        raise unknown
    try:
        answer = await call.gateway.tiers.find(tenant, order_id)
    except UnknownOrder as error:
        raise unknown from error
    if not call.caller.sees(answer.found.document):
        raise unknown
    return answer


def visible(order: OrderDocument, caller: Caller) -> OrderDocument:
    """The document as the caller may see it; other parties' ids are for staff."""
    if caller.is_staff:
        return order
    hidden: dict[str, Any] = {"attributes": {}, "flags": []}
    if not caller.sees_rules:
        hidden |= {"open_alerts": [], "deadlines": [], "supplier_id": None}
    if caller.role != "customer":
        hidden["customer_id"] = None
    if caller.role == "carrier":
        hidden |= {"shipments": parcels_for(caller, order.shipments), "references": {}}
    return replace(order, **hidden)


def timeline_event(event: AcceptedEvent, caller: Caller) -> TimelineEvent:
    """An event of the timeline; who entered it and its attributes are for staff."""
    sent = sent_in(event)
    lag_ms = parse_instant(event.arrival_at) - parse_instant(event.at)
    is_staff = caller.is_staff
    return TimelineEvent(
        at=event.at,
        arrival_at=event.arrival_at,
        lag_ms=lag_ms,
        arrived_late=lag_ms > LATE_MS,
        status=event.status,
        event_hash=event.event_hash,
        source=sent.source if is_staff else "",
        event_id=sent.event_id if is_staff else "",
        kind=sent.kind,
        shipment=event.shipment,
        carrier=sent.carrier,
        location=sent.location,
        raw_status=sent.raw_status,
        operator=sent.operator if is_staff else None,
        corrects=sent.corrects if is_staff else None,
        attributes=(sent.attributes or {}) if is_staff else {},
        dropped_fields=(sent.dropped_fields or []) if is_staff else [],
    )


def sent_in(event: AcceptedEvent) -> Sent:
    """Fields of an event; a location or raw status of another form counts as none."""
    try:
        return SENT.decode(event.event)
    except msgspec.ValidationError:
        sent = SENT_ODDLY.decode(event.event)
        raw_status = sent.raw_status if isinstance(sent.raw_status, str) else None
        return replace(sent, location=location_of(sent.location), raw_status=raw_status)


def location_of(sent: object) -> Location | None:
    """The location of an event; None where its sender wrote something else."""
    try:
        return msgspec.convert(sent, Location | None)
    except msgspec.ValidationError:
        return None
