"""Viewer: language, theme and frame of a request, and answers in HTML."""

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.access.caller import OPERATORS, STAFF, SUBSCRIBERS, Caller
from gateway.board.handling import Desk
from gateway.board.site import Frame, render
from gateway.board.wording import LANGUAGES, Words
from gateway.parts import Gateway
from gateway.problems import KINDS, Problem
from gateway.route import Call
from schemas.alert_text import Language
from schemas.instants import SECOND_MS
from schemas.keys import DEFAULT_TENANT

LANGUAGE_COOKIE, THEME_COOKIE = "ordertide_language", "ordertide_theme"
THEMES = ("light", "dark")
SHORTLY_S = 10
STREAM = "/v1/stream?types=order.changed&types=order.retired"


def content_policy(images: str = "") -> str:
    """The content policy of a page, whose pictures may also come from the origin `images`."""
    sources = f"'self' data: {images}".rstrip()
    return f"default-src 'self'; img-src {sources}; frame-ancestors 'none'"


class Page(NamedTuple):
    """A page of the rail, with those who may open it."""

    name: str
    address: str


BOARD, ORDERS = Page("board", "/"), Page("orders", "/orders")
ALERTS, OPERATIONS = Page("alerts", "/alerts"), Page("operations", "/operations")
SETTINGS = Page("settings", "/settings/webhooks")


def language_of(request: Request) -> Language:
    """The language chosen, else the first of the browser's that there is, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if language == chosen:
            return language
    accepted = request.headers.get("accept-language", "").lower()
    named = [part.strip()[:2] for part in accepted.split(",")]
    found: list[Language] = [each for name in named for each in LANGUAGES if each == name]
    return found[0] if found else "en"


def words_of(gateway: Gateway, language: Language) -> Words:
    """Words in a language and the zone of the settings."""
    return Words(language, gateway.zone, gateway.wording[language])


def tenant_of(call: Call) -> str:
    """The tenant whose board is shown."""
    return call.caller.tenant or DEFAULT_TENANT


def operator_name(caller: Caller) -> str:
    """The caller's name as an operator; "" for one that may set nothing on alerts."""
    return (caller.name or caller.key_id) if caller.role in OPERATORS else ""


def desk_of(call: Call, words: Words) -> Desk:
    """The notes on alerts as the caller sees them."""
    gateway = call.gateway
    return Desk(words, gateway.notes, gateway.now_ms(), operator_name(call.caller))


def now_of(gateway: Gateway) -> int:
    """The stream's clock in ms; the wall clock before its first heartbeat."""
    return gateway.follower.watermark or gateway.now_ms()


def frame_of(call: Call, page: str, title: str) -> Frame:
    """The frame of a page for its viewer."""
    gateway, caller = call.gateway, call.caller
    words = words_of(gateway, language_of(call.request))
    rail = [BOARD, ORDERS, ALERTS] if caller.role in STAFF else [ORDERS]
    if caller.role in OPERATORS:
        rail.append(OPERATIONS)
    if caller.role in SUBSCRIBERS:
        rail.append(SETTINGS)
    sessions = gateway.access.sessions
    return Frame(
        words=words,
        page=page,
        title=title,
        path=path_of(call.request),
        rail=tuple(rail),
        theme=theme_of(call.request),
        tenant=caller.tenant or "",
        name=caller.name or caller.role,
        behind=behind(gateway, words),
        now=now_of(gateway),
        ticks=not gateway.is_recorded,
        stream=STREAM if "api" in gateway.parts else "",
        me=operator_name(caller),
        csrf=sessions.csrf_token(caller.session) if caller.session else "",
    )


def public_frame(call: Call, words: Words, page: str, title: str) -> Frame:
    """The frame of a page for whoever has its link: without the rail, and without the query."""
    session = call.caller.session
    return Frame(
        words=words,
        page=page,
        title=title,
        path=path_of(call.request).partition("?")[0],
        theme=theme_of(call.request),
        csrf=call.gateway.access.sessions.csrf_token(session) if session else "",
    )


def path_of(request: Request) -> str:
    """Path and query of a request, as they were sent."""
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("ascii", "replace")


def back_to(path: str, otherwise: str = "/") -> str:
    """A path of ours to go back to; any other address leads to `otherwise`."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_ours and path.isprintable() else otherwise


def theme_of(request: Request) -> str:
    """The theme chosen; "" is the system's."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def behind(gateway: Gateway, words: Words) -> str:
    """The live pill in words: how far behind, loading, or waiting for the broker."""
    follower = gateway.follower
    if follower.waits_for or follower.failure:
        return words.say("pill.waits")
    if not follower.is_loaded:
        return words.say("pill.loading", n=100 * follower.done // max(follower.total, 1))
    if gateway.is_recorded and follower.watermark:
        return words.say("pill.recorded", at=words.stamp(follower.watermark))
    seconds = gateway.behind_s
    if seconds is None:
        return words.say("pill.waits")
    if seconds < SHORTLY_S:
        return words.say("pill.behind", span=words.say("span.s", n=f"{seconds:.1f}"))
    return words.say("pill.behind", span=words.span(round(seconds * SECOND_MS)))


def page_of(call: Call, template: str, name: str, title: str, **values: object) -> Response:
    """A page as an answer; `name` is that in the rail."""
    return HTMLResponse(render(template, frame_of(call, name, title), **values))


def failed(request: Request, gateway: Gateway, problem: Problem, request_id: str) -> Response:
    """A problem as a page."""
    words = words_of(gateway, language_of(request))
    kind = KINDS[problem.code]
    is_write = request.method != "GET"  # its address shows nothing
    frame = Frame(
        words=words,
        page="failed",
        title=kind.title,
        path="/alerts" if is_write else path_of(request),
        theme=theme_of(request),
    )
    text = render("failed.html", frame, problem=problem, kind=kind, request_id=request_id)
    return HTMLResponse(text, problem.status, problem.headers)
