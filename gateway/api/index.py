"""Index: what is served where, who the caller is, and the explanation of each problem."""

from importlib.metadata import version

import msgspec
from starlette.responses import Response

from gateway.access.caller import Role
from gateway.openapi import openapi
from gateway.problems import KINDS, Problem
from gateway.route import Call


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The caller, as the gateway knows it. `csrf_token` goes into writes of a browser's session."""

    key_id: str
    name: str
    role: Role
    tenant: str | None
    party: str
    csrf_token: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of problem and its remedy."""

    code: str
    status: int
    title: str
    remedy: str


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The service, with the addresses to begin with."""

    service: str
    version: str
    addresses: dict[str, str]


async def index(_call: Call) -> Index:
    """The version, and the addresses to begin with."""
    addresses = {"lanes": "/v1/lanes", "orders": "/v1/orders", "me": "/v1/me"}
    return Index(service="ordertide", version=version("ordertide"), addresses=addresses)


async def document(call: Call) -> Response:
    """The routes that are served, as OpenAPI 3.1."""
    attributes = call.gateway.rules.attributes if call.caller.is_staff else {}
    encoded = msgspec.json.encode(openapi(call.request.app.state.routes, attributes))
    return Response(encoded, media_type="application/json")


async def me(call: Call) -> Me:
    """The caller's role and scope."""
    caller, sessions = call.caller, call.gateway.access.sessions
    return Me(
        key_id=caller.key_id,
        name=caller.name,
        role=caller.role,
        tenant=caller.tenant,
        party=caller.party,
        csrf_token=sessions.csrf_token(caller.session) if caller.session else None,
    )


async def problem(call: Call) -> Explanation:
    """A problem's code explained."""
    code = call.parameter("code")
    kind = KINDS.get(code)
    if kind is None:
        raise Problem("not_found", f"problem {code!r}: there is none of this code")
    return Explanation(code=code, status=int(kind.status), title=kind.title, remedy=kind.remedy)
