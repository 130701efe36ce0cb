"""The live view: counts of all live orders, and a card for each that needs attention. Pure.

A shop has a hundred orders in time for each that is late. So only those with an open alert are kept
as cards, sorted by when they are due; of the others there is one number, which holds the version
and the facets (tenant, lane, status, carrier, supplier). All facets are counted together: a count
by any of them is a sum over the combinations that occur.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from schemas.card import Card, card_of
from schemas.order import Lane, OpenAlert, OrderDocument

ATTENTION: tuple[Lane, ...] = ("overdue", "warning")
FACET_BITS = 24  # numbers of combinations; versions have 53 bits


class Facets(NamedTuple):
    """Facets that orders are counted by."""

    tenant: str
    lane: Lane
    status: str  # "" of an embryo
    carrier: str
    supplier_id: str


class Row(NamedTuple):
    """An open alert and the card of its order."""

    since_at: str
    alert: OpenAlert
    card: Card


class LiveView:
    """All live orders. Equal to a count over their latest documents, whatever changed in between.

    Not thread-safe: `Follower` feeds it and hands out what was read under one lock.
    """

    def __init__(self) -> None:
        """Create a view without orders."""
        self.counts = Counter[Facets]()
        self._orders: dict[str, int] = {}  # key → version and number of the facets
        self._numbers: dict[Facets, int] = {}
        self._facets: list[Facets] = []
        self._cards: dict[str, Card] = {}
        self._sorted: dict[Lane, list[tuple[str, str]]] = {lane: [] for lane in ATTENTION}

    def __len__(self) -> int:
        return len(self._orders)

    def apply(self, key: str, order: OrderDocument) -> bool:
        """Take a document; False if a newer one, or this one, is known."""
        held = self._orders.get(key)
        if held is not None and order.version <= held >> FACET_BITS:
            return False
        self.remove(key)
        facets = facets_of(order)
        number = self._numbers.setdefault(facets, len(self._facets))
        if number == len(self._facets):
            self._facets.append(facets)
        self._orders[key] = order.version << FACET_BITS | number
        self.counts[facets] += 1
        if order.lane in self._sorted:
            card = self._cards[key] = card_of(key, order)
            insort(self._sorted[card.lane], (card.due_at, key))
        return True

    def remove(self, key: str) -> None:
        """Forget an order: it is no longer live."""
        held = self._orders.pop(key, None)
        if held is None:
            return
        facets = self._facets[held & ((1 << FACET_BITS) - 1)]
        self.counts[facets] -= 1
        if not self.counts[facets]:
            del self.counts[facets]
        card = self._cards.pop(key, None)
        if card is not None:
            lane = self._sorted[card.lane]
            del lane[bisect_left(lane, (card.due_at, key))]

    def facets(self, key: str) -> Facets | None:
        """Facets of a live order; None if it isn't live."""
        held = self._orders.get(key)
        return None if held is None else self._facets[held & ((1 << FACET_BITS) - 1)]

    def card(self, key: str) -> Card | None:
        """The card of an order with an open alert; None for any other."""
        return self._cards.get(key)

    def count_by(self, facet: str) -> Counter[str]:
        """Number of live orders by one facet: `tenant`, `lane`, `status`, `carrier`, ..."""
        place = Facets._fields.index(facet)
        found = Counter[str]()
        for facets, count in self.counts.items():
            found[facets[place]] += count
        return found

    def page(
        self,
        lane: Lane,
        is_meant: Callable[[Card], bool] | None = None,
        *,
        skip: int = 0,
        limit: int = 100,
    ) -> list[Card]:
        """Cards of a lane, `warning` or `overdue`, the one that is due first at the head."""
        if is_meant is None:
            return [self._cards[key] for _, key in self._sorted[lane][skip : skip + limit]]
        cards = (self._cards[key] for _, key in self._sorted[lane])
        return list(islice(filter(is_meant, cards), skip, skip + limit))

    def newest(self, limit: int, is_meant: Callable[[Card], bool] | None = None) -> list[Row]:
        """The alerts that opened or escalated last, the newest first; one without a place last."""
        cards = self._cards.values() if is_meant is None else filter(is_meant, self._cards.values())
        rows = (Row(alert.since_at, alert, card) for card in cards for alert in card.alerts)
        return nlargest(limit, rows, key=lambda row: (row.since_at, row.alert.alert_id))


def facets_of(order: OrderDocument | Card) -> Facets:
    """Facets of an order, from its document or its card."""
    return Facets(
        order.tenant,
        order.lane,
        order.status or "",
        order.carrier or "",
        order.supplier_id or "",
    )
