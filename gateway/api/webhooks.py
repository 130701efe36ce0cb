"""Webhooks: subscriptions over HTTP, and their secrets.

A secret is shown once, in the answer that creates or rotates it. A caller of one tenant has the
subscriptions of that tenant alone. What they get is sent by `ordertide act`.
"""

import asyncio
import logging
import secrets
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from gateway.api.alerts import operator_of
from gateway.problems import Problem
from gateway.route import Call
from gateway.webhooks import new_secret
from schemas.errors import SettingsError
from schemas.event import Id
from schemas.instants import format_instant
from sinks.actions.channels.http_receiver import checked_url
from sinks.subscriptions.subscription import (
    MOST_SUBSCRIPTIONS,
    OVERLAP_MS,
    STATE,
    TYPES,
    WEBHOOK,
    EventType,
    Filter,
    Status,
    Subscription,
)

LOGGER = logging.getLogger("ordertide.gateway")
Address = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[!-~]+(?![\s\S])")]
Name = Annotated[str, Meta(max_length=100)]
Types = Annotated[tuple[EventType, ...], Meta(max_length=len(TYPES))]


class WebhookAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new subscription. Without `types` it gets all, without `tenant` those of all tenants.

    `filter` has lists of suppliers, carriers and lanes: orders with one of each, before or after
    the change.
    """

    url: Address
    types: Types = ()
    tenant: Id | None = None
    filter: Filter = Filter()
    name: Name = ""


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a subscription that are changed; those left out stay."""

    url: Address | None = None
    types: Types | None = None
    filter: Filter | None = None
    name: Name | None = None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription without its secret.

    `status` is active, failing, paused or disabled (by the worker, for the `reason`). A rotated
    secret signs too until `former_until`. `by` changed it `at` an instant.
    """

    id: str
    url: str
    types: tuple[EventType, ...]
    tenant: str | None
    filter: Filter
    name: str
    status: Status
    reason: str
    failing_since: str | None
    former_until: str | None
    created_at: str
    by: str
    at: str


class NewWebhook(WebhookView, frozen=True, kw_only=True):
    """A subscription with its new secret, which is shown this once."""

    secret: str


class WebhooksAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The subscriptions, the oldest first."""

    webhooks: list[WebhookView]


async def webhooks(call: Call) -> WebhooksAnswer:
    """The subscriptions, without their secrets."""
    call.gateway.check_controlled()
    return WebhooksAnswer(webhooks=own_webhooks(call))


async def add(call: Call) -> Response:
    """Create a subscription; its secret is shown once."""
    call.gateway.check_controlled()
    asked, own = call.asked, call.caller.tenant
    tenant = asked.tenant or own
    if own not in {None, tenant}:
        raise Problem("forbidden", f"tenant {tenant!r}: your key is for {own!r}", field="tenant")
    held = call.gateway.webhooks.subscriptions.records
    if len(held) >= MOST_SUBSCRIPTIONS:
        raise Problem("too_many", f"webhooks: there are {len(held)}; delete one first")
    await check_address(call, asked.url)
    name, secret, at = f"wh_{secrets.token_hex(8)}", new_secret(), format_instant(call.at_ms)
    record = Subscription(
        url=asked.url,
        secret=call.gateway.webhooks.secrets.sealed(name, secret),
        since_at=at,
        active_at=at,
        types=asked.types,
        tenant=tenant,
        filter=asked.filter,
        name=asked.name,
    )
    await put(call, name, record, "created")
    return shown_once(call, name, secret, HTTPStatus.CREATED)


async def webhook(call: Call) -> WebhookView:
    """One subscription, without its secret."""
    name, _ = own_webhook(call)
    return view_of(call, name)


async def change(call: Call) -> WebhookView:
    """Change a subscription's address, types, filter or name."""
    name, record = own_webhook(call)
    given = {
        field: value
        for field, value in msgspec.structs.asdict(call.asked).items()
        if value is not None
    }
    if "url" in given:
        await check_address(call, given["url"])
    await put(call, name, msgspec.structs.replace(record, **given), "changed")
    return view_of(call, name)


async def pause(call: Call) -> WebhookView:
    """Pause a subscription: nothing is sent, and of what happens meanwhile nothing is kept."""
    name, record = own_webhook(call)
    await put(call, name, msgspec.structs.replace(record, is_paused=True), "paused")
    return view_of(call, name)


