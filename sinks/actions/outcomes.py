"""Outcomes: how an action ended, as a NOTE event on the order's timeline and as an audit entry.

The event's id is a hash of action and end, and its source the receiver: a repetition after a kill
is a duplicate, which is dropped.
"""

from typing import Any, Protocol

import msgspec

from schemas.alert import Action, AuditEntry
from schemas.errors import Busy
from schemas.instants import format_instant
from schemas.keys import content_id, order_key
from schemas.topics import EVENTS, ORDERS_AUDIT
from sinks.actions.attempt import ACTION
from sinks.actions.outbox import NO_RECEIVER, Task

FLUSH_S = 5.0

encode = msgspec.json.Encoder(order="deterministic").encode


class Log(Protocol):
    """The topics (`broker.produce.Producer`)."""

    def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Send a message. Raises `DeliveryFailed` where an earlier one was lost."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Return once everything sent is in the log. `Busy`: later."""
        ...


class Publisher:
    """Publishes outcomes through `producer`, each until the log has it."""

    def __init__(self, producer: Log) -> None:
        """Create a publisher that has published nothing."""
        self.producer = producer
        self._sent: dict[tuple[str, str], Task] = {}

    def publish(self, tasks: list[Task]) -> list[Task]:
        """Publish the outcomes of ended actions; return those that the topics have now.

        Raises:
            DeliveryFailed: one was lost: publish again with another producer.
        """
        for task in tasks:
            if (task.action_id, task.state) not in self._sent:
                self._send(task)
                self._sent[task.action_id, task.state] = task
        if not self._sent:
            return []
        try:
            self.producer.flush(FLUSH_S)
        except Busy:
            return []  # the broker is away, and has them once it is back
        done, self._sent = [*self._sent.values()], {}
        return done

    def _send(self, task: Task) -> None:
        action = ACTION.decode(task.value)
        key = order_key(action.tenant, action.order_id).encode()
        self.producer.send(EVENTS, key, encode(event_of(task, action)))
        self.producer.send(ORDERS_AUDIT, key, encode(audit_of(task, action)))


def event_of(task: Task, action: Action) -> dict[str, Any]:
    """The NOTE of an ended action; `text` is for people, `action` for programs."""
    return {
        "event_id": content_id("outcome", task.action_id, task.state),
        "source": source_of(task),
        "tenant": action.tenant,
        "order_id": action.order_id,
        "status_code": "NOTE",
        "timestamp": format_instant(task.ended_at or 0),
        "text": text_of(task, action),
        "action": detail_of(task, action) | {"rule": action.rule},
    }


def audit_of(task: Task, action: Action) -> AuditEntry:
    """The audit entry `action.STATE` of an ended action."""
    at = format_instant(task.ended_at or 0)
    return AuditEntry(
        audit_id=content_id("audit", task.action_id, task.state, at),
        at=at,
        what=f"action.{task.state}",
        tenant=action.tenant,
        order_id=action.order_id,
        detail=detail_of(task, action),
        source=source_of(task),
    )


def detail_of(task: Task, action: Action) -> dict[str, str]:
    """The outcome in fields."""
    return {
        "action_id": task.action_id,
        "kind": action.kind,
        "state": task.state,
        "receiver": task.receiver,
        "attempts": str(task.attempts),
        "reason": task.reason,
        **task.detail,
    }


def text_of(task: Task, action: Action) -> str:
    """`contact_carrier: done by desk (202 Accepted)`, with what it waited for and its amount."""
    by = f" by {task.receiver}" if task.state == "done" else ""
    reason = f" ({task.reason})" if task.reason else ""
    detail = task.detail
    amount = f", {detail['amount']} {detail['currency']}" if "amount" in detail else ""
    is_told = "waited" not in detail or detail["waited"] in task.reason
    waited = "" if is_told else f", after {detail['waited']}"
    return f"{action.kind}: {task.state}{by}{reason}{amount}{waited}"


def source_of(task: Task) -> str:
    """Source of the outcome: an engine's own, so that it anchors nothing."""
    return f"action:{task.receiver or NO_RECEIVER}"
