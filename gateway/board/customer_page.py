"""View model of the customer's page: one question answered at a glance, where is my order.

Of an order it shows its number, promise, stages, parcels and what happened to them in plain words.
No personal data, no party's id, no rule: who has the link sees no more than a parcel label.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from gateway.access.shares import Level
from gateway.board.progress import DELIVERED, LAST, Progress, under_way
from gateway.board.route_map import RouteMap, location_of, route_map
from gateway.board.wording import Words
from schemas.alert_text import moment_of, promised_day
from schemas.instants import parse_instant
from schemas.order import AcceptedEvent, OrderDocument, ShipmentView

# Statuses that have a sentence of their own, instead of where the order is on its way.
ENDS = (
    "CANCELLED",
    "RETURN_REQUESTED",
    "RETURNING",
    "RETURNED",
    "REFUNDED",
    "EXCHANGED",
)
TROUBLES = ("LOST", "DAMAGED", "DELIVERY_FAILED", "CUSTOMS_HOLD", "RETURN_TO_SENDER")
WAITING = "READY_FOR_PICKUP"


class Step(NamedTuple):
    """A stage of the track; `at` is when it was reached, in words."""

    label: str
    at: str
    state: Literal["reached", "present", "ahead"]


class Event(NamedTuple):
    """An event in plain words."""

    at: str
    what: str
    place: str


class Day(NamedTuple):
    """A day with its events."""

    label: str
    events: list[Event]


class ParcelView(NamedTuple):
    """A parcel with what happened to it, newest first."""

    number: str
    carrier: str
    status: str
    is_there: bool
    days: list[Day]


class CustomerPage(NamedTuple):
    """The customer's page. `tone` is good, normal or late."""

    order_id: str
    headline: str
    detail: str
    tone: str
    steps: list[Step]
    parcels: list[ParcelView]
    arrived: str
    days: list[Day]
    route: RouteMap | None
    help: str


def customer_page(
    words: Words,
    progress: Progress,
    order: OrderDocument,
    timeline: Sequence[AcceptedEvent],
    now: int,
    level: Level,
) -> CustomerPage:
    """The page of an order at `now` (ms of the stream)."""
    shown = [event for event in timeline if words.has(f"plain.{event.status}")]
    parcels = under_way(order.shipments)
    headline, detail, tone = sentence(words, progress, order, now)
    places = level == "town"
    arrived, total = progress.delivered(order.shipments)
    return CustomerPage(
        order_id=order.order_id,
        headline=headline,
        detail=detail,
        tone=tone,
        steps=steps(words, progress, order),
        parcels=[parcel_view(words, each, shown, now, places=places) for each in parcels],
        arrived=words.say("customer.arrived", n=arrived, all=total) if total > 1 else "",
        days=by_day(words, [e for e in shown if not e.shipment], now, places=places),
        route=route_map(order, timeline) if places else None,
        help=words.say("customer.help.late" if tone == "late" else "customer.help"),
    )


def sentence(
    words: Words, progress: Progress, order: OrderDocument, now: int
) -> tuple[str, str, str]:
    """(headline, detail, tone): the answer, what is promised, and how that is."""
    status = order.status or ""
    promise = day_of(words, order.promised_at, now)
    if status in ENDS:
        return words.say(f"customer.is.{status}"), "", "normal"
    delivered_at = order.milestones.get(DELIVERED)
    if progress.stages.get(status, 0) == LAST and delivered_at:
        at = parse_instant(delivered_at)
        day = words.day(at, weekday=True, year_of=now)
        return words.say("customer.delivered", day=day, at=words.clock(at)), "", "good"
    parcels = under_way(order.shipments)
    troubles = [p.status for p in parcels if p.status in TROUBLES]
    promised_at = parse_instant(order.promised_at) if order.promised_at else None
    is_late = promised_at is not None and promised_at < now
    detail = ""
    if promise:
        key = "customer.promised.late" if is_late else "customer.promised"
        detail = words.say(key, day=promise)
    if troubles:
        return words.say(f"customer.is.{troubles[0]}"), detail, "late"
    if is_late:
        return words.say("customer.late"), detail, "late"
    waiting = [p for p in parcels if p.status == WAITING]
    if waiting:
        return words.say("customer.pickup"), "", "good"
    stage = progress.stage(order.status, order.shipments)
    return words.say(f"customer.stage.{min(stage, LAST - 1)}"), detail, "normal"


def day_of(words: Words, instant: str | None, now: int) -> str:
    """A promised day with its weekday."""
    moment = moment_of(instant or "")
    if instant is None or moment is None:
        return ""
    day = promised_day(instant)
    at = parse_instant(instant) if day == instant else words.noon(day)
    return words.day(at, weekday=True, year_of=now)


def steps(words: Words, progress: Progress, order: OrderDocument) -> list[Step]:
    """The five stages with the time each was reached."""
    is_over = order.status in ENDS
    present = LAST if is_over else progress.stage(order.status, order.shipments)
    is_done = progress.stages.get(order.status or "", 0) == LAST
    found: list[Step] = []
    for number in range(LAST + 1):
        reached = [
            at for code, at in order.milestones.items() if progress.stages.get(code) == number
        ]
        is_reached = bool(reached) and number <= present
        state: Literal["reached", "present", "ahead"] = "ahead"
        if number < present or (number == present and is_done):
            state = "reached"
        elif number == present:
            state = "present"
        label = words.say(f"stage.{number}")
        if number == LAST and is_over:
            label = words.status(order.status)
        at = words.day(parse_instant(min(reached))) if is_reached else ""
        found.append(Step(label, at, state))
    return found


def parcel_view(
    words: Words,
    parcel: ShipmentView,
    timeline: Sequence[AcceptedEvent],
    now: int,
    *,
    places: bool,
) -> ParcelView:
    """A parcel with its events."""
    own = [event for event in timeline if event.shipment == parcel.shipment]
    return ParcelView(
        number=parcel.shipment,
        carrier=parcel.carrier or "",
        status=plain(words, parcel.status or ""),
        is_there=parcel.status == DELIVERED,
        days=by_day(words, own, now, places=places),
    )


def by_day(words: Words, timeline: Sequence[AcceptedEvent], now: int, *, places: bool) -> list[Day]:
    """Events by day, newest first."""
    found: list[Day] = []
    for event in sorted(timeline, key=lambda each: each.at, reverse=True):
        at = parse_instant(event.at)
        label = words.day(at, weekday=True, year_of=now)
        if not found or found[-1].label != label:
            found.append(Day(label, []))
        place = location_of(event) if places else None
        name = (place.name or "") if place else ""
        found[-1].events.append(Event(words.clock(at), plain(words, event.status), name))
    return found


def plain(words: Words, status: str) -> str:
    """A status in plain words."""
    key = f"plain.{status}"
    return words.say(key) if words.has(key) else words.status(status or None)
