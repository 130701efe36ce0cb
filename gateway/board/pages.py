"""Pages: handlers of the board, the order, the search, the customer's page, and static files."""

import gzip
from functools import cache
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
import segno
from markupsafe import Markup
from msgspec import Meta
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.access.caller import OPERATORS, ROLES, STAFF, Role
from gateway.access.shares import DEFAULT_DAYS, Level, Share
from gateway.api.explanations import states_of
from gateway.api.orders import OrderAsked, found, visible
from gateway.api.personal import PersonalAnswer, masked_beside
from gateway.board.audit import entries_of
from gateway.board.board_page import MOVEMENTS, Board, BoardQuery
from gateway.board.customer_page import customer_page
from gateway.board.fragments import Fragments
from gateway.board.links import address, order_href
from gateway.board.on_tiles import allow_tiles, tiles_behind
from gateway.board.order_page import Held, order_page
from gateway.board.orders_page import orders_page
from gateway.board.preferences import Preferences, examples_of, preferences
from gateway.board.progress import Progress
from gateway.board.rule_panel import RulePanel, rule_panel
from gateway.board.site import assets, render
from gateway.board.survey import Step, SurveyForm, answer_survey, state_of
from gateway.board.viewer import (
    desk_of,
    frame_of,
    language_of,
    now_of,
    page_of,
    public_frame,
    tenant_of,
    words_of,
)
from gateway.problems import Problem
from gateway.route import EVERYONE, Call, Route
from schemas.alert import AuditEntry
from schemas.errors import Busy, UnknownOrder
from schemas.order import Lane, OrderDocument
from schemas.search import MOST_ORDERS, OrderQuery
from schemas.search import Page as Found
from storage_tiering.find import Answer

SEE_OTHER = 303
SHARERS: frozenset[Role] = STAFF | {"customer"}
NOT_FOUND = 404
DAY_S = 24 * 3600
HITS = 8
ROWS = 50
Filter = Annotated[str, Meta(max_length=256)]


class BoardAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the board; `wall` 1 is the display for a wall."""

    carrier: Filter = ""
    supplier: Filter = ""
    status: Filter = ""
    rule: Filter = ""
    place: Filter = ""
    old: Literal["", "1"] = ""
    lane: Literal["", "normal", "warning", "overdue"] = ""
    page: Annotated[int, Meta(ge=1, le=10_000)] = 1
    wall: Literal[0, 1] = 0


class PartsAsked(BoardAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A view of the board, and the marks of the fragments that the page has, joined by dots."""

    had: Annotated[str, Meta(max_length=8_192, pattern=r"^[0-9a-f.]*$")] = ""


class OrdersAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the list of orders; `skip` rows came before."""

    q: Filter = ""
    lane: Literal["", "normal", "warning", "overdue"] = ""
    status: Filter = ""
    carrier: Filter = ""
    supplier: Filter = ""
    skip: Annotated[int, Meta(ge=0, lt=MOST_ORDERS)] = 0


class OrderPageAsked(OrderAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order's `tenant`; `rules` 1 opens the panel with the state of every rule."""

    rules: Literal[0, 1] = 0


class FindAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number to search for; `hits` 1 answers with a list of links alone."""

    q: Filter
    hits: Literal[0, 1] = 0


class ShareAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Level and life of a link for the customer."""

    tenant: str | None = None
    level: Level = "town"
    days: Annotated[int, Meta(ge=1, le=365)] = DEFAULT_DAYS


class CustomerAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Language of the customer's page, without it the browser's; the step of its survey."""

    lang: Literal["en", "zh"] | None = None
    survey: Step | None = None


async def board(call: Call) -> Response:
    """The board: figures, and the lanes with their cards."""
    if not call.caller.is_staff:
        return RedirectResponse("/orders", SEE_OTHER)
    return await board_as(call, "board.html")


async def board_parts(call: Call) -> Response:
    """Parts and cards of the board that an open page of it doesn't have."""
    return await board_as(call, "parts.html", frozenset(call.asked.had.split(".")))


async def board_as(call: Call, template: str, had: frozenset[str] = frozenset()) -> Response:
    """The board for a page that has the fragments with the marks `had`."""
    gateway, asked = call.gateway, call.asked
    gateway.check_loaded()
    words = words_of(gateway, language_of(call.request))
    tenant = tenant_of(call)
    named = {name: getattr(asked, name) for name in BoardQuery._fields}
    query, now, desk = BoardQuery(**named), now_of(gateway), desk_of(call, words)
    with gateway.follower.view() as view:
        shown = Board(words, progress_of(call), view, tenant, query, now, desk)
    page = shown.page(await moved(call, tenant, shown.query))
    title = f"({page.late}) {words.say('page.board')}"
    path = query.href(page=query.page, wall="1" if asked.wall else "")
    frame = frame_of(call, "board", title)._replace(is_wall=bool(asked.wall), path=path)
    if asked.wall:
        frame = frame._replace(theme="dark")
    examples = examples_of(gateway.examples, words, call.request)
    values = {"page": page, "examples": examples, "fragments": Fragments(frame, had)}
    return HTMLResponse(render(template, frame, **values))


