"""Actions: the outcome that an operator or a receiver reports of one, after it was sent.

`ordertide act` notes that a receiver took an action; the answer comes later, such as a carrier's.
It becomes a NOTE event of the order and an audit entry, like the outcomes of the worker.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gateway.access.caller import OPERATORS, Role
from gateway.api.alerts import operator_of
from gateway.asked import instant_of
from gateway.problems import Problem
from gateway.route import Call
from schemas.alert import Action, AuditEntry
from schemas.errors import Busy
from schemas.instants import format_instant
from schemas.keys import DEFAULT_TENANT, content_id, order_key
from schemas.outcomes import OutcomeQuery
from storage_tiering.tier import Outcomes, Tier

ANSWERED = "answered"
SOURCE = "action:answer"  # an engine's own, so that it anchors nothing
# A receiver answers with a key that feeds events.
REPORTERS: frozenset[Role] = frozenset({*OPERATORS, "ingest"})
MOST_ENTRIES = 1_000  # of one order


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outcome of an action: what came of it, in words without personal data, and when.

    `order_id` and `tenant` are those of the action. Without `at` it is now.
    """

    order_id: Annotated[str, Meta(min_length=1, max_length=256)]
    text: Annotated[str, Meta(min_length=1, max_length=500)]
    tenant: str | None = None
    at: str | None = None


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that was taken; `event_id` is that of its NOTE event."""

    action_id: str
    order_id: str
    kind: str
    event_id: str
    at: str


class Requested(NamedTuple):
    """An action by the audit: its kind and rule."""

    kind: str
    rule: str


async def outcome(call: Call) -> Reported:
    """Report the outcome of an action: a NOTE of its order and an audit entry.

    With the header `Idempotency-Key` a report that is sent again is the same one.
    """
    asked, gateway, action_id = call.asked, call.gateway, call.parameter("id")
    tenant = asked.tenant or call.caller.tenant or DEFAULT_TENANT
    at = instant_of("at", asked.at) if asked.at else call.at_ms
    if at > gateway.now_ms():
        raise Problem("bad_field", "at: it lies ahead; write when the answer came", field="at")
    requested = await requested_of(call, tenant, action_id)
    unique = call.request.headers.get("idempotency-key") or call.request_id
    event_id = content_id("answer", action_id, call.caller.key_id, unique)
    detail = {
        "action_id": action_id,
        "kind": requested.kind,
        "state": ANSWERED,
        "reason": asked.text,
    }
    note = {
        "event_id": event_id,
        "source": SOURCE,
        "tenant": tenant,
        "order_id": asked.order_id,
        "status_code": "NOTE",
        "timestamp": format_instant(at),
        "operator": operator_of(call),
        "ip": call.ip,
        "text": f"{requested.kind}: {ANSWERED} ({asked.text})",
        "action": {**detail, "rule": requested.rule},
    }
    data = msgspec.json.encode(note)
    event = gateway.ingest.checked(data)
    entry = AuditEntry(
        audit_id=content_id("audit", event_id),
        at=format_instant(at),
        what=f"action.{ANSWERED}",
        tenant=tenant,
        order_id=asked.order_id,
        detail=detail,
        operator=operator_of(call),
        ip=call.ip,
        source=SOURCE,
    )
    await gateway.ingest.audit([(order_key(tenant, asked.order_id), msgspec.json.encode(entry))])
    await gateway.ingest.send([(event, data)], call.caller.key_id, call.ip)
    return Reported(
        action_id=action_id,
        order_id=asked.order_id,
        kind=requested.kind,
        event_id=event_id,
        at=format_instant(at),
    )


async def requested_of(call: Call, tenant: str, action_id: str) -> Requested:
    """The action of the path, as the audit of its order has it.

    Raises:
        Problem: `unknown_action`, the order has none in the caller's scope.
        Busy: no tier that keeps the audit answers.
    """
    asked = call.asked
    query = OutcomeQuery(kind="audit", tenant=tenant, order_id=asked.order_id)
    entries: list[AuditEntry] = []
    if call.caller.tenant in {None, tenant}:
        entries = await call.gateway.tiers.run(lambda tiers: entries_in(tiers, query))
    for entry in entries:
        if entry.action and entry.action.action_id == action_id:
            return Requested(entry.action.kind, entry.action.rule)
        if entry.detail.get("action_id") == action_id and "kind" in entry.detail:
            return Requested(entry.detail["kind"], entry.detail.get("rule", ""))
    raise Problem(
        "unknown_action",
        f"action {action_id!r}: order {asked.order_id!r} of tenant {tenant!r} has none of this id",
    )


def entries_in(tiers: Sequence[Tier], query: OutcomeQuery) -> list[AuditEntry]:
    """The audit of an order, of all tiers that answer.

    Raises:
        Busy: none of them does.
    """
    found: list[AuditEntry | Action] = []
    failure: Busy | None = None
    has_answered = False
    for tier in tiers:
        if not isinstance(tier, Outcomes):
            continue
        try:
            found += tier.outcomes(query, limit=MOST_ENTRIES)
            has_answered = True
        except Busy as busy:
            failure = busy
    if not has_answered:
        raise failure or Busy("audit: none of the tiers keeps it yet; start 'ordertide write warm'")
    return [each for each in found if isinstance(each, AuditEntry)]
