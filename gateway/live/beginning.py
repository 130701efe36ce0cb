"""Beginning of a live view from the warm tier, where the broker has dropped the older changes.

The tier keeps the last document of every order, of retired ones too. An order is taken for live by
the rule of its retirement (docs/semantics.md), with the time of its latest event for its arrival:
which is no later, so none that has retired is shown. One whose latest event was reported late may
be missing from the normal lane, until it changes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from broker.connect import Connection
from dataflows.core.lifecycle import Lifecycle
from gateway.tier_readers import TierReaders
from schemas.errors import Busy, OrdertideError
from schemas.instants import DAY_MS, parse_instant
from schemas.order import OrderDocument
from schemas.search import MOST_ORDERS, OrderQuery
from storage_tiering.tier import Search

LOGGER = logging.getLogger("ordertide.gateway")
EMBRYO_RETIRES_AFTER_MS = 30 * DAY_MS


def first_orders(
    connection: Connection, readers: TierReaders, table: Lifecycle
) -> Callable[[], Iterable[OrderDocument]]:
    """The orders that a live view begins with: none where the topic holds all that are live."""
    if not connection.embedded:
        return tuple
    retire_after_ms = dict(zip(table.index, table.retire_after_ms, strict=True))
    return lambda: warm_orders(readers, retire_after_ms)


def warm_orders(
    readers: TierReaders, retire_after_ms: Mapping[str, int]
) -> Iterator[OrderDocument]:
    """The live orders of the hottest tier that can search; none while there is no such tier.

    `retire_after_ms` is by status, 0 for one in which orders stay. A tier that can't be read for
    good is logged, and the view begins without the rest of it.

    Raises:
        Busy: temporarily unavailable; retry.
    """
    try:
        with readers.taken() as tiers:
            for tier in tiers:
                if isinstance(tier, Search):
                    yield from live_orders(tier, retire_after_ms)
                    return
    except Busy:
        raise
    except OrdertideError as error:
        LOGGER.warning("live view: begins without all orders of the warm tier: %s", error)


def live_orders(tier: Search, retire_after_ms: Mapping[str, int]) -> Iterator[OrderDocument]:
    """The orders of a tier that are live at its watermark, or else at its latest change."""
    page = tier.search(OrderQuery(), limit=MOST_ORDERS)
    now = page.watermark or max((changed_at(order) for order in page.orders), default=0)
    while True:
        yield from (order for order in page.orders if is_live(order, retire_after_ms, now))
        if page.after is None:
            return
        page = tier.search(OrderQuery(), limit=MOST_ORDERS, after=page.after)


def is_live(order: OrderDocument, retire_after_ms: Mapping[str, int], now: int) -> bool:
    """Return True for an order that has not retired at `now` (ms of stream time)."""
    after_ms = EMBRYO_RETIRES_AFTER_MS
    if order.status is not None:
        after_ms = retire_after_ms.get(order.status, 0)
    return bool(order.open_alerts) or not after_ms or now < changed_at(order) + after_ms


def changed_at(order: OrderDocument) -> int:
    """Time of the latest event, in ms."""
    return parse_instant(order.updated_at) if order.updated_at else 0