async def moved(call: Call, tenant: str, query: BoardQuery) -> list[OrderDocument]:
    """Orders in time that moved last; none while no tier answers."""
    if query.is_on_alerts:
        return []
    asked = OrderQuery(
        tenant=tenant,
        lane="normal",
        status=query.status or None,
        carrier=query.carrier or None,
        supplier_id=query.supplier or None,
    )
    try:
        page = await search(call, asked, MOVEMENTS)
    except Busy:
        return []
    return page.orders


async def search(call: Call, query: OrderQuery, limit: int) -> Found:
    """Orders of the caller's that are asked for.

    Raises:
        Busy: no tier that searches answers.
    """
    narrowed = call.caller.narrowed(query)
    if narrowed is None:
        return Found([])
    return await call.gateway.tiers.search(lambda tier: tier.search(narrowed, limit=limit))


async def order(call: Call) -> Response:
    """One order: why it is late, plan and progress, timeline, map, deadlines."""
    return await order_of(call, await found(call), None)


async def order_of(call: Call, answer: Answer, shown: PersonalAnswer | None) -> Response:
    """The page of an order; without `shown` its personal data are masked."""
    document, tier = answer.found.document, answer.tier
    audit: list[AuditEntry] = []
    if call.caller.is_staff:
        audit = await call.gateway.tiers.run(
            lambda tiers: entries_of(tiers, document.tenant, document.order_id, tier)
        )
    held = Held(
        order=visible(document, call.caller),
        audit=audit,
        timeline=answer.found.timeline,
        tier=tier,
        watermark=answer.found.watermark,
        stale=answer.found.stale,
        unreachable=tuple(each.tier for each in answer.asked if each.answer == "busy"),
        is_staff=call.caller.is_staff,
        sees_rules=call.caller.sees_rules,
    )
    words = words_of(call.gateway, language_of(call.request))
    now, desk = now_of(call.gateway), desk_of(call, words)
    is_operator = call.caller.role in OPERATORS
    panel: RulePanel | None = None
    if is_operator and call.asked.rules:
        at, states = await states_of(call.gateway, answer.found)
        panel = rule_panel(words, at, states, document, now)
    page = order_page(words, progress_of(call), held, now, desk)
    path = quote(page.order_id, safe="")
    query = {"tenant": call.asked.tenant}
    origin = str(call.request.base_url).rstrip("/")
    is_sharer = call.caller.role in SHARERS
    tiles = await tiles_behind(call, page.route, words)
    response = page_of(
        call,
        "order.html",
        "order",
        page.order_id,
        page=page,
        tiles=tiles,
        share=address(f"/orders/{path}/share", **query) if is_sharer else "",
        personal=shown or await masked_beside(call, document, answer.found.timeline),
        personal_to=f"/orders/{path}/personal" if is_operator else "",
        rules=panel,
        rules_href=address(f"/orders/{path}", **query, rules=int(panel is None))
        if is_operator
        else "",
        api=f'curl -H "Authorization: Bearer $KEY" "{origin}'
        f'{address(f"/v1/orders/{path}", **query)}"',
    )
    allow_tiles(response, tiles)
    return response


async def orders(call: Call) -> Response:
    """A list of orders: by number, lane, status, carrier or supplier."""
    asked = call.asked
    lane: Lane | None = asked.lane or None
    query = OrderQuery(
        number=asked.q or None,
        lane=lane,
        status=asked.status or None,
        carrier=asked.carrier or None,
        supplier_id=asked.supplier or None,
    )
    wanted = min(asked.skip + ROWS + 1, MOST_ORDERS)
    rows = (await search(call, query, wanted)).orders[asked.skip :]
    words = words_of(call.gateway, language_of(call.request))
    shown = [visible(each, call.caller) for each in rows[:ROWS]]
    page = orders_page(words, progress_of(call), asked, shown, now_of(call.gateway))
    later = address("/orders", **{**msgspec.structs.asdict(asked), "skip": asked.skip + ROWS})
    return page_of(
        call,
        "orders.html",
        "orders",
        words.say("page.orders"),
        page=page,
        later=later if len(rows) > ROWS else "",
    )


async def find_number(call: Call) -> Response:
    """An order by any number: its page if it is the only one, else the list."""
    number = call.asked.q.strip()
    rows = (await search(call, OrderQuery(number=number), HITS)).orders if number else []
    if call.asked.hits:
        words = words_of(call.gateway, language_of(call.request))
        shown = [visible(each, call.caller) for each in rows]
        page = orders_page(words, progress_of(call), OrdersAsked(q=number), shown, 0)
        frame = frame_of(call, "orders", "")
        read_at = call.gateway.follower.watermark
        upto = words.stamp(read_at) if read_at else ""
        return HTMLResponse(render("hits.html", frame, page=page, upto=upto))
    if len(rows) == 1:
        return RedirectResponse(order_href(rows[0].tenant, rows[0].order_id), SEE_OTHER)
    return RedirectResponse(address("/orders", q=number), SEE_OTHER)


