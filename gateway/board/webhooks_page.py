"""View models of the webhooks: their list, one with its deliveries, and its secret shown once."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.api.webhook_deliveries import DeliveryView
from gateway.api.webhooks import WebhookView
from gateway.board.links import address, order_href
from gateway.board.wording import Words
from schemas.instants import parse_instant
from sinks.subscriptions.deliveries import STATES
from sinks.subscriptions.subscription import TYPES

PATH = "/settings/webhooks"
CHIPS = {"active": "normal", "failing": "warning", "disabled": "overdue", "paused": ""}
STATE_CHIPS = {"done": "normal", "failed": "warning", "dead": "overdue"}
REPLAYED = {"done", "dead"}
SHOWN_ANSWER = 200


class WebhookRow(NamedTuple):
    """A webhook in words; `chip` is the class of its status."""

    id: str
    href: str
    label: str
    url: str
    status: str
    chip: str
    types: list[str]
    filter: str
    tenant: str
    note: str
    by: str
    is_open: bool


class DeliveryRow(NamedTuple):
    """A delivery in words; `replay` is where its form goes, "" for one that has not ended."""

    id: str
    at: str
    kind: str
    order_id: str
    href: str
    state: str
    chip: str
    attempts: int
    answered: str
    reason: str
    body: str
    replay: str


class WebhooksPage(NamedTuple):
    """The list of webhooks."""

    rows: list[WebhookRow]
    types: Sequence[str] = TYPES


class WebhookPage(NamedTuple):
    """A webhook with a page of its deliveries; `fault` is why these are unknown here."""

    row: WebhookRow
    url: str
    deliveries: list[DeliveryRow]
    states: list[tuple[str, str]]
    state: str
    later: str
    fault: str


def webhook_row(words: Words, view: WebhookView, now: int) -> WebhookRow:
    """A webhook in words at `now` (wall clock, ms)."""
    chosen = view.filter
    fields = {
        "carrier": chosen.carrier,
        "supplier": chosen.supplier,
        "lane": [words.say(f"lane.{lane}") for lane in chosen.lane],
    }
    named = {words.say(f"hooks.{name}"): values for name, values in fields.items() if values}
    filters = [f"{name}: {', '.join(values)}" for name, values in named.items()]
    return WebhookRow(
        id=view.id,
        href=f"{PATH}/{view.id}",
        label=view.name or view.id,
        url=view.url,
        status=words.say(f"hooks.is.{view.status}"),
        chip=CHIPS[view.status],
        types=[*view.types] or [words.say("hooks.types.all")],
        filter="; ".join(filters) or words.say("hooks.filter.none"),
        tenant=view.tenant or words.say("hooks.tenant.all"),
        note=note_of(words, view, now),
        by=words.say("hooks.by", name=view.by, at=words.stamp(parse_instant(view.at), now)),
        is_open=view.status in {"active", "failing"},
    )


def note_of(words: Words, view: WebhookView, now: int) -> str:
    """Since when it fails, why it is disabled, until when the former secret signs."""
    parts = [view.reason] if view.reason else []
    if view.failing_since:
        at = words.stamp(parse_instant(view.failing_since), now)
        parts.append(words.say("hooks.since", at=at))
    if view.former_until:
        at = words.stamp(parse_instant(view.former_until), now)
        parts.append(words.say("hooks.former", at=at))
    return " · ".join(parts)


def webhook_page(
    words: Words,
    view: WebhookView,
    found: Sequence[DeliveryView],
    state: str,
    following: int | None,
    fault: str,
    now: int,
) -> WebhookPage:
    """A webhook with a page of its deliveries; `following` is where the next one begins."""
    row = webhook_row(words, view, now)
    return WebhookPage(
        row=row,
        url=view.url,
        deliveries=[delivery_row(words, each, row.href, now) for each in found],
        states=[(each, words.say(f"hooks.state.{each}")) for each in STATES],
        state=state,
        later=address(row.href, state=state, before=following) if following else "",
        fault=fault,
    )


def delivery_row(words: Words, delivery: DeliveryView, path: str, now: int) -> DeliveryRow:
    """A delivery in words."""
    answered = "" if delivery.status is None else str(delivery.status)
    if delivery.took_ms is not None:
        answered = f"{answered} · {words.number(delivery.took_ms)} ms".removeprefix(" · ")
    body = msgspec.json.format(bytes(delivery.body), indent=1).decode()
    order = delivery.order_id
    return DeliveryRow(
        id=delivery.id,
        at=words.stamp(parse_instant(delivery.came_at), now),
        kind=delivery.type,
        order_id=order,
        href=order_href(delivery.tenant, order) if order else "",
        state=words.say(f"hooks.state.{delivery.state}"),
        chip=STATE_CHIPS.get(delivery.state, ""),
        attempts=delivery.attempts,
        answered=answered,
        reason=" ".join(filter(None, (delivery.reason, delivery.answer[:SHOWN_ANSWER]))),
        body=body,
        replay=f"{path}/deliveries/{delivery.id}/replay" if delivery.state in REPLAYED else "",
    )
