"""Route: one row of the route table (`gateway/routes.py`), and a call of it.

From a row come the HTTP route, its access control, its OpenAPI description and its metrics label.
A handler takes a `Call` and returns a struct, which becomes JSON, or a whole `Response`. The first
line of its docstring describes the route.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from gateway.access.caller import Caller, Role
from gateway.limits import Class
from gateway.parts import Gateway
from gateway.problems import Problem

Method = Literal["GET", "POST", "DELETE"]
Part = Literal["api", "board", "callbacks"]
Scope = Literal["own", "any"]
Asked = TypeVar("Asked")

EVERYONE: frozenset[Role] = frozenset()  # no sign-in is needed


class Call(NamedTuple):
    """A call of a route.

    `asked` is an instance of the row's `asks`. `ip` is the caller's address, behind proxies too.
    `at_ms` is the wall clock's instant of the call, or of the first one with its Idempotency-Key.
    """

    request: Request
    gateway: Gateway
    caller: Caller
    asked: Any
    request_id: str
    ip: str
    at_ms: int

    def parameter(self, name: str) -> str:
        """A part of the path, as text.

        Raises:
            Problem: it isn't UTF-8.
        """
        quoted: str = self.request.path_params[name]
        try:
            return unquote(quoted, errors="strict")
        except UnicodeDecodeError as error:
            raise Problem("bad_field", f"{name}: it is not UTF-8", field=name) from error


class Streamed(StreamingResponse):
    """An answer that is sent while it is made; it has the slot of its request, `held`, until then.

    The application hands the slot over.
    """

    held: AsyncExitStack | None = None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self.held or AsyncExitStack():
            await super().__call__(scope, receive, send)


Handler = Callable[[Call], Awaitable[msgspec.Struct | Response]]


class Route(NamedTuple):
    """A row of the table.

    `asks` is the struct of its query parameters, or of the body of a POST, or `body` for the bytes
    of any body, `query` for any query, which the handler reads; `answers` that of a 200, or media
    types, with commas. `roles` may call it, `EVERYONE` without signing in. `scope`: `own` where the
    caller sees its own orders alone. `cls` is the class by which it is limited, `part` the part of
    `serve` it belongs to, `problems` the codes it may answer beside those of access. `statuses` are
    those with which it answers otherwise.
    """

    method: Method
    path: str
    handler: Handler
    asks: type[msgspec.Struct] | Literal["body", "query"] | None
    answers: type[msgspec.Struct] | str
    roles: frozenset[Role]
    scope: Scope
    cls: Class
    part: Part
    problems: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)

    @property
    def is_callback(self) -> bool:
        """Return True for a push of a carrier, which is answered in the carrier's own form."""
        return self.cls == "callback"

    @property
    def is_repeatable(self) -> bool:
        """Return True for a write that takes an Idempotency-Key."""
        return self.cls == "write" and self.part == "api"

    @property
    def summary(self) -> str:
        """Description in one line."""
        return (self.handler.__doc__ or "").strip().splitlines()[0]
