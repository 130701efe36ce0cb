"""View model of the alerts: those that are open, by severity and age, in tabs."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from gateway.api.alerts_bulk import BulkAnswer
from gateway.board.handling import Desk, Handling
from gateway.board.links import Choice, changed, choices_of, order_href
from gateway.board.reasons import reason
from gateway.board.wording import Words
from gateway.live.view import Row
from schemas.card import Card
from schemas.instants import parse_instant
from schemas.order import OpenAlert

TABS = ("unowned", "mine", "acked", "snoozed", "all")
FILTERS = ("severity", "rule", "carrier")
PAGE = 50


class AlertsQuery(NamedTuple):
    """Tab, filters, sequence and page, all from the address; "" is the first, any, the worst."""

    tab: str = ""
    severity: str = ""
    rule: str = ""
    carrier: str = ""
    sort: str = ""  # newest, oldest; the worst first without it
    page: int = 1

    def href(self, **values: object) -> str:
        """Address of the page with some of it changed."""
        return changed("/alerts", self._asdict(), **values)

    def is_meant(self, row: Row) -> bool:
        """Return True for an alert that all filters let through."""
        return (
            self.severity in {"", row.alert.severity}
            and self.rule in {"", row.alert.rule}
            and self.carrier in {"", row.card.carrier}
        )


class Tab(NamedTuple):
    """A tab with the number of its alerts."""

    name: str
    alerts: int
    href: str
    is_open: bool


class Filter(NamedTuple):
    """A filter over the alerts."""

    name: str
    value: str
    choices: list[Choice]


class AlertRow(NamedTuple):
    """An alert in words."""

    handling: Handling
    version: int
    order_id: str
    href: str
    severity: str
    rule: str
    reason: str
    status: str
    place: str
    carrier: str
    since: str
    age: str


class StormRow(NamedTuple):
    """An alert of a storm, with what became of it."""

    order_id: str
    href: str
    answer: str


class StormPage(NamedTuple):
    """The alerts of a storm after its acknowledgement: `changed` ones, and `others`."""

    changed: int
    others: int
    rows: list[StormRow]


class AlertsPage(NamedTuple):
    """The alerts."""

    query: AlertsQuery
    tabs: list[Tab]
    filters: list[Filter]
    rows: list[AlertRow]
    earlier: str
    later: str


Handled = tuple[Row, Handling]


def alerts_page(
    words: Words, desk: Desk, query: AlertsQuery, rows: Sequence[Row], now: int
) -> AlertsPage:
    """The page of these open alerts at `now` (ms of the stream)."""
    handled = [(row, desk.handling(row.alert)) for row in rows if query.is_meant(row)]
    chosen = query.tab or TABS[0]
    tabs = {name: [each for each in handled if is_in(name, each[1], desk.me)] for name in TABS}
    found = sequence(query, chosen, tabs[chosen])
    first = (query.page - 1) * PAGE
    has_more = len(found) > first + PAGE
    return AlertsPage(
        query=query,
        tabs=[
            Tab(n, len(tabs[n]), query.href(tab=n if n != TABS[0] else ""), n == chosen)
            for n in TABS
        ],
        filters=[filter_of(words, query, name, rows) for name in FILTERS],
        rows=[
            alert_row(words, row, handling, now) for row, handling in found[first : first + PAGE]
        ],
        earlier=query.href(page=query.page - 1) if query.page > 1 else "",
        later=query.href(page=query.page + 1) if has_more else "",
    )


def storm_page(words: Words, desk: Desk, cards: Sequence[Card], answer: BulkAnswer) -> StormPage:
    """The answer for each alert of a storm; its `cards` were read before the acknowledgement."""
    ended = set(answer.unknown)

    def answered(alert: OpenAlert) -> str:
        return words.say("storm.ended") if alert.alert_id in ended else desk.handling(alert).text

    rows = [
        StormRow(
            order_id=card.order_id,
            href=order_href(card.tenant, card.order_id),
            answer=answered(card.alerts[0]),
        )
        for card in cards
    ]
    return StormPage(answer.changed, len(rows) - answer.changed, rows)


def is_in(tab: str, handling: Handling, me: str) -> bool:
    """Return True for an alert of a tab."""
    if tab == "unowned":
        return handling.state == "open" and not handling.owner
    if tab == "mine":
        return bool(me) and handling.owner == me
    return tab in {"all", handling.state}


def sequence(query: AlertsQuery, tab: str, found: list[Handled]) -> list[Handled]:
    """The alerts in sequence.

    Overdue ones first, of each severity the oldest; acknowledged ones by when they were, snoozed
    ones by when they come back.
    """
    if query.sort:
        is_newest = query.sort == "newest"
        return sorted(found, key=lambda each: each[0].since_at, reverse=is_newest)
    if tab in {"acked", "snoozed"}:
        return sorted(found, key=lambda each: each[1].at)
    return sorted(found, key=lambda each: (each[0].alert.severity, each[0].since_at))


def alert_row(words: Words, row: Row, handling: Handling, now: int) -> AlertRow:
    """An alert in words."""
    card, alert = row.card, row.alert
    since = parse_instant(alert.since_at)
    return AlertRow(
        handling=handling,
        version=card.version,
        order_id=card.order_id,
        href=order_href(card.tenant, card.order_id),
        severity=alert.severity,
        rule=words.rule(alert.rule),
        reason=reason(words, card, alert, now),
        status=words.status(card.status),
        place=card.town or card.supplier_id or "",
        carrier=card.carrier or "",
        since=words.stamp(since, now),
        age=words.span(now - since),
    )


def filter_of(words: Words, query: AlertsQuery, name: str, rows: Sequence[Row]) -> Filter:
    """A filter: its values by the number of alerts, and the one chosen."""
    counts = Counter[str](value_of(row, name) for row in rows)
    value = getattr(query, name)
    return Filter(name, value, choices_of(words, counts, value, partial(label, words, name)))


def value_of(row: Row, name: str) -> str:
    """The value that a filter compares; "" for none."""
    values = {
        "severity": row.alert.severity,
        "rule": row.alert.rule,
        "carrier": row.card.carrier or "",
    }
    return values[name]


def label(words: Words, name: str, value: str) -> str:
    """A value of a filter in words."""
    if name == "severity":
        return words.say(f"lane.{value}")
    return words.rule(value) if name == "rule" else value
