"""View model of the board: figures, and three lanes with their cards.

Figures are those of the live view; what opened when is read from the alerts themselves, so a line
never shows what nobody counted.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from statistics import median_low
from typing import NamedTuple

from gateway.board.cards import (
    LANES,
    CardView,
    FoldView,
    Old,
    Storm,
    card_place,
    card_view,
    fold_view,
    folded,
    is_old,
    old_at,
)
from gateway.board.handling import Desk
from gateway.board.links import Choice, changed, choices_of, order_href
from gateway.board.progress import Progress
from gateway.board.wording import Words
from gateway.live.view import ATTENTION, Facets, LiveView
from schemas.card import Card
from schemas.instants import HOUR_MS, format_instant, parse_instant
from schemas.order import Lane, OrderDocument

PAGE = 50
HOURS = 24
MOVEMENTS = 40
MOST = 1_000_000
SHARES_SHOWN = 4
FILTERS = ("carrier", "supplier", "status", "rule", "place", "old")


class BoardQuery(NamedTuple):
    """Filters and place in the lanes, all from the address; "" is any."""

    carrier: str = ""
    supplier: str = ""
    status: str = ""
    rule: str = ""
    place: str = ""
    old: str = ""  # 1: without an event for 30 days
    lane: str = ""  # the one that a narrow screen shows
    page: int = 1  # of that lane

    def href(self, **values: object) -> str:
        """Address of the board with some of it changed."""
        return changed("/", self._asdict(), **values)

    def is_meant(self, card: Card) -> bool:
        """Return True for a card that all filters let through."""
        return (
            self.carrier in {"", card.carrier}
            and self.supplier in {"", card.supplier_id}
            and self.status in {"", card.status}
            and (not self.rule or any(alert.rule == self.rule for alert in card.alerts))
            and self.place in {"", card_place(card)}
        )

    def counts(self, facets: Facets) -> bool:
        """Return True for orders that the filters on facets let through."""
        return (
            self.carrier in {"", facets.carrier}
            and self.supplier in {"", facets.supplier_id}
            and self.status in {"", facets.status}
        )

    @property
    def is_on_alerts(self) -> bool:
        """Return True if orders without an alert can't be meant."""
        return bool(self.rule or self.place or self.old)


class Figure(NamedTuple):
    """A figure of the strip. `bars`: (x, height) of 24 hours; `lane` gives its colour."""

    key: str
    value: str
    unit: str
    note: str
    bars: list[tuple[int, float]]
    lane: str


class Share(NamedTuple):
    """A status' share of a lane: place and width in percent."""

    code: str
    label: str
    orders: int
    at: float
    width: float
    number: int
    href: str


class Movement(NamedTuple):
    """An order in time that moved lately."""

    at: str
    order_id: str
    href: str
    status: str
    place: str


class LaneView(NamedTuple):
    """A lane. `next_at` (ms) is when its first order becomes overdue; None without one."""

    lane: Lane
    orders: int
    opened: int
    next_at: int | None
    next_due: str
    next_order: str
    shares: list[Share]
    items: list[CardView | FoldView]
    movements: list[Movement]
    earlier: str
    later: str


class Filter(NamedTuple):
    """A filter over the lanes; `chosen` is its value in words, `without` the address without it."""

    name: str
    label: str
    value: str
    choices: list[Choice]
    chosen: str
    without: str


class BoardPage(NamedTuple):
    """The board."""

    query: BoardQuery
    figures: list[Figure]
    filters: list[Filter]
    lanes: list[LaneView]
    is_filtered: bool
    has_orders: bool  # of any lane
    late: int


