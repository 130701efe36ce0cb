"""Search: which orders are asked for, and the form in which their numbers are compared."""

from typing import Any

import msgspec

from schemas.numbers import as_waybill
from schemas.order import Lane, OrderDocument

MOST_ORDERS = 10_000  # of a page: index.max_result_window of Elasticsearch
LEAST_PART = 4  # characters of a number that find it by its beginning or its end


class Page(msgspec.Struct, frozen=True):
    """Orders found, the one that changed last at the head; `after` begins the next page.

    None where this is the last one. `watermark` is the freshness of the answer: it includes
    everything in the stream up to this instant (ms); None where the tier can't vouch for that.
    """

    orders: list[OrderDocument]
    after: list[Any] | None = None
    watermark: int | None = None


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on orders, all of which hold; None is any.

    `number` is an order id, a waybill or a reference: whole, or its first or last four characters
    or more (`search_form`). `changed_since` in ms of stream time, inclusive.
    """

    tenant: str | None = None
    number: str | None = None
    status: str | None = None
    lane: Lane | None = None
    carrier: str | None = None
    supplier_id: str | None = None
    customer_id: str | None = None
    changed_since: int | None = None

    @property
    def form(self) -> str:
        """The search form of `number`; "" where none is asked for, or nothing is left of it."""
        return search_form(self.number or "")

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
    if query.changed_since is not None and changed_at < query.changed_since:
        return False
    return query.number is None or any(is_meant(query.form, form) for form in numbers_of(order))


def is_meant(asked: str, form: str) -> bool:
    """Return True if a number is asked for, whole or by a long enough beginning or end."""
    if asked == form:
        return bool(asked)
    return len(asked) >= LEAST_PART and (form.startswith(asked) or form.endswith(asked))
