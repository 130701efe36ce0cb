"""Pages of the alerts: the list, and the forms that acknowledge, snooze, assign and comment.

A form is posted with the session's CSRF token and leads back to the page it came from, so it works
without a script. What it does is what the API does (`gateway/api/alerts.py`).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import RedirectResponse, Response

from gateway.access.caller import OPERATORS, STAFF
from gateway.api import alerts, alerts_bulk
from gateway.board.alerts_page import AlertsQuery, alerts_page, storm_page
from gateway.board.cards import StormAlerts
from gateway.board.viewer import (
    back_to,
    desk_of,
    language_of,
    now_of,
    page_of,
    tenant_of,
    words_of,
)
from gateway.problems import Problem
from gateway.route import Call, Handler, Route
from schemas.card import Card
from schemas.instants import HOUR_MS, format_instant

SEE_OTHER = 303
HTML = "text/html"
Filter = Annotated[str, Meta(max_length=256)]
Back = Annotated[str, Meta(max_length=2_048)]
MOST_HOURS = alerts.LONGEST_SNOOZE_MS // HOUR_MS


class AlertsAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tab, filters, sequence and page of the alerts."""

    tab: Literal["", "unowned", "mine", "acked", "snoozed", "all"] = ""
    severity: Literal["", "warning", "overdue"] = ""
    rule: Filter = ""
    carrier: Filter = ""
    sort: Literal["", "newest", "oldest"] = ""
    page: Annotated[int, Meta(ge=1, le=10_000)] = 1


class AckForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page to go back to."""

    back: Back = ""


class SnoozeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours of a snooze, 0 to end one, and the page to go back to."""

    hours: Annotated[int, Meta(ge=0, le=MOST_HOURS)]
    back: Back = ""


class AssignForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new owner, "" for none, and the page to go back to."""

    to: Annotated[str, Meta(max_length=100)]
    back: Back = ""


class CommentForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comment on the order, and the page to go back to."""

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    back: Back = ""


class StormForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The alerts of a storm as the board named them, and the page to go back to."""

    lane: Literal["warning", "overdue"]
    rule: Filter
    carrier: Filter
    place: Filter
    since: int
    until: int
    open: Annotated[int, Meta(ge=1)]
    back: Back = ""


async def alerts_list(call: Call) -> Response:
    """Open alerts by severity and age, in tabs: unowned, mine, acknowledged, snoozed."""
    call.gateway.check_loaded()
    words, tenant = words_of(call.gateway, language_of(call.request)), tenant_of(call)

    def is_own(card: Card) -> bool:
        return card.tenant == tenant

    with call.gateway.follower.view() as view:
        rows = view.newest(alerts.MOST_OPEN, is_own)
    query = AlertsQuery(**msgspec.structs.asdict(call.asked))
    page = alerts_page(words, desk_of(call, words), query, rows, now_of(call.gateway))
    return page_of(call, "alerts.html", "alerts", words.say("page.alerts"), page=page)


async def acknowledge(call: Call) -> Response:
    """Acknowledge an alert by a form."""
    return await done(call, alerts.acknowledge, alerts.Nothing())


async def acknowledge_storm(call: Call) -> Response:
    """Acknowledge the open alerts of a storm, and show the answer of each."""
    call.gateway.check_loaded()
    words, tenant = words_of(call.gateway, language_of(call.request)), tenant_of(call)
    named = {name: getattr(call.asked, name) for name in StormAlerts._fields}
    storm = StormAlerts(**named)
    with call.gateway.follower.view() as view:
        cards = view.page(
            storm.lane,
            lambda card: card.tenant == tenant and storm.is_meant(card),
            limit=alerts.MOST_OPEN,
        )
    desk = desk_of(call, words)
    ids = [
        card.alerts[0].alert_id for card in cards if desk.handling(card.alerts[0]).state == "open"
    ]
    if len(ids) > storm.open:
        raise Problem(
            "count_differs",
            f"open: {storm.open} alerts were shown, and there are {len(ids)}; look again",
            field="open",
        )
    answer = alerts_bulk.BulkAnswer(changed=0, unknown=[])
    if ids:
        asked = alerts_bulk.BulkAsked(action="ack", ids=ids)
        answer = await alerts_bulk.bulk(call._replace(asked=asked))
    page = storm_page(words, desk_of(call, words), cards, answer)
    back = back_to(call.asked.back)
    return page_of(call, "storm.html", "board", words.say("page.alerts"), page=page, back=back)


async def snooze(call: Call) -> Response:
    """Snooze an alert by a form, for some hours, or end its snooze."""
    until_ms = call.gateway.now_ms() + call.asked.hours * HOUR_MS
    until = format_instant(until_ms) if call.asked.hours else ""
    return await done(call, alerts.snooze, alerts.Snooze(until=until))


async def assign(call: Call) -> Response:
    """Give an alert an owner by a form, or take it from its owner."""
    return await done(call, alerts.assign, alerts.Assign(to=call.asked.to.strip()))


async def comment(call: Call) -> Response:
    """Comment on an alert's order by a form."""
    return await done(call, alerts.comment, alerts.Comment(text=call.asked.text))


async def done(call: Call, write: Handler, asked: msgspec.Struct) -> Response:
    """Write as the API does, and go back."""
    await write(call._replace(asked=asked))
    return RedirectResponse(back_to(call.asked.back, "/alerts"), SEE_OTHER)


FORMS: tuple[tuple[str, Handler, type[msgspec.Struct]], ...] = (
    ("ack", acknowledge, AckForm),
    ("snooze", snooze, SnoozeForm),
    ("assign", assign, AssignForm),
    ("comment", comment, CommentForm),
)
WRITE = ("bad_field", "bad_json", "bad_encoding", "busy", "too_large", "too_slow", "unknown_alert")

# method, path, handler, asks, answers, roles, scope, class, part, problems
ALERT_PAGES: tuple[Route, ...] = (
    Route(
        *("GET", "/alerts", alerts_list, AlertsAsked, HTML, STAFF, "own", "page", "board"),
        problems=("bad_field", "tier_unreachable"),
    ),
    *(
        Route(
            *("POST", f"/alerts/{{id}}/{name}", handler, asks, HTML),
            *(OPERATORS, "own", "write", "board"),
            problems=WRITE,
        )
        for name, handler, asks in FORMS
    ),
    Route(
        *("POST", "/alerts/storm", acknowledge_storm, StormForm, HTML, OPERATORS, "own"),
        cls="write",
        part="board",
        problems=(*WRITE, "count_differs"),
    ),
)
