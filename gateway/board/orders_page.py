"""View model of the list of orders, by any number or filter."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.board.cards import LANES
from gateway.board.links import order_href
from gateway.board.progress import Progress
from gateway.board.wording import Words
from schemas.instants import parse_instant
from schemas.order import Lane, OrderDocument
from schemas.search import is_meant, search_form


class Asked(Protocol):
    """Filters of the list."""

    @property
    def q(self) -> str: ...
    @property
    def lane(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def carrier(self) -> str: ...
    @property
    def supplier(self) -> str: ...


class OrderRow(NamedTuple):
    """A row; `matched` is the number that was found, where it isn't the order's id."""

    order_id: str
    href: str
    lane: Lane
    status: str
    stage: int
    is_over: bool
    matched: str
    promised: str
    is_late: bool
    updated: str
    silent: str
    carrier: str
    supplier: str
    town: str


class OrdersPage(NamedTuple):
    """The list."""

    asked: Asked
    rows: list[OrderRow]
    lanes: Sequence[tuple[str, str]]  # value and label
    statuses: Sequence[tuple[str, str]]


def orders_page(
    words: Words, progress: Progress, asked: Asked, orders: Sequence[OrderDocument], now: int
) -> OrdersPage:
    """The list of these orders at `now` (ms of the stream)."""
    rows = [order_row(words, progress, each, asked.q, now) for each in orders]
    codes = [code for code in progress.table.codes if code in progress.of_order]
    lanes = [(lane, words.say(f"lane.{lane}")) for lane in LANES]
    return OrdersPage(asked, rows, lanes, [(code, words.status(code)) for code in codes])


def order_row(
    words: Words, progress: Progress, order: OrderDocument, number: str, now: int
) -> OrderRow:
    """A row of the list."""
    updated_at = parse_instant(order.updated_at) if order.updated_at else None
    promised_at = parse_instant(order.promised_at) if order.promised_at else None
    is_over = progress.ends_well(order.status)
    return OrderRow(
        order_id=order.order_id,
        href=order_href(order.tenant, order.order_id),
        lane=order.lane,
        status=words.status(order.status),
        stage=progress.stage(order.status, order.shipments),
        is_over=is_over,
        matched=matched(order, number),
        promised=words.promise(order.promised_at, now),
        is_late=not is_over and promised_at is not None and promised_at < now,
        updated=words.stamp(updated_at, now) if updated_at else "",
        silent=words.span(now - updated_at) if updated_at and not is_over and now else "",
        carrier=order.carrier or "",
        supplier=order.supplier_id or "",
        town=(order.destination.town or "") if order.destination else "",
    )


def matched(order: OrderDocument, number: str) -> str:
    """The parcel's number or reference by which an order was found; "" for its own id."""
    form = search_form(number)
    if not form or is_meant(form, search_form(order.order_id)):
        return ""
    parcels = [parcel.shipment for parcel in order.shipments]
    references = [each for numbers in order.references.values() for each in numbers]
    return next((each for each in parcels + references if is_meant(form, search_form(each))), "")
