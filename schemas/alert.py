"""Alert transitions, actions and audit entries: the outcomes that the engine emits for an order.

Times are written as UTC with milliseconds (`schemas.instants.format_instant`).
"""

from typing import Literal

import msgspec

Severity = Literal["warning", "overdue"]
AlertState = Literal["opened", "escalated", "resolved"]


class Because(msgspec.Struct, frozen=True, omit_defaults=True):
    """Evidence of an alert: the deadline's anchor and length, and the last event before it.

    Of an escalated alert the deadline is the escalation's.
    """

    anchor: str  # what it counts from: `milestone PAID`, `last_update`, `promised_at`, ...
    anchor_event: str  # 16 hex digits, `schemas.keys.event_hash` of the event that set the anchor
    anchor_at: str
    limit: str  # `48h`, `-24h` (before the anchor), or the rule's condition
    due_at: str
    last_event: str  # status of the latest event the order had then
    last_event_at: str
    shipment: str | None = None


class AlertTransition(msgspec.Struct, frozen=True, kw_only=True):
    """An alert opened, escalated or resolved. `at` is the due time, or the arrival that did it."""

    alert_id: str
    tenant: str
    order_id: str
    rule: str
    severity: Severity
    state: AlertState
    at: str
    because: Because
    flapping: bool = False


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A thing to do; `action_id` is its idempotency key; void after `expires_at`."""

    action_id: str
    tenant: str
    order_id: str
    kind: str
    rule: str
    at: str
    expires_at: str
    alert_id: str | None
    because: Because


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Audit entry: who or what did something, when and from where.

    `what`: `command.accepted`, `command.refused`, `alert.opened|escalated|resolved`,
    `alert.acknowledged|snoozed|assigned|commented`,
    `action.requested`, `action.done|dead|skipped|expired|answered`, `condition.fault`,
    `deadline.missed`,
    `deadline.outside_calendar`, `event.corrected`, `order.set_aside`, `order.released`,
    `rules.changed`, `personal.read`, `rejected.replayed`, `survey.answered`,
    `message.refused|resumed`.
    """

    audit_id: str
    at: str
    what: str
    tenant: str
    order_id: str
    detail: dict[str, str]
    alert: AlertTransition | None = None
    action: Action | None = None
    operator: str | None = None
    ip: str | None = None
    source: str | None = None
