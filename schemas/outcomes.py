"""Outcomes of orders that are kept to be looked up: audit entries, and actions."""

from typing import Literal

import msgspec

from schemas.alert import Action, AuditEntry
from schemas.instants import parse_instant

OutcomeKind = Literal["audit", "actions"]
Outcome = AuditEntry | Action
MOST_OUTCOMES = 10_000  # of an answer


class OutcomeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on outcomes of a `kind`, all of which hold; None is any.

    `operator` and `ip` are those of a command, so no action has them. `since` and `until` in ms of
    stream time, the first inclusive.
    """

    kind: OutcomeKind = "audit"
    tenant: str | None = None
    order_id: str | None = None
    operator: str | None = None
    ip: str | None = None
    since: int | None = None
    until: int | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Fields of an entry that have to be equal, without those that may be any."""
        named = {
            "tenant": self.tenant,
            "order_id": self.order_id,
            "operator": self.operator,
            "ip": self.ip,
        }
        return {name: value for name, value in named.items() if value is not None}


def id_of(outcome: Outcome) -> str:
    """The id of an outcome: written again it is the same."""
    return outcome.audit_id if isinstance(outcome, AuditEntry) else outcome.action_id


def matches(query: OutcomeQuery, outcome: Outcome) -> bool:
    """Return True if an outcome of the query's kind is one of those asked for."""
    if any(getattr(outcome, name, None) != value for name, value in query.fields.items()):
        return False
    at = parse_instant(outcome.at)
    return (query.since is None or at >= query.since) and (query.until is None or at < query.until)


def newest_first(outcomes: list[Outcome]) -> list[Outcome]:
    """Each once, by time and id, so that equal sets give equal lists."""
    once = {id_of(outcome): outcome for outcome in outcomes}
    return sorted(once.values(), key=_time_order, reverse=True)


def _time_order(outcome: Outcome) -> tuple[int, str]:
    return parse_instant(outcome.at), id_of(outcome)
