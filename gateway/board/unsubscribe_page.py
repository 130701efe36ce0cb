"""Unsubscribe page: a customer ends messages of a kind, or takes that back, without signing in.

Opening the link changes nothing, since mail programs open links by themselves. A mail program's
own button posts to the same address (RFC 8058).
"""

from typing import Literal

import msgspec
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.board.links import address
from gateway.board.site import render
from gateway.board.viewer import language_of, public_frame, words_of
from gateway.problems import Problem
from gateway.route import EVERYONE, Call, Route
from gateway.unsubscribing import REFUSAL, Refusal, Unsubscribing
from schemas.alert import AuditEntry
from schemas.instants import format_instant
from schemas.keys import content_id, order_key

HTML = "text/html"
SEE_OTHER, NOT_FOUND = 303, 404
SOURCE = "gateway"


class PageAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Language of the page; without it the browser's."""

    lang: Literal["en", "zh"] | None = None


class ChoiceForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A choice: no more of these messages, or to get them again. `lang` is the page's."""

    choice: Literal["stop", "resume"]
    lang: Literal["en", "zh"] | None = None


async def unsubscribe_page(call: Call) -> Response:
    """The page of an unsubscribe link: whether the messages come, and a button for the other."""
    gateway = call.gateway
    gateway.check_controlled()
    opened = gateway.refusals.opened(call.parameter("token"))
    words = words_of(gateway, call.asked.lang or language_of(call.request))
    frame = public_frame(call, words, "unsubscribe", words.say("unsubscribe.title"))
    is_stopped = opened is not None and opened.name in gateway.refusals.records
    shop = {"brand": gateway.title, "contact": gateway.contact}
    text = render("unsubscribe.html", frame, opened=opened, is_stopped=is_stopped, **shop)
    return HTMLResponse(text, 200 if opened else NOT_FOUND)


async def one_click(call: Call) -> Response:
    """Unsubscribe by a mail program's button (RFC 8058): no page, no cookie."""
    await set_choice(call, opened_of(call), stop=True)
    return Response()


async def choose(call: Call) -> Response:
    """Unsubscribe by the page's button, or take it back."""
    call.gateway.access.check_public_form(call.request)
    await set_choice(call, opened_of(call), stop=call.asked.choice == "stop")
    path = address(f"/u/{call.request.path_params['token']}", lang=call.asked.lang)
    return RedirectResponse(path, SEE_OTHER)


def opened_of(call: Call) -> Unsubscribing:
    """The link of a call.

    Raises:
        Problem: `not_found`, it wasn't made here.
    """
    opened = call.gateway.refusals.opened(call.parameter("token"))
    if opened is None:
        raise Problem("not_found", "this link isn't one of ours; use the one in the message")
    return opened


async def set_choice(call: Call, link: Unsubscribing, *, stop: bool) -> None:
    """Write a refusal or end it, audited first; what holds already is not written again."""
    gateway = call.gateway
    gateway.check_controlled()
    if stop == (link.name in gateway.refusals.records):
        return
    at = format_instant(call.at_ms)
    what = "message.refused" if stop else "message.resumed"
    entry = AuditEntry(
        audit_id=content_id("audit", link.name, what, at),
        at=at,
        what=what,
        tenant=link.tenant,
        order_id=link.order_id,
        detail={"kind": link.kind},
        source=SOURCE,
    )
    key = order_key(link.tenant, link.order_id)
    await gateway.ingest.audit([(key, msgspec.json.encode(entry))])
    record = msgspec.json.encode(Refusal(at=at, kind=link.kind)) if stop else None
    await gateway.control.put(REFUSAL, link.name, record)


TAKEN = ("bad_encoding", "too_large", "too_slow", "busy", "not_found", "forbidden")

UNSUBSCRIBE_PAGES: tuple[Route, ...] = (
    Route(
        *("GET", "/u/{token}", unsubscribe_page, PageAsked, HTML),
        *(EVERYONE, "any", "page", "board"),
        problems=("bad_field", "busy"),
    ),
    Route(
        *("POST", "/u/{token}", one_click, "body", HTML, EVERYONE, "any", "write", "board"),
        problems=TAKEN,
    ),
    Route(
        *("POST", "/u/{token}/choice", choose, ChoiceForm, HTML),
        *(EVERYONE, "any", "write", "board"),
        problems=("bad_field", "bad_json", *TAKEN),
    ),
)
