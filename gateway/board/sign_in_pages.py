"""Pages of the sign-in: by a printed link's code or at the issuer, and signing out."""

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.access.caller import ROLES
from gateway.access.oidc import COOKIE, HINT, LONGEST_HINT, RETURN, START, Oidc, Returned
from gateway.access.sessions import CODE_S, SESSION_S
from gateway.api.alerts import Nothing
from gateway.board.links import address
from gateway.board.site import Frame, render
from gateway.board.viewer import back_to, language_of, path_of, theme_of, words_of
from gateway.problems import Problem
from gateway.route import EVERYONE, Call, Route

PATH, OUT, HOME = "/sign-in", "/sign-out", "/"
HTML = "text/html"
SEE_OTHER = 303


class SignInAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one-time code of a printed link, and the page to go back to."""

    code: str = ""
    to: str = HOME


class StartAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page to go back to."""

    to: str = HOME


def sign_in_address(request: Request) -> str:
    """The address of the sign-in, which leads back to the page that was asked for."""
    to = path_of(request) if request.method == "GET" else HOME
    return PATH if to == HOME else address(PATH, to=to)


async def sign_in(call: Call) -> Response:
    """Sign in with the one-time code of a printed link: sets the session's cookie."""
    asked, access = call.asked, call.gateway.access
    if not asked.code:
        return door(call)
    cookie = access.sign_in(asked.code)
    if cookie is None:
        problem = Problem(
            "unauthenticated",
            "code: it was used or is older than 10 minutes; 'ordertide key link' prints another",
            field="code",
        )
        return door(call, problem)
    header = access.cookie_header(call.request, cookie, SESSION_S)
    return RedirectResponse(back_to(asked.to), SEE_OTHER, headers={"set-cookie": header})


def door(call: Call, problem: Problem | None = None) -> Response:
    """The page with the ways in, and why the last one failed."""
    words = words_of(call.gateway, language_of(call.request))
    to = back_to(getattr(call.asked, "to", HOME))
    frame = Frame(
        words=words,
        page="sign-in",
        title=words.say("sign_in"),
        path=PATH,
        theme=theme_of(call.request),
    )
    start = address(START, to=to) if call.gateway.access.oidc else ""
    text = render("sign_in.html", frame, problem=problem, start=start, to=to)
    if problem is None:
        return HTMLResponse(text)
    return HTMLResponse(text, problem.status, problem.headers)


def oidc_of(call: Call) -> Oidc:
    """The issuer's part of the access.

    Raises:
        Problem: `not_found`, no issuer is set.
    """
    oidc = call.gateway.access.oidc
    if oidc is None:
        raise Problem(
            "not_found", f"{call.request.url.path}: no issuer signs in here; set oidc.issuer"
        )
    return oidc


async def begin(call: Call) -> Response:
    """Sign in at the issuer: leads there, and back."""
    access, oidc = call.gateway.access, oidc_of(call)
    to = back_to(call.asked.to)
    try:
        there, cookie = await oidc.begin(to, returns_to(call), access.now_s())
    except Problem as problem:
        return door(call, problem)
    header = access.cookie_header(call.request, cookie, CODE_S, name=COOKIE, path=PATH)
    return RedirectResponse(there, SEE_OTHER, headers={"set-cookie": header})


async def end(call: Call) -> Response:
    """The return from the issuer: sets the session's cookie."""
    access, oidc, request = call.gateway.access, oidc_of(call), call.request
    cookie = request.cookies.get(COOKIE, "")
    ended = access.cookie_header(request, "", 0, name=COOKIE, path=PATH)
    try:
        came = returned(request)
        caller, to, token = await oidc.end(came, cookie, returns_to(call), access.now_s())
    except Problem as problem:
        problem.headers["set-cookie"] = ended
        return door(call, problem)
    response = RedirectResponse(to, SEE_OTHER, headers={"set-cookie": ended})
    session = access.sessions.session_of(caller)
    header = access.cookie_header(request, session, oidc.session_s)
    response.headers.append("set-cookie", header)
    if len(token) <= LONGEST_HINT:
        hint = access.cookie_header(request, token, oidc.session_s, name=HINT, path=OUT)
        response.headers.append("set-cookie", hint)
    return response


def returned(request: Request) -> Returned:
    """Parameters that the issuer sent back; it may add others, which are left alone.

    Raises:
        Problem: `bad_field`, one came twice (RFC 6749, 3.1).
    """
    sent = request.query_params
    for name in Returned.__struct_fields__:
        if len(sent.getlist(name)) > 1:
            raise Problem("bad_field", f"{name}: it is given twice; sign in again", field=name)
    return msgspec.convert(dict(sent), Returned)


def returns_to(call: Call) -> str:
    """Our address that the issuer sends browsers back to, which is registered there."""
    return call.gateway.access.origin(call.request) + RETURN


async def sign_out(call: Call) -> Response:
    """Sign out: take the session's cookie from this browser, and end the issuer's session."""
    access, hint = call.gateway.access, call.request.cookies.get(HINT, "")
    there = PATH
    if access.oidc and call.caller.until_s is not None:
        try:
            back = access.origin(call.request) + PATH
            there = await access.oidc.signed_out(back, hint) or PATH
        except Problem:
            there = PATH  # the issuer is away, which it has logged; our own session ends anyway
    header = access.cookie_header(call.request, "", 0)
    response = RedirectResponse(there, SEE_OTHER, headers={"set-cookie": header})
    if hint:
        ended = access.cookie_header(call.request, "", 0, name=HINT, path=OUT)
        response.headers.append("set-cookie", ended)
    return response


# method, path, handler, asks, answers, roles, scope, class, part, problems
SIGN_IN_PAGES: tuple[Route, ...] = (
    Route(
        *("GET", PATH, sign_in, SignInAsked, HTML, EVERYONE, "any", "sign_in", "board"),
        problems=("bad_field", "unauthenticated"),
    ),
    # Pages by their rate: there is nothing to guess, and an office shares an address.
    Route(
        *("GET", START, begin, StartAsked, HTML, EVERYONE, "any", "page", "board"),
        problems=("bad_field", "not_found", "issuer_unreachable"),
    ),
    Route(
        *("GET", RETURN, end, "query", HTML, EVERYONE, "any", "page", "board"),
        problems=("bad_field", "not_found", "unauthenticated", "forbidden", "issuer_unreachable"),
    ),
    Route(
        *("POST", OUT, sign_out, Nothing, HTML, ROLES, "own", "page", "board"),
        problems=("bad_field", "bad_json", "bad_encoding", "too_large", "too_slow"),
    ),
)
