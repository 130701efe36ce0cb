"""Pages of an order's personal data in clear: a form with a reason, and the way back."""

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from gateway.access.caller import OPERATORS
from gateway.api.orders import OrderAsked, found
from gateway.api.personal import Reason, in_clear
from gateway.board.links import address
from gateway.board.pages import OrderPageAsked, order_of
from gateway.route import Call, Route

HTML, SEE_OTHER = "text/html", 303
PATH = "/orders/{id}/personal"


class InClearAsked(OrderPageAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order's `tenant`, and the reason for the audit."""

    reason: Reason


async def order_in_clear(call: Call) -> Response:
    """One order with its personal data in clear, for a reason that stands in the audit."""
    answer = await found(call)
    shown = await in_clear(call, answer.found.document)
    response = await order_of(call, answer, shown)
    response.headers["cache-control"] = "no-store"
    return response


async def order_again(call: Call) -> Response:
    """The order, with its personal data masked again."""
    path = f"/orders/{quote(call.parameter('id'), safe='')}"
    return RedirectResponse(address(path, tenant=call.asked.tenant), SEE_OTHER)


# method, path, handler, asks, answers, roles, scope, class, part, problems
PERSONAL_PAGES: tuple[Route, ...] = (
    Route(
        *("POST", PATH, order_in_clear, InClearAsked, HTML, OPERATORS, "own", "report", "board"),
        problems=("bad_field", "bad_json", "tier_unreachable", "unknown_order", "keys_missing"),
    ),
    # Where a browser goes that reloads the page, or changes its language.
    Route(
        *("GET", PATH, order_again, OrderAsked, HTML, OPERATORS, "own", "page", "board"),
        problems=("bad_field",),
    ),
)
