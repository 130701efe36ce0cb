"""Deliveries of webhooks over HTTP: their list with what was answered, replays, test events.

They lie in the folder of `ordertide act`. What is requested of it goes through the control topic,
so that a request needs no folder.
"""

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from gateway.api.webhooks import log, own_webhook
from gateway.problems import Problem
from gateway.route import Call
from schemas.instants import format_instant
from schemas.keys import content_id, split_order_key
from schemas.topics import CLOCK_KEY
from sinks.subscriptions.deliveries import HEADERS, Delivery, DeliveryState
from sinks.subscriptions.subscription import REQUEST, Request, RequestKind

MOST_ON_A_PAGE = 100


class DeliveriesAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of deliveries, those in a state or all; `before` is the `next` of the page before."""

    state: DeliveryState | None = None
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = 50


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the worker; `delivery` is the `webhook-id` of what is sent, "" for several."""

    webhook: str
    delivery: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery: `id` is its `webhook-id`; what was answered is that of the last attempt."""

    id: str
    type: str
    state: DeliveryState
    attempts: int
    tenant: str
    order_id: str
    came_at: str
    sent_at: str | None
    took_ms: int | None
    status: int | None
    headers: dict[str, str]
    answer: str
    reason: str
    due_at: str | None
    body: msgspec.Raw


class DeliveriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries, the newest first; `next` is the `before` of the next one."""

    deliveries: list[DeliveryView]
    next: int | None


async def send_test(call: Call) -> Response:
    """Send a test event, `webhook.test`."""
    name, _ = own_webhook(call)
    status = call.gateway.webhooks.subscriptions.status(name)
    if status in {"paused", "disabled"}:
        raise Problem("webhook_paused", f"webhook {name!r} is {status}; resume it first")
    return await requested(call, name, "test", content_id("test", name, call.request_id))


async def deliveries(call: Call) -> DeliveriesAnswer:
    """Deliveries of a subscription in 30 days, the newest first, with what was answered."""
    name, _ = own_webhook(call)
    asked = call.asked
    rows = await asyncio.to_thread(page_of, call, name, asked.state, asked.before, asked.limit + 1)
    page = rows[: asked.limit]
    following = page[-1].seq if len(rows) > asked.limit else None
    return DeliveriesAnswer(deliveries=[delivery_view(each) for each in page], next=following)


async def replay(call: Call) -> Response:
    """Send a delivery again, under the same `webhook-id`."""
    name, _ = own_webhook(call)
    delivery = call.parameter("delivery")
    await asyncio.to_thread(check_delivery, call, name, delivery)
    return await requested(call, name, "replay", delivery)


async def replay_dead(call: Call) -> Response:
    """Send all dead deliveries of a subscription again."""
    name, _ = own_webhook(call)
    return await requested(call, name, "replay_dead", "")


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery as it is answered; a test event is of no order."""
    key = delivery.order_key
    tenant, order_id = ("", "") if key.startswith(CLOCK_KEY) else split_order_key(key)
    is_due = delivery.state in {"waiting", "failed"}
    return DeliveryView(
        id=delivery.id,
        type=delivery.kind,
        state=delivery.state,
        attempts=delivery.attempts,
        tenant=tenant,
        order_id=order_id,
        came_at=format_instant(delivery.came_at),
        sent_at=None if delivery.sent_at is None else format_instant(delivery.sent_at),
        took_ms=delivery.took_ms,
        status=delivery.status,
        headers=HEADERS.decode(delivery.headers),
        answer=delivery.answer,
        reason=delivery.reason,
        due_at=format_instant(delivery.due_at) if is_due else None,
        body=msgspec.Raw(delivery.body),
    )


def page_of(
    call: Call, name: str, state: DeliveryState | None, before: int | None, limit: int
) -> list[Delivery]:
    """Deliveries of a subscription.

    Raises:
        Problem: `deliveries_elsewhere`.
    """
    with call.gateway.webhooks.reading() as held:
        if held is None:
            raise Problem(
                "deliveries_elsewhere",
                f"deliveries: {call.gateway.webhooks.deliveries} is missing: 'ordertide act' has "
                "sent nothing yet, or has its folder on another host; share act.folder with it",
            )
        return held.page(name, state, before, limit)


def check_delivery(call: Call, name: str, delivery: str) -> None:
    """Refuse a delivery that the subscription lacks; without the file the worker checks it.

    Raises:
        Problem: `unknown_delivery`.
    """
    with call.gateway.webhooks.reading() as held:
        if held is not None and held.one(name, delivery) is None:
            raise Problem("unknown_delivery", f"delivery {delivery!r}: webhook {name!r} lacks it")


async def requested(call: Call, name: str, kind: RequestKind, delivery: str) -> Response:
    """Request something of the worker; 202 once the request is in the broker's log."""
    at = format_instant(call.at_ms)
    asked = Request(webhook=name, kind=kind, at=at, delivery=delivery)
    request = delivery if kind == "test" else content_id("request", name, call.request_id)
    await call.gateway.control.put(REQUEST, request, msgspec.json.encode(asked))
    log(call, name, f"asked for {kind}")
    answer = Requested(webhook=name, delivery=delivery)
    return Response(msgspec.json.encode(answer), HTTPStatus.ACCEPTED, media_type="application/json")
