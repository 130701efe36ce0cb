"""Events: the door for shops, one event or many, each with an answer of its own."""

import re
from http import HTTPStatus
from typing import Literal

import msgspec
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.ingest import Ingest
from gateway.problems import Problem
from gateway.route import Call
from schemas.errors import Rejected
from schemas.event import Event
from schemas.json_faults import json_fault

MOST_EVENTS = 1_000
MANY = msgspec.json.Decoder(list[msgspec.Raw])
ONE = msgspec.json.Decoder(msgspec.Raw)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
FIELDS = sorted(Event.__struct_fields__, key=len, reverse=True)


class EventResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Result of one event, in the order in which they came. `field` is the one at fault."""

    result: Literal["accepted", "duplicate_in_batch", "rejected"]
    event_id: str | None = None
    code: str | None = None
    message: str | None = None
    field: str | None = None


class EventsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a batch, and their numbers."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[EventResult]


async def post_events(call: Call) -> Response:
    """Events of orders: one JSON object, an array or NDJSON; 200 all taken, 207 some, 422 none."""
    parts = split(call.asked)
    if len(parts) > MOST_EVENTS:
        raise Problem("too_large", f"{len(parts)} events; send at most {MOST_EVENTS} at once")
    taken: list[tuple[Event, bytes]] = []
    results = results_of(parts, call, taken)
    await call.gateway.ingest.send(taken, call.caller.key_id, call.ip)
    counts = {
        kind: sum(each.result == kind for each in results)
        for kind in ("accepted", "duplicate_in_batch", "rejected")
    }
    answer = EventsResult(
        accepted=counts["accepted"],
        duplicates=counts["duplicate_in_batch"],
        rejected=counts["rejected"],
        results=results,
    )
    return Response(msgspec.json.encode(answer), status_of(answer), media_type="application/json")


def split(body: bytes) -> list[bytes]:
    """The events of a body, each as bytes.

    Raises:
        Problem: `bad_json`: the body holds none, or is an array that isn't JSON.
    """
    text = body.strip()
    if not text:
        raise Problem("bad_json", "the body is empty; send one event, an array, or one a line")
    if text.startswith(b"["):
        try:
            return [bytes(raw) for raw in MANY.decode(text)]
        except UNREADABLE as error:
            fault = json_fault(error, text)
            raise Problem("bad_json", f"the array can't be read: {fault}") from error
    try:
        return [bytes(ONE.decode(text))]
    except UNREADABLE:
        return [line for line in text.splitlines() if line.strip()]


def results_of(
    parts: list[bytes], call: Call, taken: list[tuple[Event, bytes]]
) -> list[EventResult]:
    """The result of each event; those to be sent are added to `taken`."""
    seen: set[tuple[str, str, str]] = set()
    results: list[EventResult] = []
    for data in parts:
        try:
            event = checked(call.gateway.ingest, data, call.caller)
        except Rejected as rejected:
            results.append(refused(rejected))
            continue
        name = (event.tenant, event.source, event.event_id)
        if name in seen:
            results.append(EventResult(result="duplicate_in_batch", event_id=event.event_id))
            continue
        seen.add(name)
        taken.append((event, data))
        results.append(EventResult(result="accepted", event_id=event.event_id))
    return results


def checked(ingest: Ingest, data: bytes, caller: Caller) -> Event:
    """The event, of a tenant that the caller may feed.

    Raises:
        Rejected: it can't be taken.
    """
    event = ingest.checked(data)
    if caller.tenant not in {None, event.tenant}:
        raise Rejected("forbidden", f"tenant {event.tenant!r}: the key is for {caller.tenant!r}")
    return event


def refused(rejected: Rejected) -> EventResult:
    """The result of an event that can't be taken."""
    reason = rejected.reason
    begins = (each for each in FIELDS if re.match(rf"{each}\b", reason))
    field = next(begins, None)
    return EventResult(result="rejected", code=rejected.code, message=reason, field=field)


def status_of(answer: EventsResult) -> HTTPStatus:
    """200 where all were taken, 422 where none was, else 207."""
    if not answer.rejected:
        return HTTPStatus.OK
    return HTTPStatus.MULTI_STATUS if answer.accepted else HTTPStatus.UNPROCESSABLE_ENTITY
