"""Alerts in bulk: one note on many of them, named by their ids or by a filter.

A filter carries the number of alerts that its sender saw: what opened meanwhile is never
acknowledged unseen.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.api.alerts import (
    MOST_OPEN,
    AlertFilter,
    all_noted,
    is_asked,
    mark_of,
    replaced,
    snoozing,
)
from gateway.api.lanes import filter_of
from gateway.live.view import Row
from gateway.problems import Problem
from gateway.route import Call
from schemas.alert_notes import AlertNote
from schemas.event import Id

MOST_NAMED = 1_000
MOST_MEANT = 10_000  # by a filter

WHAT = {"ack": "acknowledged", "snooze": "snoozed", "assign": "assigned"}
NEEDS = {"snooze": "until", "assign": "to"}


class BulkFilter(AlertFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open alerts as `GET /v1/alerts` filters them."""


class BulkAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One note on many alerts: those of `ids`, or the `count` alerts that `filter` means.

    A snooze takes `until` (empty: it ends now), an assignment `to` (empty: nobody).
    """

    action: Literal["ack", "snooze", "assign"]
    ids: Annotated[list[Id], Meta(min_length=1, max_length=MOST_NAMED)] | None = None
    filter: BulkFilter | None = None
    count: Annotated[int, Meta(ge=0, le=MOST_MEANT)] | None = None
    until: str | None = None
    to: Annotated[str, Meta(max_length=100)] | None = None


class BulkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Number of alerts that were changed, and the ids under which none is open."""

    changed: int
    unknown: list[str]


async def bulk(call: Call) -> BulkAnswer:
    """Acknowledge, snooze or assign alerts: up to 1,000 ids, or a filter with its count."""
    change, detail = change_of(call)
    call.gateway.check_loaded()
    rows, unknown = named(call) if call.asked.ids is not None else meant(call)
    if rows:
        await all_noted(call, rows, WHAT[call.asked.action], change, **detail)
    return BulkAnswer(changed=len(rows), unknown=unknown)


def change_of(call: Call) -> tuple[Callable[[AlertNote], AlertNote], dict[str, str]]:
    """(the change of a note, its detail in the audit).

    Raises:
        Problem: `bad_field`, the action's field is missing or can't be used, or is another's.
    """
    asked, mark = call.asked, mark_of(call)
    for name in ("until", "to"):
        is_given, is_needed = getattr(asked, name) is not None, NEEDS.get(asked.action) == name
        if is_given != is_needed:
            reason = "is missing" if is_needed else "has no meaning here; leave it out"
            raise Problem("bad_field", f"{name}: {asked.action}: it {reason}", field=name)
    if asked.action == "ack":
        return lambda note: replaced(note, acked=mark), {}
    if asked.action == "assign":
        owner = asked.to or None
        return lambda note: replaced(note, owner=owner, assigned=mark), {"to": asked.to}
    return snoozing(call, asked.until), {"until": asked.until}


def named(call: Call) -> tuple[list[Row], list[str]]:
    """(the open alerts of the ids, ids under which none is open).

    Raises:
        Problem: `bad_field`, a filter comes as well.
    """
    if call.asked.filter is not None or call.asked.count is not None:
        raise Problem("bad_field", "ids: they come without filter and count", field="ids")
    wanted = dict.fromkeys(call.asked.ids)
    found = {row.alert.alert_id: row for row in own_rows(call, BulkFilter())}
    rows = [found[alert_id] for alert_id in wanted if alert_id in found]
    return rows, [alert_id for alert_id in wanted if alert_id not in found]


def meant(call: Call) -> tuple[list[Row], list[str]]:
    """(the open alerts that the filter means, no ids).

    Raises:
        Problem: `bad_field`, there is no filter or no count; `count_differs`.
    """
    asked = call.asked
    if asked.filter is None:
        raise Problem("bad_field", "ids: name alerts, or send filter and count", field="ids")
    if asked.count is None:
        reason = "send the number of alerts that the filter means"
        raise Problem("bad_field", f"count: it is missing; {reason}", field="count")
    rows = own_rows(call, asked.filter)
    if len(rows) != asked.count:
        raise Problem(
            "count_differs",
            f"count: {asked.count} alerts were expected, and the filter means {len(rows)}",
            field="count",
        )
    return rows, []


def own_rows(call: Call, asked: BulkFilter) -> list[Row]:
    """Open alerts in the caller's scope that a filter means."""
    with call.gateway.follower.view() as view:
        rows = view.newest(MOST_OPEN, filter_of(call.caller, asked))
    meaning = call._replace(asked=asked)
    return [row for row in rows if is_asked(meaning, row)]
