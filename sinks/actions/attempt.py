"""Attempt: one action at its receiver, unless it has expired or its alert has ended by then.

Runs in the threads of a receiver, touches no file, and always gives a result.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from broker.backoff import GROWTH, Backoff
from schemas.alert import Action
from schemas.errors import Busy, Rejected
from schemas.instants import DAY_MS, HOUR_MS, parse_instant
from sinks.actions.batches import BatchRow
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


class Prepared(NamedTuple):
    """An action that may be sent, and its request."""

    task: Task
    ready: Ready
    request: ActionRequest

    def done(self, answer: str, ended_at: int) -> Result:
        """Result of an action that its receiver has; `answer` is masked."""
        return Result(
            *(self.task, "done", self.request.attempt, answer),
            ended_at=ended_at,
            detail=self.ready.detail,
            contact=self.ready.contact,
        )


class Attempt(NamedTuple):
    """Attempts at one receiver, through its channel, one action at a time."""

    channel: ActionChannel
    alerts: Alerts
    clock: ActionClock
    preparation: Preparation

    @property
    def batch(self) -> BatchRow | None:
        """Batches of the receiver: it has none."""
        return None

    def make(self, tasks: Sequence[Task]) -> list[Result]:
        """The result of an attempt at each action."""
        return [self._made(task) for task in tasks]

    def prepare(self, task: Task) -> Prepared | Result:
        """Prepare an action that may be sent now; else the result."""
        try:
            return self._prepared(task, ACTION.decode(task.value))
        except Exception as error:  # a plug-in's fault must end neither the thread nor the action
            LOGGER.exception("action %s: preparation failed", task.action_id)
            return self._faulty(task, error)

    def ended(self, task: Task, end: End, reason: str, attempts: int | None = None) -> Result:
        """Result of an action that ends now."""
        number = task.attempts if attempts is None else attempts
        return Result(task, end, number, reason, ended_at=self.clock.orders_ms())

    def refused(self, prepared: Prepared, reason: str) -> Result:
        """Result of an action that its receiver refuses for good; `reason` is masked."""
        result = self.ended(prepared.task, "dead", reason, prepared.request.attempt)
        return result._replace(detail=prepared.ready.detail)

    def failed(self, task: Task, busy: Busy, after_s: float | None = None) -> Result:
        """Result of an attempt that failed; the next is due `after_s`, or by the attempts made."""
        number = task.attempts + 1
        if self._now >= task.accepted_at + GIVE_UP_MS:
            result = self.ended(task, "dead", f"given up after 3 days: {busy.reason}", number)
        else:
            wait_s = delay_s(task.attempts, busy.retry_after_s) if after_s is None else after_s
            result = Result(task, "failed", number, busy.reason, self._now + round(1000 * wait_s))
        return result._replace(retry_after_s=busy.retry_after_s)

    def _made(self, task: Task) -> Result:
        prepared = self.prepare(task)
        if isinstance(prepared, Result):
            return prepared
        try:
            return self._sent(prepared)
        except Exception as error:  # as above
            LOGGER.exception("action %s: attempt at %s failed", task.action_id, task.receiver)
            return self._faulty(task, error)

    def _prepared(self, task: Task, action: Action) -> Prepared | Result:
        if parse_instant(action.expires_at) <= self.clock.orders_ms():
            return self.ended(task, "expired", task.reason or "not sent in time")
        match self.alerts.status_of(action) if action.alert_id else "open":
            case "ended":
                return self.ended(task, "skipped", "its alert has ended")
            case "unknown" if self._may_wait(task):
                due_at = self.clock.wall_ms() + CERTAIN_AGAIN_MS
                return Result(task, "waiting", task.attempts, task.reason, due_at)
        match self.preparation.of(task, action, self.channel.needs, self._now):
            case Waits() as waits:
                return self._waiting(task, action, waits)
            case Ends(end, reason):
                return self.ended(task, end, reason)
            case Ready() as ready:
                return Prepared(task, ready, self._request(task, action, ready))

    def _request(self, task: Task, action: Action, ready: Ready) -> ActionRequest:
        return ActionRequest(
            action=action,
            attempt=task.attempts + 1,
            sent_at=self._now,
            amount=ready.amount,
            message=ready.message,
            recipient=ready.recipient,
            parcel=ready.parcel,
        )

    def _sent(self, prepared: Prepared) -> Result:
        ready, masked = prepared.ready, prepared.ready.recipient.masked
        try:
            with self.preparation.people.counted(ready.contact):
                answer = self.channel.send(prepared.request)
        except Busy as busy:
            return self.failed(prepared.task, Busy(masked(busy.reason), busy.retry_after_s))
        except Rejected as rejected:
            return self.refused(prepared, masked(rejected.reason))
        return prepared.done(masked(answer), self.clock.orders_ms())

    def _faulty(self, task: Task, error: Exception) -> Result:
        return self.failed(task, Busy(f"{type(error).__name__}: {error}"))

    def _waiting(self, task: Task, action: Action, waits: Waits) -> Result:
        """Result of a wait; it ends at once where the action is void by then."""
        if self._now >= task.accepted_at + GIVE_UP_MS:
            return self.ended(task, "dead", f"given up after 3 days: {waits.reason}")
        left_ms = parse_instant(action.expires_at) - self.clock.orders_ms()
        if waits.is_held and left_ms <= waits.due_at - self._now:
            return self.ended(task, "expired", f"{waits.reason}, and void by then")
        detail = {"waited": waits.reason} if waits.is_held else {}
        return Result(task, "waiting", task.attempts, waits.reason, waits.due_at, detail=detail)

    @property
    def _now(self) -> int:
        return self.clock.wall_ms()

    def _may_wait(self, task: Task) -> bool:
        return self._now < task.accepted_at + CERTAIN_WITHIN_MS


def delay_s(failed_before: int, at_least_s: float = 0.0) -> float:
    """Delay (s) before the next attempt: 5 s, doubled by each one before, up to 12 h, with jitter.

    The receiver's own `Retry-After` is kept.
    """
    first_s = FIRST_RETRY_S * GROWTH ** min(failed_before, MOST_DOUBLINGS)
    return max(Backoff(LONGEST_RETRY_S, first_s).next_s(), at_least_s)
