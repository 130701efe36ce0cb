"""Personal data of an order: masked for staff, in clear by a request with a reason.

The sealed values are those of the order's events; the keys are in the file of `privacy.keys`, on
this host or not. In clear they are in this one answer alone: never in the stream, in an export, in
a log or with an Idempotency-Key. Of an erased customer nothing is opened, whatever is left.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from gateway.api.alerts import SOURCE, operator_of
from gateway.api.orders import OrderAsked, found
from gateway.masking import masked
from gateway.problems import Problem
from gateway.route import Call
from privacy.keys import FileKeyStore, KeyErased, KeyStore
from privacy.seal import open_event, sealed_in
from schemas.alert import AuditEntry
from schemas.errors import Busy, SettingsError, StateError
from schemas.instants import format_instant
from schemas.keys import content_id, order_key
from schemas.order import AcceptedEvent, OrderDocument
from storage_tiering.find import timeline

MOST_FIELDS = 200
Reason = Annotated[str, Meta(max_length=200, pattern=r"\S")]


class UnmaskAsked(OrderAsked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order's `tenant`, and the reason, which stands in the audit: write no name into it."""

    reason: Reason


class PersonalField(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a field such as `address.city`, with the event that brought it last."""

    field: str
    value: str
    at: str
    status: str


class PersonalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Personal data of an order, the newest first. `is_erased`: its customer was erased."""

    tenant: str
    order_id: str
    is_masked: bool
    is_erased: bool
    fields: list[PersonalField]


async def personal(call: Call) -> PersonalAnswer:
    """Personal data of an order's events, masked."""
    document = (await found(call)).found.document
    return await opened(call, document, await events_of(call, document), is_masked=True)


async def unmask(call: Call) -> Response:
    """Personal data of an order's events in clear; the access is in the audit before it is made."""
    document = (await found(call)).found.document
    answer = await in_clear(call, document)
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")


async def in_clear(call: Call, document: OrderDocument) -> PersonalAnswer:
    """Personal data of an order in clear, for the reason that was asked with.

    Raises:
        Problem: `keys_missing`.
        Busy: the tiers or the audit are unavailable; nothing was opened.
    """
    events = await events_of(call, document)
    is_there = bool(events) and await asyncio.to_thread(has_keys, keystore_of(call), events)
    if is_there:
        await audit(call, document)
    return await opened(call, document, events, is_masked=False)


async def masked_beside(
    call: Call, document: OrderDocument, known: Sequence[AcceptedEvent]
) -> PersonalAnswer | None:
    """Masked personal data for a page of staff; None where there is none, or no key here."""
    events = sealed_events(known)
    if not (events and call.caller.is_staff):
        return None
    try:
        return await opened(call, document, events, is_masked=True)
    except (Problem, Busy):
        return None


async def events_of(call: Call, document: OrderDocument) -> list[AcceptedEvent]:
    """The events of an order with sealed data, from all tiers that answer."""
    tenant, order_id = document.tenant, document.order_id
    known = await call.gateway.tiers.run(lambda tiers: timeline(tiers, tenant, order_id))
    return sealed_events(known)


def sealed_events(events: Sequence[AcceptedEvent]) -> list[AcceptedEvent]:
    """Those events whose personal data is sealed."""
    return [event for event in events if sealed_in(event.event)]


async def opened(
    call: Call, document: OrderDocument, events: Sequence[AcceptedEvent], *, is_masked: bool
) -> PersonalAnswer:
    """The personal data in sealed events of an order.

    Raises:
        Problem: `keys_missing`.
        Busy: a value is damaged in this tier.
    """
    fields: list[PersonalField] | None = []
    if events:
        try:
            fields = await asyncio.to_thread(fields_in, keystore_of(call), events)
        except StateError as error:
            raise Busy(str(error)) from error
    shown = [
        msgspec.structs.replace(each, value=masked(each.field, each.value)) if is_masked else each
        for each in fields or ()
    ]
    return PersonalAnswer(
        tenant=document.tenant,
        order_id=document.order_id,
        is_masked=is_masked,
        is_erased=fields is None,
        fields=shown,
    )


def keystore_of(call: Call) -> FileKeyStore:
    """The keys of this host.

    Raises:
        Problem: `keys_missing`, there are none here.
    """
    try:
        return call.gateway.originals.keystore
    except (SettingsError, StateError, OSError) as error:
        raise no_keys(f"privacy.keys: {error}") from error


def has_keys(keystore: KeyStore, events: Sequence[AcceptedEvent]) -> bool:
    """Return True if the data of all events can be opened; False if there is none, or erased.

    Raises:
        Problem: `keys_missing`, a key was never here.
    """
    named = {sealed["key"] for sealed in (sealed_in(event.event) for event in events) if sealed}
    if any(keystore.is_erased(key_id) for key_id in named):
        return False
    for key_id in named:
        if keystore.find(key_id) is None:
            raise no_keys(f"privacy.keys: it has no key {key_id}; name the key file of track")
    return bool(named)


def fields_in(keystore: KeyStore, events: Sequence[AcceptedEvent]) -> list[PersonalField] | None:
    """The values in sealed events, each once, the newest first; None of an erased customer.

    Raises:
        Problem: `keys_missing`.
        StateError: a value is damaged, or was sealed in another record.
    """
    if not has_keys(keystore, events):
        return None
    newest: dict[tuple[str, str], PersonalField] = {}
    for event in reversed(events):
        try:
            held = open_event(bytes(event.event), keystore)
        except KeyErased:  # just now
            return None
        for field, value in leaves_of(held):
            row = PersonalField(field=field, value=value, at=event.at, status=event.status)
            newest.setdefault((field, value), row)
    return [*newest.values()][:MOST_FIELDS]


def leaves_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
    """(field, text) of each value in personal data; dots lead into objects."""
    if isinstance(value, Mapping):
        for key, held in value.items():
            yield from leaves_of(held, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for held in value:
            yield from leaves_of(held, name)
    elif value is not None and value != "":
        yield name, str(value)


async def audit(call: Call, document: OrderDocument) -> None:
    """Write an access to the audit; it is there when this returns."""
    entry = AuditEntry(
        audit_id=content_id("audit", "personal.read", call.caller.key_id, call.request_id),
        at=format_instant(call.gateway.now_ms()),
        what="personal.read",
        tenant=document.tenant,
        order_id=document.order_id,
        detail={"reason": call.asked.reason.strip()},
        operator=operator_of(call),
        ip=call.ip,
        source=SOURCE,
    )
    key = order_key(document.tenant, document.order_id)
    await call.gateway.ingest.audit([(key, msgspec.json.encode(entry))])


def no_keys(detail: str) -> Problem:
    """The problem of keys that aren't here."""
    return Problem("keys_missing", detail)
