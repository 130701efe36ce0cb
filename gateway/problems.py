"""Problems: the errors of the gateway, as RFC 9457 has them.

A problem names the thing, the reason and the remedy in `detail`; its `code` is stable and
`/v1/problems/CODE` explains it. `field` is the parameter or field at fault.
"""

import math
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from schemas.display import printable
from schemas.errors import OrdertideError

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: its status, its title, and the remedy for any of its kind."""

    status: HTTPStatus
    title: str
    remedy: str


KINDS: dict[str, Kind] = {
    "bad_field": Kind(
        HTTPStatus.BAD_REQUEST,
        "A parameter or field can't be used",
        "Correct the parameter or field that `field` names; `detail` has the reason.",
    ),
    "bad_json": Kind(
        HTTPStatus.BAD_REQUEST,
        "The body can't be read",
        "Send JSON in UTF-8; `detail` has the place.",
    ),
    "bad_encoding": Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body's compression can't be read",
        "Send the body as it is, or with gzip or zstd.",
    ),
    "too_large": Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "Send it in parts: 1 MiB, events 4 MiB and 1,000 of them, 8 MiB decompressed at most.",
    ),
    "too_slow": Kind(
        HTTPStatus.REQUEST_TIMEOUT,
        "The body came too slowly",
        "Send the body within 20 s.",
    ),
    "unauthenticated": Kind(
        HTTPStatus.UNAUTHORIZED,
        "The caller is unknown",
        "Send an API key as `Authorization: Bearer ot_…` or a token of the issuer, or sign in with "
        "a new link: `ordertide key link` prints one.",
    ),
    "issuer_unreachable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The issuer of sign-ins and tokens can't be asked",
        "Retry after the seconds in `Retry-After`; `ordertide doctor issuer` shows what is wrong. "
        "Keys and links of `ordertide key link` work meanwhile.",
    ),
    "forbidden": Kind(
        HTTPStatus.FORBIDDEN,
        "The caller's role may not do this",
        "Use a key or a token of a role that the route lists.",
    ),
    "not_found": Kind(
        HTTPStatus.NOT_FOUND,
        "There is no such address",
        "Correct the path; `/v1/openapi.json` lists every route.",
    ),
    "unknown_order": Kind(
        HTTPStatus.NOT_FOUND,
        "No such order",
        "Check the order id and the tenant. An order outside the caller's scope is answered "
        "like one that doesn't exist.",
    ),
    "unknown_attribute": Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The rules file declares no such attribute",
        "Search by one of the attributes in `possible`, or declare it under [attributes] in the "
        "rules file.",
    ),
    "unknown_alert": Kind(
        HTTPStatus.NOT_FOUND,
        "No such open alert",
        "List the alerts again: it has ended, or never was in the caller's scope.",
    ),
    "unknown_action": Kind(
        HTTPStatus.NOT_FOUND,
        "No such action of the order",
        "Send the order id and the tenant that came with the action. An action that was requested "
        "a moment ago may not be in the audit of the tiers yet: retry.",
    ),
    "keys_missing": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The keys of personal data aren't on this host",
        "Run `ordertide serve` on the host of `ordertide track`, or give it the key file and the "
        "master key by `privacy.keys`.",
    ),
    "not_possible": Kind(
        HTTPStatus.CONFLICT,
        "The order can't have this status next",
        "Request one of the statuses in `possible`; the lifecycle has what comes after what.",
    ),
    "count_differs": Kind(
        HTTPStatus.CONFLICT,
        "The filter means another number of alerts by now",
        "List the alerts again, and send the filter with the number that is there.",
    ),
    "idempotency_mismatch": Kind(
        HTTPStatus.CONFLICT,
        "The Idempotency-Key belongs to another request",
        "Take a new Idempotency-Key for a new request; send the same body to repeat one.",
    ),
    "unknown_key": Kind(
        HTTPStatus.NOT_FOUND,
        "No such key",
        "List the keys: it was revoked, or never was in the caller's tenant.",
    ),
    "unknown_webhook": Kind(
        HTTPStatus.NOT_FOUND,
        "No such webhook",
        "List the webhooks: it was deleted, or never was in the caller's tenant.",
    ),
    "unknown_delivery": Kind(
        HTTPStatus.NOT_FOUND,
        "No such delivery of the webhook",
        "List the deliveries: they are kept for 30 days, of those that succeeded the last 10,000.",
    ),
    "webhook_paused": Kind(
        HTTPStatus.CONFLICT,
        "The webhook is paused or disabled",
        "Resume it; `reason` of the webhook has why it was disabled.",
    ),
    "deliveries_elsewhere": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The deliveries aren't on the gateway's host",
        "Share the folder of `ordertide act` (`act.folder`) with `ordertide serve`, or run "
        "`ordertide webhook deliveries` on its host. Nothing is sent before `act` runs.",
    ),
    "too_many": Kind(
        HTTPStatus.CONFLICT,
        "There are as many as there may be",
        "Delete one that isn't needed any more.",
    ),
    "method_not_allowed": Kind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The address exists, but not with this method",
        "Use a method that the header `Allow` lists.",
    ),
    "tier_unreachable": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A tier that may hold the answer is unavailable",
        "Retry after the seconds in `Retry-After`.",
    ),
    "limited": Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "Wait the seconds in `Retry-After`; `RateLimit-Remaining` shows what is left.",
    ),
    "busy": Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The gateway can't take it now",
        "Retry after the seconds in `Retry-After`. Nothing was taken that wasn't acknowledged.",
    ),
    "internal": Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The gateway failed",
        "Report the `request_id`; the log of `ordertide serve` has the trace under it.",
    ),
}


class Problem(OrdertideError):
    """The answer to a request that can't be served; `code` is one of `KINDS`."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
        possible: list[str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.possible = possible
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["retry-after"] = whole_seconds(retry_after_s)

    @property
    def status(self) -> HTTPStatus:
        """HTTP status."""
        return KINDS[self.code].status

    def response(self, request_id: str) -> Response:
        """The problem as an HTTP answer."""
        document = ProblemDocument(
            type=f"/v1/problems/{self.code}",
            title=KINDS[self.code].title,
            status=int(self.status),
            detail=printable(self.detail),
            code=self.code,
            field=self.field,
            request_id=request_id,
            possible=self.possible,
        )
        body = msgspec.json.encode(document)
        if self.status == HTTPStatus.UNAUTHORIZED:
            self.headers.setdefault("www-authenticate", "Bearer")
        return Response(body, self.status, self.headers, media_type=MEDIA_TYPE)


def whole_seconds(retry_after_s: float) -> str:
    """Value of `Retry-After`: never earlier than asked for, and never 0."""
    return str(max(1, math.ceil(retry_after_s)))


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of a problem. `possible` are the values that could be used instead."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | None = None
    possible: list[str] | None = None
