"""Commands: an order's or a parcel's next status, requested by those whose it is to set.

An order's status is requested by an event of the kind `command`, on which the dataflow decides at
its arrival (docs/semantics.md, Commands). A parcel's status is a fact, as a scan is. The event's id
is a hash of the caller's key, the route and the Idempotency-Key: repeated, it counts once.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from gateway.access.caller import Caller
from gateway.api.alerts import SOURCE, event_time, operator_of
from gateway.api.lanes import parcels_for
from gateway.api.orders import OrderAsked, found
from gateway.idempotency import HEADER as IDEMPOTENCY_KEY
from gateway.problems import Problem
from gateway.route import Call
from gateway.verdicts import Verdict
from schemas.errors import SettingsError
from schemas.event import Code, Id
from schemas.keys import content_id, event_hash
from schemas.order import AcceptedEvent, OrderDocument, ShipmentView
from schemas.type_faults import maybe_meant

WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,9})\b")
MOST_WAIT_S = 10.0

# Statuses that a party may request, where `serve.commands` names no others; staff may request all.
# A carrier's are those of parcels that are signs of life.
BY_ROLE: Mapping[str, tuple[str, ...]] = {
    "customer": ("COMPLETED", "RETURN_REQUESTED"),
    "supplier": ("ALLOCATED", "LABEL_CREATED", "SHIPPED"),
}
PARTIES = ("customer", "supplier", "carrier")


class CommandAsked(OrderAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The status, of the order or of one parcel; the reason is sealed as personal data."""

    status: Code
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    shipment: Id | None = None


class CommandAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The event of a command. `verdict` is null while it isn't known, and for a parcel."""

    tenant: str
    order_id: str
    status: str
    shipment: str | None
    event_id: str
    verdict: Literal["accepted"] | None


def allowed_by(settings: Mapping[str, str], table: Lifecycle) -> dict[str, frozenset[str]]:
    """{a party's role: the statuses that it may request}, by `serve.commands`.

    Raises:
        SettingsError: a role is no party's, or the lifecycle lacks a status.
    """
    allowed = {role: frozenset(codes) & set(table.codes) for role, codes in BY_ROLE.items()}
    allowed["carrier"] = frozenset(
        row.code for row in table.rows if row.logistics and row.scope != "order"
    )
    for role, text in settings.items():
        if role not in PARTIES:
            raise SettingsError(
                f"serve.commands.{role}: no party's role; write one of {', '.join(PARTIES)}"
            )
        codes = frozenset(code.strip() for code in text.split(",") if code.strip())
        if unknown := sorted(codes - set(table.codes)):
            hint = maybe_meant(unknown[0], table.codes)
            raise SettingsError(
                f"serve.commands.{role}: the lifecycle has no status {unknown[0]}{hint}"
            )
        allowed[role] = codes
    return allowed


async def command(call: Call) -> Response:
    """Request an order's next status, or report a parcel's: 202, or 200 with the verdict."""
    check_status(call)
    answer = await found(call)
    order = answer.found.document
    event_id = event_id_of(call, order)
    hashed = f"{event_hash(SOURCE, event_id):016x}"
    if (earlier := event_with(answer.found.timeline, hashed)) is not None:
        return repeated(call, order, event_id, earlier)
    check_possible(call, order)
    gateway, data = call.gateway, message_of(call, order, event_id)
    event = gateway.ingest.checked(data)
    wait_s = wait_of(call) if call.asked.shipment is None else 0.0
    expected = gateway.verdicts.expect(hashed)
    try:
        await gateway.ingest.send([(event, data)], call.caller.key_id, call.ip)
        verdict = await verdict_within(expected, wait_s)
    finally:
        gateway.verdicts.forget(hashed)
    if verdict is not None and not verdict.is_accepted:
        raise not_possible(call, str(verdict.detail.get("status")), None)
    return answered(call, order, event_id, is_accepted=verdict is not None, wait_s=wait_s)


def check_status(call: Call) -> None:
    """Refuse a status that the lifecycle lacks, and one that isn't the caller's to set.

    Raises:
        Problem: `bad_field`, `forbidden`.
    """
    table, asked, caller = call.gateway.lifecycle, call.asked, call.caller
    rank = table.index.get(asked.status)
    kinds = table.of_order if asked.shipment is None else table.of_shipment
    if rank is None or not kinds[rank]:
        of = "an order" if asked.shipment is None else "a parcel"
        named = [code for code, is_of in zip(table.codes, kinds, strict=True) if is_of]
        hint = maybe_meant(asked.status, named) or f"; write one of {', '.join(named)}"
        raise Problem(
            "bad_field", f"status: {asked.status!r} is no status of {of}{hint}", field="status"
        )
    if caller.role == "carrier" and asked.shipment is None:
        raise Problem("bad_field", "shipment: a carrier names the parcel", field="shipment")
    own = call.gateway.commands.get(caller.role)
    if own is not None and asked.status not in own:
        named = sorted(own, key=table.codes.index)
        raise Problem(
            "forbidden", f"status {asked.status}: role {caller.role} may set {', '.join(named)}"
        )


def check_possible(call: Call, order: OrderDocument) -> None:
    """Refuse a status that can't come next by what is known of the order.

    Raises:
        Problem: `not_possible`, lists those that can; `bad_field`, there is no such parcel.
    """
    asked = call.asked
    if asked.shipment is None:
        if asked.status not in next_of(call.gateway.lifecycle, order.status):
            raise not_possible(call, order.status, None)
        return
    parcel = parcel_of(call.caller, order, asked.shipment)
    if asked.status not in next_of_parcel(call.gateway.lifecycle, parcel.status):
        raise not_possible(call, parcel.status, asked.shipment)


