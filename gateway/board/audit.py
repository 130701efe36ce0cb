"""Audit of an order in words: what was done about it, by whom, and from where."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.board.wording import Words
from schemas.alert import AuditEntry
from schemas.errors import Busy
from schemas.instants import parse_instant
from schemas.outcomes import Outcome, OutcomeQuery, newest_first
from storage_tiering.tier import Outcomes, Tier

MOST_ENTRIES = 100
ARCHIVE = "archive"  # it reads whole files, so only orders that it answers for are asked of it
UNTOLD = ("action_id", "alert_id", "attempts", "state")  # fields for programs


class AuditRow(NamedTuple):
    """An entry in words."""

    at: str
    what: str
    about: str
    by: str


def entries_of(
    tiers: Sequence[Tier], tenant: str, order_id: str, answered: str
) -> list[AuditEntry]:
    """The latest entries on an order, the newest first; a tier that is away has none."""
    query = OutcomeQuery(kind="audit", tenant=tenant, order_id=order_id)
    found: list[Outcome] = []
    for tier in tiers:
        is_meant = tier.name != ARCHIVE or answered == ARCHIVE
        if is_meant and isinstance(tier, Outcomes):
            try:
                found += tier.outcomes(query, limit=MOST_ENTRIES)
            except Busy:
                continue
    entries = [each for each in newest_first(found) if isinstance(each, AuditEntry)]
    return entries[:MOST_ENTRIES]


def audit_rows(words: Words, entries: Sequence[AuditEntry], now: int) -> list[AuditRow]:
    """The entries in words at `now` (ms of the stream)."""
    return [audit_row(words, entry, now) for entry in entries]


def audit_row(words: Words, entry: AuditEntry, now: int) -> AuditRow:
    """An entry in words; one without a text of its own is shown by its code."""
    key = f"audit.{entry.what.replace('.', '_')}"
    named = dict.fromkeys(part for part in (entry.operator, entry.ip, entry.source) if part)
    return AuditRow(
        at=words.stamp(parse_instant(entry.at), now),
        what=words.say(key) if words.has(key) else entry.what,
        about=about(words, entry),
        by=", ".join(named),
    )


def about(words: Words, entry: AuditEntry) -> str:
    """The rule, the action, or whatever else an entry is about."""
    if entry.action:
        return f"{entry.action.kind} · {words.rule(entry.action.rule)}"
    if entry.alert:
        return words.rule(entry.alert.rule)
    detail = entry.detail
    if "rule" in detail:
        rest = [value for name, value in detail.items() if name in {"until", "to"}]
        return " · ".join([words.rule(detail["rule"]), *filter(None, rest)])
    return " · ".join(value for name, value in detail.items() if value and name not in UNTOLD)
