"""Lanes: counts of the live orders by lane, stage and status, and a page of a lane's cards."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, get_args

import msgspec
from msgspec import Meta

from dataflows.core.lifecycle import Lifecycle
from gateway.access.caller import Caller
from gateway.live.view import ATTENTION, Facets, facets_of
from gateway.problems import Problem
from gateway.route import Call
from schemas.alert import Severity
from schemas.card import Card, card_of
from schemas.instants import format_instant
from schemas.order import Lane, OrderDocument, ShipmentView
from schemas.search import MOST_ORDERS, OrderQuery

LANES: tuple[Lane, ...] = get_args(Lane)
MOST_CARDS = 200


class AlertSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert of a card."""

    alert_id: str
    rule: str
    severity: Severity
    since_at: str
    due_at: str
    summary: str


class CardView(msgspec.Struct, frozen=True, kw_only=True):
    """An order in short. `due_at` is None in the normal lane."""

    tenant: str
    order_id: str
    version: int
    lane: Lane
    status: str | None
    stage: int | None
    carrier: str | None
    supplier_id: str | None
    promised_at: str | None
    updated_at: str | None
    due_at: str | None
    alerts: list[AlertSummary]
    shipments: list[ShipmentView]


class LaneCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a lane; `stages` are those of the lifecycle, 0 to 4, and `""` for no status yet."""

    orders: int
    stages: dict[str, int]
    statuses: dict[str, int]


class LanesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All lanes; `through` is the stream's time up to which they are counted.

    `behind_s` is how far that is behind the wall clock, None for recorded history.
    """

    through: str | None
    behind_s: float | None
    orders: int
    lanes: dict[Lane, LaneCounts]


class LaneQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cards of a lane: those with this carrier, supplier, status or rule."""

    carrier: str | None = None
    supplier: str | None = None
    status: str | None = None
    rule: str | None = None
    skip: Annotated[int, Meta(ge=0, le=MOST_ORDERS - MOST_CARDS - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_CARDS)] = 100


class LaneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a lane; `next` is the `skip` of the next one, None at the end."""

    through: str | None
    lane: Lane
    cards: list[CardView]
    next: int | None


async def lanes(call: Call) -> LanesAnswer:
    """Counts of all live orders by lane, stage and status."""
    gateway = call.gateway
    gateway.check_loaded()
    found = own_counts(call)
    total = sum(each.orders for each in found.values())
    return LanesAnswer(
        through=through_of(call), behind_s=gateway.behind_s, orders=total, lanes=found
    )


async def lane(call: Call) -> LaneAnswer:
    """Cards of a lane: in `warning` and `overdue` the one due first is first."""
    name, asked = lane_of(call), call.asked
    call.gateway.check_loaded()
    if name in ATTENTION:
        meant = filter_of(call.caller, asked)
        with call.gateway.follower.view() as view:
            found = view.page(name, meant, skip=asked.skip, limit=asked.limit + 1)
        cards = [card_view(call, card) for card in found]
    else:
        cards = [document_view(call, order) for order in await normal_orders(call)]
    has_more = len(cards) > asked.limit
    return LaneAnswer(
        through=through_of(call),
        lane=name,
        cards=cards[: asked.limit],
        next=asked.skip + asked.limit if has_more else None,
    )


async def normal_orders(call: Call) -> list[OrderDocument]:
    """Orders of the normal lane, from the tier that searches; the one that changed last first."""
    asked = call.asked
    if asked.rule:
        return []  # an order in the normal lane has no open alert
    query = OrderQuery(
        lane="normal", status=asked.status, carrier=asked.carrier, supplier_id=asked.supplier
    )
    narrowed = call.caller.narrowed(query)
    if narrowed is None:
        return []
    wanted = asked.skip + asked.limit + 1
    page = await call.gateway.tiers.search(lambda tier: tier.search(narrowed, limit=wanted))
    return page.orders[asked.skip :]


