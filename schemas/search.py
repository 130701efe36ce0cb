"""Search: which orders are asked for, and the form in which their numbers are compared."""

from typing import Any, Literal

import msgspec

from schemas.event import Scalar
from schemas.instants import parse_instant
from schemas.numbers import as_waybill
from schemas.order import Lane, OrderDocument

MOST_ORDERS = 10_000  # of a page: index.max_result_window of Elasticsearch
LEAST_PART = 4  # characters of a number that find it by its beginning or its end
LONGEST_VALUE = 1_024  # of an attribute that is searched by: ignore_above of Elasticsearch
MOST_INT = (1 << 63) - 1  # a long of Elasticsearch, an INTEGER of SQLite
NEVER_MS = (1 << 63) - 1  # place of an order that lacks the instant it is sorted by

# updated: the one that changed last first; silent: last; created: the newest first; due: the open
# alert that was due first, then the next running deadline.
Sort = Literal["updated", "silent", "created", "due"]
AttributeType = Literal["bool", "float", "int", "str"]


class Page(msgspec.Struct, frozen=True):
    """Orders found, in the sequence asked for; `after` begins the next page.

    None where this is the last one. `watermark` is the freshness of the answer: it includes
    everything in the stream up to this instant (ms); None where the tier can't vouch for that.
    """

    orders: list[OrderDocument]
    after: list[Any] | None = None
    watermark: int | None = None


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on orders, all of which hold; None is any.

    `number` is an order id, a waybill or a reference: whole, or its first or last four characters
    or more (`search_form`). `rule` is one of an open alert. Instants are in ms of stream time: the
    beginning of a range is inclusive, its end isn't. `attributes` are declared in the rules file,
    with values of the declared type.
    """

    tenant: str | None = None
    number: str | None = None
    status: str | None = None
    lane: Lane | None = None
    carrier: str | None = None
    supplier_id: str | None = None
    customer_id: str | None = None
    rule: str | None = None
    flag: str | None = None
    created_since: int | None = None
    created_until: int | None = None
    promised_since: int | None = None
    promised_until: int | None = None
    changed_since: int | None = None
    changed_until: int | None = None
    attributes: dict[str, Scalar] = {}
    sort: Sort = "updated"

    @property
    def form(self) -> str:
        """The search form of `number`; "" where none is asked for, or nothing is left of it."""
        return search_form(self.number or "")

    @property
    def ranges(self) -> dict[str, tuple[int | None, int | None]]:
        """(first, end) of `created`, `promised` and `changed`, without those that may be any."""
        named = {
            "created": (self.created_since, self.created_until),
            "promised": (self.promised_since, self.promised_until),
            "changed": (self.changed_since, self.changed_until),
        }
        return {name: range_ for name, range_ in named.items() if range_ != (None, None)}

    @property
    def fields(self) -> dict[str, str]:
        """Fields of a document that have to be equal, without those that may be any."""
        named = {
            "tenant": self.tenant,
            "status": self.status,
            "lane": self.lane,
            "carrier": self.carrier,
            "supplier_id": self.supplier_id,
            "customer_id": self.customer_id,
        }
        return {name: value for name, value in named.items() if value is not None}


def search_form(number: str) -> str:
    """The form in which numbers are searched: as waybills are compared, letters and digits only."""
    return "".join(filter(str.isalnum, as_waybill(number)))


def numbers_of(order: OrderDocument) -> set[str]:
    """Search forms of everything an order is known by: its id, references, parcels."""
    parcels = (parcel.shipment for parcel in order.shipments)
    references = (number for numbers in order.references.values() for number in numbers)
    return {search_form(number) for number in (order.order_id, *references, *parcels)} - {""}


def matches(query: OrderQuery, order: OrderDocument, changed_at: int) -> bool:
    """Return True if an order that changed last at `changed_at` (ms) is one of those asked for."""
    if any(getattr(order, name) != value for name, value in query.fields.items()):
        return False
    if query.rule is not None and all(each.rule != query.rule for each in order.open_alerts):
        return False
    if query.flag is not None and query.flag not in order.flags:
        return False
    if not all(has_value(order, *each) for each in query.attributes.items()):
        return False
    instants = {"changed": changed_at, "created": order.created_at, "promised": order.promised_at}
    if not all(is_within(span, instants[name]) for name, span in query.ranges.items()):
        return False
    return query.number is None or any(is_meant(query.form, form) for form in numbers_of(order))


def has_value(order: OrderDocument, name: str, value: Scalar) -> bool:
    """Return True if an attribute has a value; a number equals another of the same value."""
    held = order.attributes.get(name)
    return held == value and isinstance(held, bool) == isinstance(value, bool)


def is_within(span: tuple[int | None, int | None], at: int | str | None) -> bool:
    """Return True if an instant lies in a range; a missing one lies in none."""
    first, end = span
    if at is None:
        return False
    at_ms = parse_instant(at) if isinstance(at, str) else at
    return (first is None or first <= at_ms) and (end is None or at_ms < end)


def place_of(sort: Sort, order: OrderDocument, changed_at: int) -> tuple[int, ...]:
    """The place of an order in a sequence; equal ones are told apart by their keys."""
    if sort == "created":
        return (-parse_instant(order.created_at) if order.created_at else NEVER_MS,)
    if sort == "due":
        alerts = [each.because.due_at for each in order.open_alerts]
        deadlines = [each.due_at for each in order.deadlines]
        return earliest(alerts), earliest(deadlines)
    return (-changed_at if sort == "updated" else changed_at,)


def earliest(instants: list[str]) -> int:
    """The first of some instants."""
    return min(map(parse_instant, instants), default=NEVER_MS)


def is_meant(asked: str, form: str) -> bool:
    """Return True if a number is asked for, whole or by a long enough beginning or end."""
    if asked == form:
        return bool(asked)
    return len(asked) >= LEAST_PART and (form.startswith(asked) or form.endswith(asked))