async def resume(call: Call) -> WebhookView:
    """Resume a subscription that was paused, or disabled; what waited is sent."""
    name, record = own_webhook(call)
    state = call.gateway.webhooks.subscriptions.states.get(name)
    # Behind the instant at which the worker has disabled it, whose clock may be ahead of ours.
    now = max(format_instant(call.at_ms), state.disabled_at if state else "")
    resumed = msgspec.structs.replace(record, is_paused=False, active_at=now)
    await put(call, name, resumed, "resumed")
    return view_of(call, name)


async def remove(call: Call) -> WebhookView:
    """Delete a subscription with its deliveries."""
    name, _ = own_webhook(call)
    view = view_of(call, name)
    await call.gateway.control.put(STATE, name, None)
    await call.gateway.control.put(WEBHOOK, name, None)
    log(call, name, "deleted")
    return view


async def rotate(call: Call) -> Response:
    """Replace a subscription's secret; the former one signs too for 24 hours."""
    name, record = own_webhook(call)
    secret = new_secret()
    rotated = msgspec.structs.replace(
        record,
        secret=call.gateway.webhooks.secrets.sealed(name, secret),
        former=record.secret,
        former_until=format_instant(call.at_ms + OVERLAP_MS),
    )
    await put(call, name, rotated, "given another secret")
    return shown_once(call, name, secret, HTTPStatus.OK)


def own_webhook(call: Call) -> tuple[str, Subscription]:
    """The subscription in the path, if it is the caller's.

    Raises:
        Problem: `unknown_webhook`.
    """
    call.gateway.check_controlled()
    name = call.parameter("id")
    record = call.gateway.webhooks.subscriptions.records.get(name)
    if record is None or not is_own(call, record):
        raise Problem("unknown_webhook", f"webhook {name!r}: there is none under this id")
    return name, record


def is_own(call: Call, record: Subscription) -> bool:
    """Return True for a subscription that the caller may see and change."""
    return call.caller.tenant in {None, record.tenant}


def own_webhooks(call: Call) -> list[WebhookView]:
    """The caller's subscriptions, the oldest first."""
    records = call.gateway.webhooks.subscriptions.records
    own = [name for name, record in records.items() if is_own(call, record)]
    return [view_of(call, name) for name in sorted(own, key=lambda each: records[each].since_at)]


def view_of(call: Call, name: str) -> WebhookView:
    """A subscription as it is answered."""
    subscriptions = call.gateway.webhooks.subscriptions
    record, status = subscriptions.records[name], subscriptions.status(name)
    state = subscriptions.states.get(name) if status in {"failing", "disabled"} else None
    return WebhookView(
        id=name,
        url=record.url,
        types=record.types,
        tenant=record.tenant,
        filter=record.filter,
        name=record.name,
        status=status,
        reason=state.reason if state else "",
        failing_since=(state.failing_since or None) if state else None,
        former_until=record.former_until if record.has_former(call.gateway.now_ms()) else None,
        created_at=record.since_at,
        by=record.by,
        at=record.at,
    )


async def check_address(call: Call, url: str) -> None:
    """Refuse an address that isn't https, or resolves to a private network.

    Raises:
        Problem: `bad_field`.
    """
    try:
        parts = checked_url(url)
    except SettingsError as error:
        raise Problem("bad_field", str(error), field="url") from error
    port = parts.port or (443 if parts.scheme == "https" else 80)
    fault = await asyncio.to_thread(call.gateway.webhooks.allowed.fault, parts.hostname or "", port)
    if fault:
        raise Problem("bad_field", f"url: {fault}", field="url")


async def put(call: Call, name: str, record: Subscription, what: str) -> None:
    """Write a subscription with who changed it."""
    mark = {"by": operator_of(call), "at": format_instant(call.at_ms), "ip": call.ip}
    marked = msgspec.structs.replace(record, **mark)
    await call.gateway.control.put(WEBHOOK, name, msgspec.json.encode(marked))
    log(call, name, what)


def shown_once(call: Call, name: str, secret: str, status: HTTPStatus) -> Response:
    """A subscription with its new secret."""
    body = NewWebhook(**msgspec.structs.asdict(view_of(call, name)), secret=secret)
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def log(call: Call, name: str, what: str) -> None:
    """Log a change of the subscriptions."""
    LOGGER.info(
        "webhook %s %s by %s from %s",
        *(name, what, operator_of(call), call.ip),
        extra={"request_id": call.request_id},
    )
