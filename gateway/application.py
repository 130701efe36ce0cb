"""Application: the route table over ASGI.

A request passes, in this order: the caller (key or session), the role, the rate, the query or the
body, a slot, the handler.
Whatever fails becomes a problem (RFC 9457), and every answer has the headers that keep browsers
careful. Paths are matched as they were sent, so that an id may hold a slash or a percent sign.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.access import CSRF_HEADER
from gateway.access.caller import NOBODY, Caller
from gateway.asked import body_as, query_of
from gateway.board.sign_in_pages import sign_in_address
from gateway.board.viewer import content_policy, failed
from gateway.body import MIB, MOST_BYTES, body_of
from gateway.idempotency import HEADER as IDEMPOTENCY_KEY
from gateway.idempotency import Repeatable
from gateway.parts import Gateway
from gateway.problems import Problem
from gateway.route import EVERYONE, Call, Route, Streamed
from gateway.routes import ROUTES
from schemas.errors import Busy, OrdertideError
from schemas.os_faults import causes
from schemas.settings.secrets import masked_text

LOGGER = logging.getLogger("ordertide.gateway")
NOT_ALLOWED, SEE_OTHER = 405, 303
INGEST_BYTES = 4 * MIB
REQUEST_ID = b"x-request-id"
# Below it an answer is one packet anyway. A page of 60 kB becomes 7.7 kB in 0.1 ms; at level 9 it
# would be 6.3 kB in 2.4 ms, in which the loop answers nobody else.
COMPRESSED_FROM_BYTES, COMPRESSION_LEVEL = 1_400, 1
UNCOMPRESSED = ("text/event-stream",)  # Starlette's own fourteen cost each request 15 us
ENCODE = msgspec.json.Encoder().encode
HEADERS = [
    (b"cache-control", b"private, no-store"),
    (b"content-security-policy", content_policy().encode()),
    (b"referrer-policy", b"same-origin"),  # without any, browsers send forms with Origin: null
    (b"x-content-type-options", b"nosniff"),
]


def application(gateway: Gateway, routes: Sequence[Route] = ROUTES) -> ASGIApp:
    """The ASGI application of the parts that the gateway serves."""
    served = [route for route in routes if route.part in gateway.parts]
    app = Starlette(
        routes=[
            Row(route.path, endpoint(route, gateway), methods=[route.method]) for route in served
        ],
        exception_handlers={HTTPException: unmatched},
        middleware=[
            Middleware(
                GZipMiddleware,
                minimum_size=COMPRESSED_FROM_BYTES,
                compresslevel=COMPRESSION_LEVEL,
                exclude_content_types=UNCOMPRESSED,
            )
        ],
    )
    app.router.redirect_slashes = False
    app.state.routes = served
    return AsSent(app)


class AsSent:
    """Matches the path as it was sent, percent signs included; handlers unquote its parts."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        await self.app(scope, receive, send)


