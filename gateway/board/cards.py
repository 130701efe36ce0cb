"""Cards of the board, and the folding of many alike into one.

A carrier's hub that falls silent makes hundreds of alerts within minutes. They are one trouble, a
storm: at least 20 alerts of one rule with the same carrier and place, within 15 minutes of each
other, fold to one card. So do at least 20 orders without an event for 30 days: they are old
trouble, and would stand before what can still be helped.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.board.handling import Desk, Handling
from gateway.board.links import address, order_href
from gateway.board.progress import Progress
from gateway.board.reasons import reason
from gateway.board.wording import Words
from schemas.alert_text import place_of
from schemas.card import Card
from schemas.instants import DAY_MS, MINUTE_MS, format_instant, parse_instant
from schemas.order import Lane

LANES: tuple[Lane, ...] = ("overdue", "warning", "normal")  # the worst first
STORM_ORDERS = 20
STORM_APART_MS = 15 * MINUTE_MS
OLD_ORDERS = 20
OLD_MS = 30 * DAY_MS


class CardView(NamedTuple):
    """A card in words; `parcels`: (arrived, all)."""

    key: str
    version: int
    order_id: str
    href: str
    place: str
    carrier: str
    status: str
    rule: str
    reason: str
    more_alerts: int
    stage: int
    parcels: tuple[int, int]
    due: str
    handling: Handling


class Storm(NamedTuple):
    """Orders of one trouble; `since` is the first alert's start (ms)."""

    rule: str
    carrier: str
    place: str
    since: int
    cards: tuple[Card, ...]


class StormAlerts(NamedTuple):
    """Name of a storm's alerts in a form: they opened from `since` to `until` (ms).

    `open` of them are neither acknowledged nor snoozed. One that opens later is never meant, as
    who sends the form hasn't seen it.
    """

    lane: Lane
    rule: str
    carrier: str
    place: str
    since: int
    until: int
    open: int

    def is_meant(self, card: Card) -> bool:
        """Return True for a card whose worst alert is one of them."""
        alert = card.alerts[0]
        return (alert.rule, card.carrier, card_place(card)) == (
            self.rule,
            self.carrier,
            self.place,
        ) and self.since <= parse_instant(alert.since_at) <= self.until


class Old(NamedTuple):
    """Orders without an event for 30 days."""

    cards: tuple[Card, ...]


class FoldView(NamedTuple):
    """Folded cards in words; the link opens them. `alerts` are those of a storm.

    `handled` tells how many of them are acknowledged or snoozed; "" for none.
    """

    key: str
    version: str
    kind: str
    title: str
    detail: str
    href: str
    alerts: StormAlerts | None = None
    handled: str = ""


def card_view(
    words: Words, progress: Progress, card: Card, now: int, handling: Handling
) -> CardView:
    """A card in words; `handling` is that of its worst alert."""
    worst = card.alerts[0]
    left = parse_instant(card.due_at) - now
    return CardView(
        key=card.key,
        version=card.version,
        order_id=card.order_id,
        href=order_href(card.tenant, card.order_id),
        place=card.town or card.supplier_id or "",
        carrier=card.carrier or "",
        status=words.status(card.status),
        rule=words.rule(worst.rule),
        reason=reason(words, card, worst, now),
        more_alerts=len(card.alerts) - 1,
        stage=progress.stage(card.status, card.shipments),
        parcels=progress.delivered(card.shipments),
        due=words.say("due.in" if left >= 0 else "due.ago", span=words.span(left)),
        handling=handling,
    )


def folded(cards: Sequence[Card], old_before: str) -> list[Card | Storm | Old]:
    """The cards; those of a storm, and those without an event since, as one each at the head."""
    folds: list[Storm | Old] = list(storms_in(cards))
    rest = without(cards, folds)
    old = [card for card in rest if is_old(card, old_before)]
    if len(old) >= OLD_ORDERS:
        folds.append(Old(tuple(old)))
        rest = without(rest, folds)
    return [*folds, *rest]


