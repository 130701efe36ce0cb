"""Attempt: one action at its receiver, unless it has expired or its alert has ended by then.

Runs in the threads of a receiver, touches no file, and always gives a result.
"""

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import msgspec

from broker.backoff import GROWTH, Backoff
from schemas.alert import Action
from schemas.errors import Busy, Rejected
from schemas.instants import DAY_MS, HOUR_MS, parse_instant
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest
from sinks.actions.outbox import End, Result, Task
from sinks.actions.preparation import Ends, Preparation, Ready, Waits

LOGGER = logging.getLogger("ordertide.actions")

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 12 * HOUR_MS / 1000
GIVE_UP_MS = 3 * DAY_MS
# An answer of the tiers that is older than the action is awaited for so long.
CERTAIN_WITHIN_MS = 5_000
CERTAIN_AGAIN_MS = 500
MOST_DOUBLINGS = 16  # of the first delay: beyond the longest

AlertStatus = Literal["open", "ended", "unknown"]
ACTION = msgspec.json.Decoder(Action)


class Alerts(Protocol):
    """Look-up of alerts, called from several threads at once."""

    def status_of(self, action: Action) -> AlertStatus:
        """`ended` only where an answer from after the action lacks the alert."""
        ...


class ActionClock(NamedTuple):
    """Two clocks in ms: the wall's, for retries, and the orders' own, for expiry and outcomes."""

    wall_ms: Callable[[], int]
    orders_ms: Callable[[], int]


class Attempt(NamedTuple):
    """Attempts at one receiver, through its channel."""

    channel: ActionChannel
    alerts: Alerts
    clock: ActionClock
    preparation: Preparation

    def make(self, task: Task) -> Result:
        """The result of one attempt."""
        try:
            return self._made(task, ACTION.decode(task.value))
        except Exception as error:  # a plug-in's fault must end neither the thread nor the action
            LOGGER.exception("action %s: attempt at %s failed", task.action_id, task.receiver)
            return self._failed(task, Busy(f"{type(error).__name__}: {error}"))

    def _made(self, task: Task, action: Action) -> Result:
        if parse_instant(action.expires_at) <= self.clock.orders_ms():
            return self._ended(task, "expired", task.reason or "not sent in time")
        match self.alerts.status_of(action) if action.alert_id else "open":
            case "ended":
                return self._ended(task, "skipped", "its alert has ended")
            case "unknown" if self._may_wait(task):
                due_at = self.clock.wall_ms() + CERTAIN_AGAIN_MS
                return Result(task, "waiting", task.attempts, task.reason, due_at)
        match self.preparation.of(task, action, self.channel.needs, self._now):
            case Waits() as waits:
                return self._waiting(task, action, waits)
            case Ends(end, reason):
                return self._ended(task, end, reason)
            case Ready() as ready:
                return self._sent(task, action, ready)

    def _sent(self, task: Task, action: Action, ready: Ready) -> Result:
        number = task.attempts + 1
        request = ActionRequest(
            action=action,
            attempt=number,
            sent_at=self._now,
            amount=ready.amount,
            message=ready.message,
            recipient=ready.recipient,
            parcel=ready.parcel,
        )
        masked = ready.recipient.masked
        try:
            with self.preparation.people.counted(ready.contact):
                answer = self.channel.send(request)
        except Busy as busy:
            return self._failed(task, Busy(masked(busy.reason), busy.retry_after_s))
        except Rejected as rejected:
            result = self._ended(task, "dead", masked(rejected.reason), number)
            return result._replace(detail=ready.detail)
        result = self._ended(task, "done", masked(answer), number)
        return result._replace(detail=ready.detail, contact=ready.contact)

    def _waiting(self, task: Task, action: Action, waits: Waits) -> Result:
        """Result of a wait; it ends at once where the action is void by then."""
        if self._now >= task.accepted_at + GIVE_UP_MS:
            return self._ended(task, "dead", f"given up after 3 days: {waits.reason}")
        left_ms = parse_instant(action.expires_at) - self.clock.orders_ms()
        if waits.is_held and left_ms <= waits.due_at - self._now:
            return self._ended(task, "expired", f"{waits.reason}, and void by then")
        detail = {"waited": waits.reason} if waits.is_held else {}
        return Result(task, "waiting", task.attempts, waits.reason, waits.due_at, detail=detail)

    @property
    def _now(self) -> int:
        return self.clock.wall_ms()

    def _may_wait(self, task: Task) -> bool:
        return self._now < task.accepted_at + CERTAIN_WITHIN_MS

    def _ended(self, task: Task, end: End, reason: str, attempts: int | None = None) -> Result:
        number = task.attempts if attempts is None else attempts
        return Result(task, end, number, reason, ended_at=self.clock.orders_ms())

    def _failed(self, task: Task, busy: Busy) -> Result:
        number = task.attempts + 1
        if self._now >= task.accepted_at + GIVE_UP_MS:
            result = self._ended(task, "dead", f"given up after 3 days: {busy.reason}", number)
        else:
            due_at = self._now + round(1000 * delay_s(task.attempts, busy.retry_after_s))
            result = Result(task, "failed", number, busy.reason, due_at)
        return result._replace(retry_after_s=busy.retry_after_s)


def delay_s(failed_before: int, at_least_s: float = 0.0) -> float:
    """Delay (s) before the next attempt: 5 s, doubled by each one before, up to 12 h, with jitter.

    The receiver's own `Retry-After` is kept.
    """
    first_s = FIRST_RETRY_S * GROWTH ** min(failed_before, MOST_DOUBLINGS)
    return max(Backoff(LONGEST_RETRY_S, first_s).next_s(), at_least_s)
