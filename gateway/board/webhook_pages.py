"""Pages of the webhooks: list and forms, which do what the API does, without a script.

A secret is in the answer to the form that creates or rotates it, and in no other.
"""

from functools import wraps
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import RedirectResponse, Response

from gateway.access.caller import SUBSCRIBERS
from gateway.api import webhook_deliveries, webhooks
from gateway.api.alerts import Nothing
from gateway.asked import worded
from gateway.board.viewer import language_of, page_of, words_of
from gateway.board.webhooks_page import PATH, WebhooksPage, webhook_page, webhook_row
from gateway.problems import Problem
from gateway.route import Call, Handler, Route
from sinks.subscriptions.deliveries import DeliveryState

SEE_OTHER = 303
HTML = "text/html"
Text = Annotated[str, Meta(max_length=2_000)]
Tick = Literal["", "1"]


class WebhookForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new webhook: types and lanes are ticked, carriers and suppliers written with commas."""

    url: Text
    name: Text = ""
    carrier: Text = ""
    supplier: Text = ""
    normal: Tick = ""
    warning: Tick = ""
    overdue: Tick = ""
    order_created: Tick = ""
    order_changed: Tick = ""
    order_delivered: Tick = ""
    order_retired: Tick = ""
    alert_opened: Tick = ""
    alert_escalated: Tick = ""
    alert_resolved: Tick = ""

    def asked(self) -> webhooks.WebhookAsked:
        """The same as the API has it.

        Raises:
            Problem: a field can't be used.
        """
        chosen: dict[str, Any] = {
            "supplier": [part.strip() for part in self.supplier.split(",") if part.strip()],
            "carrier": [part.strip() for part in self.carrier.split(",") if part.strip()],
            "lane": [lane for lane in ("normal", "warning", "overdue") if getattr(self, lane)],
        }
        kinds = [kind for kind in WebhooksPage([]).types if getattr(self, kind.replace(".", "_"))]
        given = {"url": self.url.strip(), "name": self.name, "types": kinds, "filter": chosen}
        try:
            return msgspec.convert(given, webhooks.WebhookAsked)
        except msgspec.ValidationError as error:
            raise worded(error) from error


class WebhookShown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the deliveries of a webhook."""

    state: Literal["", DeliveryState] = ""
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


async def webhooks_list(call: Call) -> Response:
    """The webhooks with their status, and the form that makes one."""
    call.gateway.check_controlled()
    words, now = words_of(call.gateway, language_of(call.request)), call.gateway.now_ms()
    rows = [webhook_row(words, view, now) for view in webhooks.own_webhooks(call)]
    title = words.say("page.settings")
    return page_of(call, "webhooks.html", "settings", title, page=WebhooksPage(rows))


async def webhook_shown(call: Call) -> Response:
    """One webhook: its forms, and its deliveries with what was answered."""
    view, words = await webhooks.webhook(call), words_of(call.gateway, language_of(call.request))
    asked = webhook_deliveries.DeliveriesAsked(
        state=call.asked.state or None, before=call.asked.before
    )
    found, following, fault = list[webhook_deliveries.DeliveryView](), None, ""
    try:
        answer = await webhook_deliveries.deliveries(call._replace(asked=asked))
        found, following = answer.deliveries, answer.next
    except Problem as problem:
        if problem.code != "deliveries_elsewhere":
            raise
        fault = words.say("hooks.elsewhere", file=str(call.gateway.webhooks.deliveries))
    now = call.gateway.now_ms()
    page = webhook_page(words, view, found, call.asked.state, following, fault, now)
    return page_of(call, "webhook.html", "settings", page.row.label, page=page)


async def create(call: Call) -> Response:
    """Create a webhook by a form; its secret is in the answer alone."""
    return secret_page(call, await webhooks.add(call._replace(asked=call.asked.asked())))


async def rotate(call: Call) -> Response:
    """Replace the secret of a webhook by a form; the new one is in the answer alone."""
    return secret_page(call, await webhooks.rotate(call))


async def remove(call: Call) -> Response:
    """Delete a webhook by a form."""
    await webhooks.remove(call)
    return RedirectResponse(PATH, SEE_OTHER)


def by_form(write: Handler) -> Handler:
    """A write of the API by a form, which leads back to the page of the webhook."""

    @wraps(write)
    async def written(call: Call) -> Response:
        await write(call)
        name, _ = webhooks.own_webhook(call)
        return RedirectResponse(f"{PATH}/{name}", SEE_OTHER)

    return written


def secret_page(call: Call, answer: Response) -> Response:
    """The page that shows a new secret."""
    made = msgspec.json.decode(bytes(answer.body), type=webhooks.NewWebhook)
    words = words_of(call.gateway, language_of(call.request))
    return page_of(
        *(call, "webhook_secret.html", "settings", words.say("hooks.secret")),
        made=made,
        href=f"{PATH}/{made.id}",
    )


FORMS: tuple[tuple[str, Handler, str], ...] = (
    ("pause", by_form(webhooks.pause), ""),
    ("resume", by_form(webhooks.resume), ""),
    ("rotate", rotate, ""),
    ("delete", remove, ""),
    ("test", by_form(webhook_deliveries.send_test), "webhook_paused"),
    ("replay", by_form(webhook_deliveries.replay_dead), ""),
    ("deliveries/{delivery}/replay", by_form(webhook_deliveries.replay), "unknown_delivery"),
)
WRITE = ("bad_field", "bad_json", "bad_encoding", "busy", "too_large", "too_slow")

# method, path, handler, asks, answers, roles, scope, class, part, problems
WEBHOOK_PAGES: tuple[Route, ...] = (
    Route(
        *("GET", PATH, webhooks_list, Nothing, HTML, SUBSCRIBERS, "own", "page", "board"),
        problems=("bad_field", "tier_unreachable"),
    ),
    Route(
        *("POST", PATH, create, WebhookForm, HTML, SUBSCRIBERS, "own", "write", "board"),
        problems=(*WRITE, "too_many"),
    ),
    Route(
        *("GET", f"{PATH}/{{id}}", webhook_shown, WebhookShown, HTML),
        *(SUBSCRIBERS, "own", "page", "board"),
        problems=("bad_field", "tier_unreachable", "unknown_webhook"),
    ),
    *(
        Route(
            *("POST", f"{PATH}/{{id}}/{name}", handler, Nothing, HTML),
            *(SUBSCRIBERS, "own", "write", "board"),
            problems=(*WRITE, "unknown_webhook", *filter(None, [problem])),
        )
        for name, handler, problem in FORMS
    ),
)