def lane_of(call: Call) -> Lane:
    """The lane in the path.

    Raises:
        Problem: `bad_field`, there is no such lane.
    """
    named = call.parameter("lane")
    for each in LANES:
        if each == named:
            return each
    raise Problem("bad_field", f"lane: {named!r} is none of {', '.join(LANES)}", field="lane")


def own_counts(call: Call) -> dict[Lane, LaneCounts]:
    """Counts of all lanes in the caller's scope."""
    with call.gateway.follower.view() as view:
        counted = [(facets, n) for facets, n in view.counts.items() if is_own(call.caller, facets)]
    return {lane: counts_of(lane, counted, call.gateway.lifecycle) for lane in LANES}


def counts_of(lane: Lane, counted: list[tuple[Facets, int]], table: Lifecycle) -> LaneCounts:
    """Counts of a lane by stage and status."""
    stages, statuses = Counter[str](), Counter[str]()
    for facets, count in counted:
        if facets.lane == lane:
            statuses[facets.status] += count
            stage = stage_of(facets.status, table)
            stages["" if stage is None else str(stage)] += count
    return LaneCounts(orders=statuses.total(), stages=dict(stages), statuses=dict(statuses))


def stage_of(status: str | None, table: Lifecycle) -> int | None:
    """The stage of a status, 0 to 4; None for none, and for one that the lifecycle lacks."""
    return table.rows[table.index[status]].stage if status in table.index else None


def is_own(caller: Caller, facets: Facets) -> bool:
    """Return True if orders of these facets are in the caller's scope."""
    if caller.tenant not in {None, facets.tenant}:
        return False
    own = {"supplier": facets.supplier_id, "carrier": facets.carrier}
    return caller.is_staff or (bool(caller.party) and own.get(caller.role) == caller.party)


class CardFilter(Protocol):
    """Fields by which cards are filtered; None is any."""

    @property
    def carrier(self) -> str | None: ...
    @property
    def supplier(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def rule(self) -> str | None: ...


def filter_of(caller: Caller, asked: CardFilter) -> Callable[[Card], bool] | None:
    """The filter of cards: the caller's scope and what is asked for; None where all are meant."""
    fields = {"carrier": asked.carrier, "supplier_id": asked.supplier, "status": asked.status}
    wanted = {name: value for name, value in fields.items() if value is not None}
    if caller.tenant is None and caller.is_staff and not wanted and asked.rule is None:
        return None

    def is_meant(card: Card) -> bool:
        return (
            is_own(caller, facets_of(card))
            and all(getattr(card, name) == value for name, value in wanted.items())
            and (asked.rule is None or any(alert.rule == asked.rule for alert in card.alerts))
        )

    return is_meant


def card_view(call: Call, card: Card) -> CardView:
    """A card as the caller may see it."""
    caller = call.caller
    wording = call.gateway.wording["en"]
    return CardView(
        tenant=card.tenant,
        order_id=card.order_id,
        version=card.version,
        lane=card.lane,
        status=card.status,
        stage=stage_of(card.status, call.gateway.lifecycle),
        carrier=card.carrier,
        supplier_id=card.supplier_id if caller.sees_rules else None,
        promised_at=card.promised_at,
        updated_at=card.updated_at,
        due_at=card.due_at or None,
        alerts=[
            AlertSummary(
                alert_id=alert.alert_id,
                rule=alert.rule,
                severity=alert.severity,
                since_at=alert.since_at,
                due_at=alert.because.due_at,
                summary=wording.summary(card, alert),
            )
            for alert in (card.alerts if caller.sees_rules else ())
        ],
        shipments=parcels_for(caller, card.shipments),
    )


def parcels_for(caller: Caller, parcels: Sequence[ShipmentView]) -> list[ShipmentView]:
    """The parcels that the caller may see: a carrier sees its own."""
    return [each for each in parcels if caller.role != "carrier" or each.carrier == caller.party]


def document_view(call: Call, order: OrderDocument) -> CardView:
    """The card of any order, from its document."""
    return card_view(call, card_of("", order))


def through_of(call: Call) -> str | None:
    """Stream time of the live view."""
    watermark = call.gateway.follower.watermark
    return None if watermark is None else format_instant(watermark)
