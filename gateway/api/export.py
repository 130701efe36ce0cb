"""Export: all orders of a search as a stream of NDJSON or CSV.

The one that changed longest ago comes first, so that an order that changes meanwhile comes again at
the end, and none is left out. The first page is read before anything is sent: a tier that gives no
answer is a 503. One that falls silent later is asked again; if it stays so, the connection breaks,
as half an export must not look like a whole one.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal

import msgspec

from gateway.api.lanes import CardView, document_view
from gateway.api.search import OrdersAsked, check_may_ask, query_of, silent
from gateway.route import Call, Streamed
from schemas.errors import Busy
from schemas.order import OrderDocument
from schemas.search import OrderQuery, Page

MOST_ROWS = 1_000_000
PAGE = 1_000
TRIES = 5
NDJSON, CSV = "application/x-ndjson", "text/csv; charset=utf-8"
MEDIA_TYPES = "application/x-ndjson, text/csv"
LINE = msgspec.json.Encoder()
BOM = "\ufeff"  # spreadsheets take a file for UTF-8 by it alone
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is executed (OWASP)
COLUMNS = (
    *("tenant", "order_id", "version", "status", "stage", "lane", "carrier", "supplier_id"),
    *("customer_id", "created_at", "promised_at", "updated_at", "due_at", "rules", "shipments"),
)

Write = Callable[[list[OrderDocument]], bytes]


class ExportAsked(OrdersAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions, all of which hold; `sort` has no meaning here but `silent`."""

    sort: Literal["silent"] = "silent"
    format: Literal["ndjson", "csv"] = "ndjson"


class ExportedOrder(CardView, frozen=True, kw_only=True):
    """A line of an export."""

    created_at: str | None
    customer_id: str | None


async def export(call: Call) -> Streamed:
    """Orders of a search as a stream, NDJSON or CSV; 1,000,000 at most, the oldest change first."""
    asked = call.asked
    check_may_ask(call.caller, asked)
    now = call.gateway.follower.watermark or call.gateway.now_ms()
    query = call.caller.narrowed(silent(query_of(call), asked.silent_for, now))
    pages = pages_of(call, query)
    first: list[OrderDocument] = await anext(pages, [])
    is_csv = asked.format == "csv"
    write = csv_writer(call) if is_csv else ndjson_writer(call)
    named = f'attachment; filename="orders.{asked.format}"'
    return Streamed(
        lines(first, pages, write),
        headers={"content-disposition": named},
        media_type=CSV if is_csv else NDJSON,
    )


async def lines(
    first: list[OrderDocument], pages: AsyncIterator[list[OrderDocument]], write: Write
) -> AsyncIterator[bytes]:
    """The bytes of an export, a page at a time."""
    yield write(first)
    async for page in pages:
        yield write(page)


async def pages_of(call: Call, query: OrderQuery | None) -> AsyncIterator[list[OrderDocument]]:
    """The orders that the caller sees, at most `MOST_ROWS`; `query` None asks for none.

    Raises:
        Busy: the tier gives no answer.
    """
    after: list[Any] | None = None
    left = MOST_ROWS
    while query is not None and left:
        page = await page_of(call, query, after, tries=1 if after is None else TRIES)
        seen = [order for order in page.orders if call.caller.sees(order)][:left]
        left -= len(seen)
        yield seen
        after = page.after
        if after is None:
            return


async def page_of(call: Call, query: OrderQuery, after: list[Any] | None, tries: int) -> Page:
    """A page, asked for again while the tier is busy.

    Raises:
        Busy: it stays so.
    """
    for tried in range(1, tries + 1):
        try:
            return await call.gateway.tiers.search(
                lambda tier: tier.search(query, limit=PAGE, after=after)
            )
        except Busy as busy:
            if tried == tries:
                raise
            await asyncio.sleep(busy.retry_after_s)
    raise AssertionError(tries)


def exported(call: Call, order: OrderDocument) -> ExportedOrder:
    """An order as a line has it."""
    card = msgspec.structs.asdict(document_view(call, order))
    return ExportedOrder(**card, created_at=order.created_at, customer_id=order.customer_id)


def ndjson_writer(call: Call) -> Write:
    """Writes orders as JSON, one a line."""
    return lambda orders: LINE.encode_lines([exported(call, order) for order in orders])


def csv_writer(call: Call) -> Write:
    """Writes orders as CSV (RFC 4180), the names of the columns first."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    text.write(BOM)
    rows.writerow(COLUMNS)

    def write(orders: list[OrderDocument]) -> bytes:
        rows.writerows(cells(exported(call, order)) for order in orders)
        written = text.getvalue().encode()
        text.seek(0)
        text.truncate()
        return written

    return write


def cells(order: ExportedOrder) -> Iterable[str]:
    """The cells of a row; none is a formula."""
    fields = msgspec.structs.asdict(order)
    fields["rules"] = " ".join(alert.rule for alert in order.alerts)
    fields["shipments"] = " ".join(parcel.shipment for parcel in order.shipments)
    for name in COLUMNS:
        yield harmless("" if fields[name] is None else str(fields[name]))


def harmless(text: str) -> str:
    """A cell that spreadsheets take for text."""
    return f"'{text}" if text.startswith(FORMULA) else text
