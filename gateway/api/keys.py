"""Keys: API keys over HTTP, as `ordertide key` has them.

A key is shown once, in the answer that creates it: only its SHA-256 is kept. An administrator of
one tenant has the keys of that tenant alone. The administrator's own key lies in the folder of
`serve.folder`, and is neither listed nor revoked here.
"""

import logging
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from gateway.access.caller import Role
from gateway.access.keys import ADMIN_ID, API_KEY, KeyRecord, fault_of_party, new_key, record_of
from gateway.api.alerts import operator_of
from gateway.problems import Problem
from gateway.route import Call
from schemas.event import Id
from schemas.instants import format_instant
from schemas.keys import DEFAULT_TENANT

LOGGER = logging.getLogger("ordertide.gateway")
Name = Annotated[str, Meta(max_length=100)]


class KeyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new key. Without `tenant` it is for all, a party's for the default one.

    `party` is a customer's, supplier's or carrier's own id; `name` is who has it.
    """

    role: Role
    tenant: Id | None = None
    party: Annotated[str, Meta(max_length=256)] = ""
    name: Name = ""


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    role: Role
    tenant: str | None
    party: str
    name: str
    by: str
    at: str | None


class KeysAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that are valid, the oldest first."""

    keys: list[KeyView]


class NewKey(KeyView, frozen=True, kw_only=True):
    """A key as it was created; `key` is shown this once."""

    key: str


async def keys(call: Call) -> KeysAnswer:
    """The valid API keys, without their secrets."""
    call.gateway.check_controlled()
    records = [each for each in call.gateway.access.keys.records.values() if is_own(call, each)]
    return KeysAnswer(keys=[view_of(each) for each in sorted(records, key=lambda each: each.at)])


async def add(call: Call) -> Response:
    """Create an API key, which is shown once."""
    call.gateway.check_controlled()
    asked, own = call.asked, call.caller.tenant
    if fault := fault_of_party(asked.role, asked.party):
        raise Problem("bad_field", f"party: {fault}", field="party")
    tenant = asked.tenant or own or (DEFAULT_TENANT if asked.party else None)
    if own not in {None, tenant}:
        raise Problem("forbidden", f"tenant {tenant!r}: your key is for {own!r}", field="tenant")
    key = new_key()
    made = {"by": operator_of(call), "at": format_instant(call.at_ms)}
    record = record_of(key, asked.role, asked.name, tenant=tenant, party=asked.party, **made)
    await call.gateway.control.put(API_KEY, record.caller.key_id, msgspec.json.encode(record))
    log(call, "added", record)
    body = NewKey(**msgspec.structs.asdict(view_of(record)), key=key)
    return Response(msgspec.json.encode(body), HTTPStatus.CREATED, media_type="application/json")


async def revoke(call: Call) -> KeyView:
    """Revoke an API key, in every process; sessions that it signed in end."""
    call.gateway.check_controlled()
    key_id = call.parameter("id")
    record = call.gateway.access.keys.records.get(key_id)
    if record is None or not is_own(call, record):
        raise Problem("unknown_key", f"key {key_id!r}: none is valid under this id")
    await call.gateway.control.put(API_KEY, key_id, None)
    log(call, "revoked", record)
    return view_of(record)


def is_own(call: Call, record: KeyRecord) -> bool:
    """Return True for a key that the caller may see and revoke."""
    caller = record.caller
    return caller.key_id != ADMIN_ID and call.caller.tenant in {None, caller.tenant}


def view_of(record: KeyRecord) -> KeyView:
    """A key as it is answered."""
    caller = record.caller
    return KeyView(
        id=caller.key_id,
        role=caller.role,
        tenant=caller.tenant,
        party=caller.party,
        name=caller.name,
        by=record.by,
        at=record.at or None,
    )


def log(call: Call, what: str, record: KeyRecord) -> None:
    """Log a change of the keys."""
    LOGGER.info(
        "key %s of role %s %s by %s from %s",
        *(record.caller.key_id, record.caller.role, what, operator_of(call), call.ip),
        extra={"request_id": call.request_id},
    )