def without(cards: Sequence[Card], folds: Sequence[Storm | Old]) -> list[Card]:
    """The cards that are in none of the folds."""
    inside = {card.key for fold in folds for card in fold.cards}
    return [card for card in cards if card.key not in inside]


def is_old(card: Card, old_before: str) -> bool:
    """Return True for an order without an event since `old_before`, 30 days ago."""
    return card.updated_at is not None and card.updated_at < old_before


def old_at(now: int) -> str:
    """The instant 30 days ago, as documents write it: compared as text, unparsed."""
    return format_instant(max(now - OLD_MS, 0))


def storms_in(cards: Iterable[Card]) -> Iterable[Storm]:
    """The storms among cards, the largest first."""
    alike: dict[tuple[str, str, str], list[Card]] = defaultdict(list)
    for card in cards:
        if card.carrier:
            alike[card.alerts[0].rule, card.carrier, card_place(card)].append(card)
    found = [
        Storm(*key, since=run[0][0], cards=tuple(card for _, card in run))
        for key, same in alike.items()
        if len(same) >= STORM_ORDERS and key[2]
        for run in runs([(parse_instant(card.alerts[0].since_at), card) for card in same])
        if len(run) >= STORM_ORDERS
    ]
    return sorted(found, key=lambda storm: -len(storm.cards))


def runs(timed: list[tuple[int, Card]]) -> Iterable[list[tuple[int, Card]]]:
    """Alerts by time, parted where more than 15 minutes lie between two."""
    timed.sort(key=lambda pair: (pair[0], pair[1].key))
    run: list[tuple[int, Card]] = []
    for pair in timed:
        if run and pair[0] - run[-1][0] > STORM_APART_MS:
            yield run
            run = []
        run.append(pair)
    yield run


def card_place(card: Card) -> str:
    """The last place of the alert's parcel; of the first parcel for an alert of the order."""
    shipment = card.alerts[0].because.shipment
    places = [place_of(p) for p in card.shipments if shipment in {None, p.shipment}]
    return next(filter(None, places), "")


def fold_view(words: Words, fold: Storm | Old, now: int, desk: Desk) -> FoldView:
    """Folded cards in words."""
    orders, lane = len(fold.cards), fold.cards[0].lane
    if isinstance(fold, Old):
        newest = max(parse_instant(card.updated_at or "") for card in fold.cards)
        return FoldView(
            key="old",
            version=str(orders),
            kind="clock",
            title=words.say("old", n=words.number(orders)),
            detail=words.say("old.newest", at=words.stamp(newest, now)),
            href=address("/", lane=lane, old=1),
        )
    since = words.say("storm.since", at=words.stamp(fold.since, now))
    alerts = alerts_of(fold, desk)
    handled = words.number(orders - alerts.open)
    return FoldView(
        key=f"storm {fold.rule} {fold.carrier} {fold.place}",
        version=f"{orders}-{alerts.open}-{alerts.until}",
        kind="storm",
        title=words.say("storm", n=words.number(orders), rule=words.rule(fold.rule)),
        detail=f"{fold.carrier} · {fold.place} · {since}",
        href=address("/", lane=lane, rule=fold.rule, carrier=fold.carrier, place=fold.place),
        alerts=alerts,
        handled=words.say("storm.handled", n=handled) if alerts.open < orders else "",
    )


def alerts_of(storm: Storm, desk: Desk) -> StormAlerts:
    """The alerts of a storm."""
    worst = [card.alerts[0] for card in storm.cards]
    return StormAlerts(
        lane=storm.cards[0].lane,
        rule=storm.rule,
        carrier=storm.carrier,
        place=storm.place,
        since=storm.since,
        until=max(parse_instant(alert.since_at) for alert in worst),
        open=sum(desk.handling(alert).state == "open" for alert in worst),
    )