class Board:
    """Board of one tenant at one moment, `now` in ms of the stream's clock."""

    def __init__(
        self,
        words: Words,
        progress: Progress,
        view: LiveView,
        tenant: str,
        query: BoardQuery,
        now: int,
        desk: Desk,
    ) -> None:
        """Read what is shown from the view, which must stand still meanwhile."""
        self.words = words
        self.progress = progress
        self.query = query
        self.tenant = tenant
        self.now = now
        self.desk = desk
        self.facets = [(f, n) for f, n in view.counts.items() if f.tenant == tenant]
        self.old_before = old_at(now)
        self.cards: dict[Lane, list[Card]] = {
            lane: view.page(lane, self._is_meant, limit=MOST) for lane in ATTENTION
        }
        self.opened = {lane: self.opened_by_hour(lane) for lane in ATTENTION}

    def _is_meant(self, card: Card) -> bool:
        if card.tenant != self.tenant or not self.query.is_meant(card):
            return False
        return not self.query.old or is_old(card, self.old_before)

    def page(self, moved: Sequence[OrderDocument]) -> BoardPage:
        """The board; `moved` are orders in time, the one that changed last at the head."""
        return BoardPage(
            query=self.query,
            figures=self.figures(),
            filters=self.filters(),
            lanes=[self.lane(lane, moved) for lane in LANES],
            is_filtered=any(getattr(self.query, name) for name in FILTERS),
            has_orders=any(self.count(lane) for lane in LANES),
            late=self.count("overdue"),
        )

    def count(self, lane: Lane) -> int:
        """Orders of a lane that the filters let through."""
        if lane in self.cards:
            return len(self.cards[lane])
        return sum(self.by_status(lane).values())

    def by_status(self, lane: Lane) -> Counter[str]:
        """Orders of a lane by status."""
        if lane in self.cards:
            return Counter(card.status or "" for card in self.cards[lane])
        if self.query.is_on_alerts:
            return Counter()
        found = Counter[str]()
        for facets, count in self.facets:
            if facets.lane == lane and self.query.counts(facets):
                found[facets.status] += count
        return found

    # ------------------------------------------------------------ the strip
    def figures(self) -> list[Figure]:
        """Figures over the lanes."""
        counts = {lane: self.count(lane) for lane in LANES}
        total = sum(counts.values())
        opened = self.opened
        both = [sum(pair) for pair in zip(*opened.values(), strict=True)]
        silence = self.silence()
        in_time = f"{100 * counts['normal'] / total:.1f}" if total else "–"
        quiet = "–" if silence is None else self.words.span(silence)
        number = self.words.number
        say = self.words.say
        return [
            Figure("live", number(total), "", say("kpi.live.note"), [], "live"),
            Figure("in_time", in_time, "%" if total else "", say("kpi.in_time.note"), [], "normal"),
            *(
                Figure(
                    lane,
                    number(counts[lane]),
                    "",
                    say("kpi.opened.note", n=sum(opened[lane])),
                    bars(opened[lane]),
                    lane,
                )
                for lane in reversed(ATTENTION)
            ),
            Figure("opened", number(both[-1]), "", say("kpi.hour.note"), bars(both), "live"),
            Figure("silence", quiet, "", say("kpi.silence.note"), [], "live"),
        ]

    def opened_by_hour(self, lane: Lane) -> list[int]:
        """Orders that came into a lane in each of the last 24 hours and are there still."""
        hours = [0] * HOURS
        first = format_instant(max(self.now - HOURS * HOUR_MS, 0))
        for card in self.cards[lane]:
            if card.alerts[0].since_at < first:
                continue
            ago = (self.now - parse_instant(card.alerts[0].since_at)) // HOUR_MS
            if 0 <= ago < HOURS:
                hours[HOURS - 1 - ago] += 1
        return hours

    def silence(self) -> int | None:
        """Median time in ms since the last event of orders that need attention; not of old ones."""
        attention = (card.updated_at for lane in ATTENTION for card in self.cards[lane])
        times = [at for at in attention if at is not None and at >= self.old_before]
        return self.now - parse_instant(median_low(times)) if times else None

    # ------------------------------------------------------------ the lanes
    def lane(self, lane: Lane, moved: Sequence[OrderDocument]) -> LaneView:
        """A lane with the page of its cards that the address names."""
        cards = self.cards.get(lane, [])
        is_opened = self.query.place or self.query.old
        items: Sequence[Card | Storm | Old] = cards
        if not is_opened:
            items = folded(cards, self.old_before)
        page = self.query.page if self.query.lane == lane else 1
        first = (page - 1) * PAGE
        coming = self.next_due(lane)
        return LaneView(
            lane=lane,
            orders=self.count(lane),
            opened=self.opened[lane][-1] if cards else 0,
            next_at=coming[0] if coming else None,
            next_due=self.words.span(coming[0] - self.now) if coming else "",
            next_order=coming[1] if coming else "",
            shares=self.shares(lane),
            items=[self.item(item) for item in items[first : first + PAGE]],
            movements=[self.movement(order) for order in moved] if lane == "normal" else [],
            earlier=self.query.href(lane=lane, page=page - 1) if page > 1 else "",
            later=self.query.href(lane=lane, page=page + 1) if items[first + PAGE :] else "",
        )

    def item(self, item: Card | Storm | Old) -> CardView | FoldView:
        """A card or a fold in words."""
        if isinstance(item, Storm | Old):
            return fold_view(self.words, item, self.now, self.desk)
        handling = self.desk.handling(item.alerts[0])
        return card_view(self.words, self.progress, item, self.now, handling)

    def next_due(self, lane: Lane) -> tuple[int, str] | None:
        """(instant, order id) of the next order of the lane to become overdue."""
        cards = self.cards.get(lane, [])  # sorted by when they are due
        place = bisect_right(cards, format_instant(self.now), key=lambda card: card.due_at)
        if place == len(cards):
            return None
        return parse_instant(cards[place].due_at), cards[place].order_id

    def shares(self, lane: Lane) -> list[Share]:
        """The lane by status: the most frequent ones, each a filter."""
        counts = self.by_status(lane)
        total = sum(counts.values())
        found: list[Share] = []
        at = 0.0
        for number, (code, count) in enumerate(counts.most_common(SHARES_SHOWN)):
            width = 100 * count / total
            href = self.query.href(status="" if self.query.status == code else code, lane=lane)
            label = self.words.status(code)
            found.append(Share(code, label, count, round(at, 2), round(width, 2), number, href))
            at += width
        return found

    def movement(self, order: OrderDocument) -> Movement:
        """An order in time that moved."""
        places = [p.location.name for p in order.shipments if p.location and p.location.name]
        return Movement(
            at=self.words.clock(parse_instant(order.updated_at)) if order.updated_at else "",
            order_id=order.order_id,
            href=order_href(order.tenant, order.order_id),
            status=self.words.status(order.status),
            place=places[-1] if places else "",
        )

    # ------------------------------------------------------------ the filters
    def filters(self) -> list[Filter]:
        """The filters with their values."""
        counted: dict[str, Counter[str]] = {name: Counter() for name in FILTERS}
        for facets, count in self.facets:
            counted["carrier"][facets.carrier] += count
            counted["supplier"][facets.supplier_id] += count
            counted["status"][facets.status] += count
        for cards in self.cards.values():
            for card in cards:
                counted["rule"].update({alert.rule for alert in card.alerts})
                counted["place"][card_place(card)] += 1
                counted["old"]["1"] += is_old(card, self.old_before)
        return [self.filter(name, counts) for name, counts in counted.items()]

    def filter(self, name: str, counts: Counter[str]) -> Filter:
        """A filter: its values by the number of orders, and the one chosen."""
        value = getattr(self.query, name)
        return Filter(
            name=name,
            label=self.words.say(f"filter.{name}"),
            value=value,
            choices=choices_of(self.words, counts, value, partial(self.label, name)),
            chosen=self.label(name, value) if value else "",
            without=self.query.href(**{name: ""}),
        )

    def label(self, name: str, value: str) -> str:
        """A value of a filter in words."""
        if name == "status":
            return self.words.status(value)
        if name == "old":
            return self.words.say("filter.old.days")
        return self.words.rule(value) if name == "rule" else value


def bars(hours: Iterable[int]) -> list[tuple[int, float]]:
    """(x, height of 20) of a bar an hour; none where nothing happened at all."""
    counts = list(hours)
    most = max(counts, default=0)
    if not most:
        return []
    return [(n * 4, round(max(20 * count / most, 1.0), 1)) for n, count in enumerate(counts)]