def parcel_of(caller: Caller, order: OrderDocument, name: str) -> ShipmentView:
    """The parcel of an order, if the caller may see it.

    Raises:
        Problem: `bad_field`, there is none.
    """
    parcels = parcels_for(caller, order.shipments)
    for parcel in parcels:
        if parcel.shipment == name:
            return parcel
    named = ", ".join(parcel.shipment for parcel in parcels if parcel.shipment) or "none"
    raise Problem(
        "bad_field", f"shipment: no parcel {name!r}; the order has {named}", field="shipment"
    )


def next_of(table: Lifecycle, status: str | None) -> list[str]:
    """Statuses that a command may request of an order in `status`, None of an embryo."""
    rank = table.index.get(status or "", NO_STATUS)
    if rank == NO_STATUS:
        return [row.code for row in table.rows if row.creates]
    return codes_of(table, (each for each in table.next[rank] if table.of_order[each]))


def next_of_parcel(table: Lifecycle, status: str | None) -> list[str]:
    """Statuses that a parcel in `status` may have next, steps skipped; None of a new parcel."""
    rank = table.index.get(status or "", NO_STATUS)
    if rank == NO_STATUS:
        return [row.code for row in table.rows if row.scope != "order" and not row.note]
    return codes_of(table, table.shipment_ways.regular[rank])


def codes_of(table: Lifecycle, ranks: Iterable[int]) -> list[str]:
    """Codes of statuses, by rank."""
    return [table.codes[rank] for rank in sorted(ranks)]


def not_possible(call: Call, status: str | None, shipment: str | None) -> Problem:
    """The problem of a status that can't come next, with those that can."""
    table, wanted = call.gateway.lifecycle, call.asked.status
    reached = next_of(table, status) if shipment is None else next_of_parcel(table, status)
    own = call.gateway.commands.get(call.caller.role)
    possible = [code for code in reached if own is None or code in own]
    of = "the order" if shipment is None else f"parcel {shipment}"
    listed = f"possible are {', '.join(possible)}" if possible else "no status is possible"
    return Problem(
        "not_possible",
        f"status {wanted}: {of} is {status or 'without a status'}; {listed}",
        field="status",
        possible=possible,
    )


def event_id_of(call: Call, order: OrderDocument) -> str:
    """Id of the event: the same for the same key, route and Idempotency-Key."""
    unique = call.request.headers.get(IDEMPOTENCY_KEY) or call.request_id
    route = ("command", order.tenant, order.order_id)
    return content_id(call.caller.key_id, *route, unique)


def event_with(timeline: Iterable[AcceptedEvent], hashed: str) -> AcceptedEvent | None:
    """The accepted event of this hash; None where the order has none yet."""
    return next((event for event in timeline if event.event_hash == hashed), None)


def repeated(call: Call, order: OrderDocument, event_id: str, event: AcceptedEvent) -> Response:
    """The answer to a command that the order has already.

    Raises:
        Problem: `idempotency_mismatch`, the earlier one was another.
    """
    if event.status != call.asked.status:
        raise Problem(
            "idempotency_mismatch",
            f"Idempotency-Key: it came with status {event.status} before; take a new key",
            field=IDEMPOTENCY_KEY,
        )
    return answered(call, order, event_id, is_accepted=True, wait_s=0)


def message_of(call: Call, order: OrderDocument, event_id: str) -> bytes:
    """The event of a command."""
    asked = call.asked
    fields: dict[str, object] = {
        "event_id": event_id,
        "source": SOURCE,
        "tenant": order.tenant,
        "order_id": order.order_id,
        "status_code": asked.status,
        "timestamp": event_time(call),
        "operator": operator_of(call),
        "ip": call.ip,
    }
    if asked.shipment is None:
        fields["kind"] = "command"
    else:
        fields["shipment"] = asked.shipment
    if asked.reason.strip():
        fields["personal"] = {"text": asked.reason}
    return msgspec.json.encode(fields)


def wait_of(call: Call) -> float:
    """Seconds that the caller prefers to wait (RFC 7240), at most ten."""
    preferred = WAIT.search(call.request.headers.get("prefer", ""))
    return min(MOST_WAIT_S, float(preferred[1])) if preferred else 0.0


async def verdict_within(expected: "asyncio.Future[Verdict]", wait_s: float) -> Verdict | None:
    """The verdict, None if it takes longer."""
    if not wait_s:
        return None
    try:
        async with asyncio.timeout(wait_s):
            return await asyncio.shield(expected)
    except TimeoutError:
        return None


def answered(
    call: Call, order: OrderDocument, event_id: str, *, is_accepted: bool, wait_s: float
) -> Response:
    """The answer: 200 with the verdict, 202 without."""
    body = CommandAnswer(
        tenant=order.tenant,
        order_id=order.order_id,
        status=call.asked.status,
        shipment=call.asked.shipment,
        event_id=event_id,
        verdict="accepted" if is_accepted and call.asked.shipment is None else None,
    )
    status = HTTPStatus.OK if is_accepted else HTTPStatus.ACCEPTED
    headers = {"preference-applied": f"wait={wait_s:.0f}"} if wait_s else {}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
