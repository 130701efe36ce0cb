"""Stream: changes of live orders as server-sent events, within the caller's scope.

An event's `id` is the process's epoch and a number. A reader that comes back with `Last-Event-ID`
gets what it missed, or a `reset` where that isn't held: then it reads everything again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Iterator
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from gateway.api.lanes import CardView, document_view, is_own, own_counts, through_of
from gateway.live.hub import Audience, Change, Hub, Reader
from gateway.live.view import facets_of
from gateway.problems import Problem
from gateway.route import Call
from schemas.instants import format_instant
from schemas.keys import split_order_key
from schemas.order import Lane

MOST_STREAMS = 5  # of a key
COMMENT_EVERY_S = 15.0
LANES_EVERY_S = 0.5
# A reader's next changes are gathered for so long: it costs a write to each reader, not the making
# of the event. The first change after a while is sent at once.
GATHER_S = 0.1
RETRY_S = 2.0
MEDIA_TYPE = "text/event-stream"
TYPES = (
    *("order.changed", "order.retired", "alert.opened", "alert.escalated", "alert.resolved"),
    "lanes",
)


class StreamAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to get: of these types (all without one), of orders in, or that were in, a lane."""

    types: list[str] = []
    lane: list[Lane] = []
    carrier: str | None = None
    supplier: str | None = None


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Data of `order.changed`; `was` holds the lane and the status before, if it was live."""

    card: CardView
    was: dict[str, str] | None
    through: str | None


class AlertChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Data of `alert.opened`, `alert.escalated` and `alert.resolved`."""

    tenant: str
    order_id: str
    alert_id: str
    rule: str
    severity: str


async def stream(call: Call) -> Response:
    """Changes of live orders, alerts and lane counts as server-sent events."""
    unknown = sorted(set(call.asked.types) - set(TYPES))
    if unknown:
        raise Problem(
            "bad_field", f"types: {unknown[0]!r} is none of {', '.join(TYPES)}", field="types"
        )
    call.gateway.check_loaded()
    hub, name = call.gateway.hub, call.caller.key_id
    if sum(reader.name == name for reader in hub.readers) >= MOST_STREAMS:
        raise Problem(
            "limited", f"stream: {MOST_STREAMS} are open with this key; close one", retry_after_s=5
        )
    reader = Reader(name)
    number = hub.join(reader, call.request.headers.get("last-event-id"))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    body = events(call, hub, reader, number)
    return StreamingResponse(body, headers=headers, media_type=MEDIA_TYPE)


async def events(call: Call, hub: Hub, reader: Reader, number: int) -> AsyncIterator[bytes]:
    """The events of a reader, until it leaves, its key or token ends, or the process does."""
    metrics, lanes_sent_s = call.gateway.metrics, 0.0
    metrics.stream_clients.inc()
    audience = hub.audiences.setdefault(scope_of(call), Audience())
    try:
        yield f"retry: {RETRY_S * 1000:.0f}\nid: {hub.epoch}-{number}\n: hello\n\n".encode()
        lanes_due = True
        while not hub.is_closed:
            changes, is_behind = hub.taken(reader)
            parts: list[bytes] = []
            if is_behind:
                metrics.stream_resets.inc()
                number = hub.latest()
                parts.append(event("reset", f"{hub.epoch}-{number}", {"through": through_of(call)}))
            for each, change in changes:
                named = f"{hub.epoch}-{each}"
                make = partial(events_of, call, change, named)
                parts.append(audience.encoded(each, change, make))
            if any(parts):  # at once: a write each would hold up the loop
                yield b"".join(parts)
                await asyncio.sleep(GATHER_S)
            lanes_due = lanes_due or bool(changes) or is_behind
            now_s = time.monotonic()
            wait_s = LANES_EVERY_S - (now_s - lanes_sent_s)
            if lanes_due and wait_s <= 0 and is_wanted(call, "lanes"):
                yield event("lanes", None, lanes_of(call))
                lanes_due, lanes_sent_s = False, now_s
            is_woken = await reader.wait(max(0.05, wait_s) if lanes_due else COMMENT_EVERY_S)
            if not is_woken and not lanes_due:
                if not call.gateway.access.holds(call.caller):
                    return
                yield b": \n\n"
    finally:
        hub.leave(reader)
        metrics.stream_clients.dec()


def scope_of(call: Call) -> Hashable:
    """The scope that decides on the events of a change: equal where their bytes are equal."""
    caller, asked = call.caller, call.asked
    kinds, lanes = tuple(asked.types), tuple(asked.lane)
    return caller.role, caller.tenant, caller.party, kinds, lanes, asked.carrier, asked.supplier


def events_of(call: Call, change: Change, named: str) -> bytes:
    """The events of a change on the wire; none where the caller isn't to get any."""
    return b"".join(event(kind, named, data) for kind, data in told(call, change))


def event(kind: str, number: str | None, data: object) -> bytes:
    """An event on the wire."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def told(call: Call, change: Change) -> Iterator[tuple[str, object]]:
    """(type, data) of the events of a change that the caller asked for and may see."""
    document = change.document
    if document is None:
        tenant, order_id = split_order_key(change.key)
        is_seen = change.was is not None and is_own(call.caller, change.was)
        if is_seen and is_asked(call, change) and is_wanted(call, "order.retired"):
            yield "order.retired", {"tenant": tenant, "order_id": order_id}
        return
    if not call.caller.sees(document) or not is_asked(call, change):
        return
    if is_wanted(call, "order.changed"):
        was = {"lane": change.was.lane, "status": change.was.status} if change.was else None
        through = None if change.through is None else format_instant(change.through)
        yield (
            "order.changed",
            OrderChanged(card=document_view(call, document), was=was, through=through),
        )
    if call.caller.sees_rules:
        yield from alerts_told(call, change)


def alerts_told(call: Call, change: Change) -> Iterator[tuple[str, object]]:
    """The events of alerts that opened, escalated or ended with a change."""
    document = change.document
    assert document is not None
    now = {each.alert_id: (each.rule, each.severity) for each in document.open_alerts}
    for alert_id in [*now, *(each for each in change.alerts_before if each not in now)]:
        before = change.alerts_before.get(alert_id)
        kind = "alert.opened" if before is None else "alert.escalated"
        if alert_id not in now:
            kind = "alert.resolved"
        elif before == now[alert_id]:
            continue
        if is_wanted(call, kind):
            rule, severity = now.get(alert_id) or before or ("", "warning")
            yield (
                kind,
                AlertChanged(
                    tenant=document.tenant,
                    order_id=document.order_id,
                    alert_id=alert_id,
                    rule=rule,
                    severity=severity,
                ),
            )


def is_wanted(call: Call, kind: str) -> bool:
    """Return True if the reader asked for events of this type."""
    return not call.asked.types or kind in call.asked.types


def is_asked(call: Call, change: Change) -> bool:
    """Return True if the order is, or was, one of those asked for."""
    asked = call.asked
    sides = [change.was, facets_of(change.document) if change.document else None]
    return any(
        side is not None
        and (not asked.lane or side.lane in asked.lane)
        and asked.carrier in {None, side.carrier}
        and asked.supplier in {None, side.supplier_id}
        for side in sides
    )


def lanes_of(call: Call) -> dict[str, Any]:
    """Data of `lanes`: the counts in the caller's scope."""
    return {"through": through_of(call), "lanes": own_counts(call)}