class Row(StarletteRoute):
    """A row in Starlette's router, which tries one after the other for each request."""

    def __init__(self, path: str, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - as Starlette's
        super().__init__(path, *arguments, **named)
        self._literal = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Compare the literal begin of the path, then the whole: eighty expressions take 0.1 ms."""
        if not scope["path"].startswith(self._literal):
            return Match.NONE, {}
        return super().matches(scope)


def endpoint(route: Route, gateway: Gateway) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a row: its answer or its problem, measured and logged."""
    seconds = gateway.metrics.http_seconds.labels(route.path)
    counted = gateway.metrics.http_requests
    refused = gateway.metrics.http_refused

    async def answer(request: Request) -> Response:
        began_s = time.perf_counter()
        request_id = secrets.token_hex(8)
        caller = NOBODY
        try:
            caller = await caller_of(route, gateway, request)
            ip = gateway.access.ip_of(request)
            counted_as = counted_name(route, request, caller, ip)
            standing = gateway.limits.take(route.cls, counted_as, gateway.access.now_s())
            asked = await asked_of(route, request, gateway, caller)
            call = Call(request, gateway, caller, asked, request_id, ip, gateway.now_ms())
            async with AsyncExitStack() as held:
                await held.enter_async_context(gateway.limits.slot(route.cls))
                response = await answered(route, call)
                if isinstance(response, Streamed):
                    response.held = held.pop_all()
            response.raw_headers += standing.raw_headers
        except Exception as error:  # noqa: BLE001 - the last one to take it: a problem, and logged
            response = refusal(route, gateway, request, error, request_id)
            if isinstance(error, Problem) and error.code in {"limited", "busy"}:
                refused.labels(route.cls, error.code).inc()
            cut_frames(error)
        add_headers(response, request_id)
        took_s = time.perf_counter() - began_s
        seconds.observe(took_s)
        counted.labels(route.path, route.method, str(response.status_code)).inc()
        log(route, caller, response, request_id, took_s)
        return response

    return answer


def cut_frames(error: Exception) -> None:
    """Cut the frames of a call from the exception that ended it.

    Where one of them has it as a variable they are a cycle, until the garbage collector runs. It
    runs seldom, and 1,800 refusals a second made it hold all other requests up for 0.16 s each.
    """
    for each in causes(error):
        each.__traceback__ = None


def add_headers(response: Response, request_id: str) -> None:
    """Add those of `HEADERS` that an answer hasn't, and its id."""
    held = {name for name, _ in response.raw_headers}
    response.raw_headers += [header for header in HEADERS if header[0] not in held]
    response.raw_headers.append((REQUEST_ID, request_id.encode()))


async def caller_of(route: Route, gateway: Gateway, request: Request) -> Caller:
    """The caller, who may call the route.

    Raises:
        Problem: `unauthenticated`, `forbidden`, `issuer_unreachable`.
    """
    caller = await gateway.access.caller_of(request)
    if route.roles is EVERYONE:
        return caller or NOBODY
    if caller is None:
        raise Problem(
            "unauthenticated", "the request has no API key and no session; send Authorization"
        )
    if caller.role not in route.roles:
        roles = ", ".join(sorted(route.roles))
        raise Problem("forbidden", f"role {caller.role}: {route.path} is for {roles}")
    return caller


def counted_name(route: Route, request: Request, caller: Caller, ip: str) -> str:
    """The name under which a caller's requests are counted: its key, its account or its address."""
    if route.cls == "callback":
        return "/".join(request.path_params[name] for name in ("carrier", "account"))
    return caller.key_id or ip


async def asked_of(route: Route, request: Request, gateway: Gateway, caller: Caller) -> Any:  # noqa: ANN401 - an instance of `asks`
    """The query of a request, or its body.

    Raises:
        Problem: it can't be used, or is a write of a session that isn't from our own pages.
    """
    if route.method == "GET":
        assert route.asks != "body", route
        return None if route.asks == "query" else query_of(route.asks, request)
    data = await body_of(request, INGEST_BYTES if route.cls == "ingest" else MOST_BYTES)
    token = request.headers.get(CSRF_HEADER, "")
    asked: Any = data
    if isinstance(route.asks, type):
        asked, sent = body_as(route.asks, data, request.headers.get("content-type", ""))
        token = token or sent
    gateway.access.check_origin(request, caller, token)
    return asked


async def answered(route: Route, call: Call) -> Response:
    """The answer of the handler; of a write that comes again, the first answer."""
    key = call.request.headers.get(IDEMPOTENCY_KEY)
    if key is None or not route.is_repeatable:
        return response_of(await route.handler(call))

    async def write(at_ms: int) -> Response:
        return response_of(await route.handler(call._replace(at_ms=at_ms)))

    name = (call.caller.key_id, route.method, call.request.scope["path"])
    asked = Repeatable(name, key, ENCODE(call.asked), call.at_ms, call.request_id)
    return await call.gateway.idempotency.once(asked, write)


def response_of(answered: Any) -> Response:  # noqa: ANN401 - a struct or a whole response
    """The HTTP answer to what a handler returned."""
    if isinstance(answered, Response):
        return answered
    return Response(ENCODE(answered), media_type="application/json")


def refusal(
    route: Route, gateway: Gateway, request: Request, error: Exception, request_id: str
) -> Response:
    """The answer to a failed call; a page without a caller leads to the sign-in."""
    problem = problem_of(route, error)
    if route.part != "board":
        return problem.response(request_id)
    if problem.code == "unauthenticated":
        return RedirectResponse(sign_in_address(request), SEE_OTHER)
    return failed(request, gateway, problem, request_id)


def problem_of(route: Route, error: Exception) -> Problem:
    """The problem that a failed call is answered with; what nobody expects is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Busy):
        code = "tier_unreachable" if route.method == "GET" else "busy"
        return Problem(code, masked_text(error.reason), retry_after_s=error.retry_after_s)
    LOGGER.error("%s %s failed", route.method, route.path, exc_info=error)
    reason = masked_text(str(error)) if isinstance(error, OrdertideError) else type(error).__name__
    return Problem("internal", f"{route.path}: {reason}")


async def unmatched(request: Request, error: Exception) -> Response:
    """The answer where no row matches."""
    assert isinstance(error, HTTPException)
    request_id = secrets.token_hex(8)
    path = request.url.path
    problem = Problem("not_found", f"{path}: there is no such address")
    if error.status_code == NOT_ALLOWED:
        allowed = ", ".join(methods_at(request))
        problem = Problem(
            "method_not_allowed",
            f"{path}: {request.method} is not possible, {allowed} is",
            headers={"allow": allowed},
        )
    response = problem.response(request_id)
    add_headers(response, request_id)
    return response


def methods_at(request: Request) -> list[str]:
    """The methods of all rows with the path; the first one alone knows its own."""
    return sorted(
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    )


def log(route: Route, caller: Caller, response: Response, request_id: str, took_s: float) -> None:
    """Log a call: never its query, its body or a token."""
    LOGGER.info(
        "%s %s %d",
        *(route.method, route.path, response.status_code),
        extra={
            "request_id": request_id,
            "key": caller.key_id,
            "took_ms": round(took_s * 1000, 1),
            "size_bytes": int(response.headers.get("content-length", 0)),
        },
    )