async def share(call: Call) -> Response:
    """A link for the customer, sealed when it is asked for, with its QR code."""
    answer = await found(call)
    document, gateway, asked = answer.found.document, call.gateway, call.asked
    until_s = int(gateway.access.now_s()) + asked.days * DAY_S
    token = gateway.shares.sealed(Share(document.tenant, document.order_id, asked.level, until_s))
    link = f"{gateway.access.origin(call.request)}/t/{token}"
    drawn = segno.make(link, error="m").svg_inline(scale=4, border=2)
    words = words_of(gateway, language_of(call.request))
    return page_of(
        call,
        "share.html",
        "order",
        words.say("share.title", order=document.order_id),
        order_id=document.order_id,
        href=order_href(document.tenant, document.order_id),
        asked=asked,
        link=link,
        ends=words.day(until_s * 1000, weekday=True, year_of=gateway.now_ms()),
        code=Markup(drawn),  # noqa: S704 - drawn by segno from our own address
    )


async def customer(call: Call) -> Response:
    """The customer's page of a shared order; the same answer for every link that has ended."""
    gateway = call.gateway
    opened = gateway.shares.opened(call.parameter("token"), gateway.access.now_s())
    words = words_of(gateway, call.asked.lang or language_of(call.request))
    page, tiles, survey = None, None, ""
    if opened:
        try:
            answer = await gateway.tiers.find(opened.tenant, opened.order_id)
            now = now_of(gateway)
            document, timeline = answer.found.document, answer.found.timeline
            page = customer_page(words, progress_of(call), document, timeline, now, opened.level)
            tiles = await tiles_behind(call, page.route, words, towns_only=True)
            survey = state_of(progress_of(call), document, timeline, call.asked.survey)
        except UnknownOrder:
            page = None
    frame = public_frame(call, words, "customer", words.say("customer.title"))
    shop = {"brand": gateway.title, "contact": gateway.contact}
    asks = {"survey": survey, "is_unrated": call.asked.survey == "choose"}
    text = render("customer.html", frame, page=page, tiles=tiles, **shop, **asks)
    response = HTMLResponse(text, 200 if page else NOT_FOUND)
    allow_tiles(response, tiles)
    return response


async def static(call: Call) -> Response:
    """A static file; its address changes with its bytes, so it is kept for ever."""
    asset = assets().get(f"/static/{call.parameter('name')}")
    if asset is None:
        raise Problem("not_found", f"{call.request.url.path}: there is no such file")
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    data = asset.data
    if "gzip" in call.request.headers.get("accept-encoding", ""):
        data = zipped(asset.address)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=asset.kind, headers=headers)


@cache
def zipped(address: str) -> bytes:
    """A static file, compressed once."""
    return gzip.compress(assets()[address].data, 9)


def progress_of(call: Call) -> Progress:
    """Stages of the lifecycle in use."""
    return Progress(call.gateway.lifecycle)


HTML = "text/html"
READ = ("bad_field", "tier_unreachable")
TAKEN = ("bad_json", "bad_encoding", "too_large", "too_slow")

# method, path, handler, asks, answers, roles, scope, class, part, problems
PAGES: tuple[Route, ...] = (
    Route("GET", "/", board, BoardAsked, HTML, ROLES, "own", "page", "board", READ),
    Route(
        *("GET", "/board/parts", board_parts, PartsAsked, HTML, STAFF, "own", "page", "board"),
        problems=READ,
    ),
    Route("GET", "/orders", orders, OrdersAsked, HTML, ROLES, "own", "page", "board", READ),
    Route("GET", "/find", find_number, FindAsked, HTML, ROLES, "own", "page", "board", READ),
    Route(
        *("GET", "/orders/{id}", order, OrderPageAsked, HTML, ROLES, "own", "page", "board"),
        problems=(*READ, "unknown_order"),
    ),
    Route(
        *("GET", "/orders/{id}/share", share, ShareAsked, HTML),
        *(SHARERS, "own", "page", "board"),
        problems=(*READ, "unknown_order"),
    ),
    Route("GET", "/t/{token}", customer, CustomerAsked, HTML, EVERYONE, "any", "page", "board"),
    Route(
        *("POST", "/t/{token}/survey", answer_survey, SurveyForm, HTML),
        *(EVERYONE, "any", "write", "board"),
        problems=(*READ, *TAKEN, "forbidden", "not_found", "not_possible", "limited"),
    ),
    Route(
        *("GET", "/preferences", preferences, Preferences, HTML),
        *(EVERYONE, "any", "page", "board"),
        problems=("bad_field",),
    ),
    Route(
        *("GET", "/static/{name}", static, None, "*/*", EVERYONE, "any", "page", "board"),
        problems=("not_found",),
    ),
)
