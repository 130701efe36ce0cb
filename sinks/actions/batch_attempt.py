"""Attempt at a batch: each of its actions prepared by itself, then sent in one request.

An action that can't be sent now leaves the batch. A request that failed is repeated with the same
actions; one that failed before, or was refused, is divided into halves, until the action to blame
is alone. An action with a result of its own leaves the batch.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

from schemas.errors import Busy, Rejected
from sinks.actions.attempt import ActionClock, Alerts, Attempt, Prepared, delay_s
from sinks.actions.batches import BatchRow
from sinks.actions.channels.action_channel import ActionChannel, BatchChannel, BatchFailed
from sinks.actions.outbox import Result, Task
from sinks.actions.preparation import Preparation
from sinks.actions.recipient import mask_of
from sinks.actions.table import ReceiverRow

LOGGER = logging.getLogger("ordertide.actions")

# Actions that are ready wait no longer for the preparation of others.
PREPARE_WITHIN_S = 0.5
DIVIDED = "; sent again in smaller batches"

Answers = Mapping[str, str | Busy | Rejected]


class BatchAttempt(NamedTuple):
    """Attempts at one receiver in batches; `alone` prepares each action."""

    alone: Attempt
    channel: BatchChannel
    batch: BatchRow

    @property
    def clock(self) -> ActionClock:
        """Clocks of its attempts."""
        return self.alone.clock

    def make(self, tasks: Sequence[Task]) -> list[Result]:
        """The result of an attempt at each action of a batch."""
        results: list[Result] = []
        ready: list[Prepared] = []
        late_at_s = time.monotonic() + PREPARE_WITHIN_S
        for task in tasks:
            if ready and time.monotonic() > late_at_s:
                results.append(self._later(task))
                continue
            found = self.alone.prepare(task)
            if isinstance(found, Prepared):
                ready.append(found)
            else:
                results.append(found)
        return results + self._attempted(ready) if ready else results

    def _attempted(self, ready: list[Prepared]) -> list[Result]:
        """Results of a request; a message that did not get there is no contact."""
        try:
            results = self._sent(ready)
        except Exception as error:  # a plug-in's fault must end neither the thread nor the actions
            LOGGER.exception("a batch of %d actions: attempt failed", len(ready))
            results = self._busy(ready, BatchFailed(f"{type(error).__name__}: {error}"))
        for prepared, result in zip(ready, results, strict=True):
            if result.state != "done":
                self.alone.preparation.people.give_back(prepared.ready.contact)
        return results

    def _sent(self, ready: list[Prepared]) -> list[Result]:
        masked = mask_of(prepared.request.recipient for prepared in ready)
        requests = [prepared.request for prepared in ready]
        try:
            answers = self.channel.send_batch(ready[0].task.batch or "", requests)
        except Rejected as rejected:
            return self._refused(ready, masked(rejected.reason))
        except BatchFailed as failed:
            return self._busy(ready, BatchFailed(masked(failed.reason), failed.retry_after_s))
        except Busy as busy:
            return self._busy(ready, Busy(masked(busy.reason), busy.retry_after_s))
        return self._answered(ready, answers, masked)

    def _refused(self, ready: list[Prepared], reason: str) -> list[Result]:
        """Results of a request that was refused: no failed attempt of any action, as yet."""
        if len(ready) == 1:
            return [self.alone.refused(ready[0], reason)]
        results = self._failed(ready, Busy(f"{reason}{DIVIDED}"), 0.0, is_divided=True)
        return [
            each._replace(
                attempts=each.attempts if each.state == "dead" else each.task.attempts,
                retry_after_s=None,  # the receiver did answer
            )
            for each in results
        ]

    def _busy(self, ready: list[Prepared], busy: Busy) -> list[Result]:
        attempts = [prepared.task.attempts for prepared in ready]
        is_divided = isinstance(busy, BatchFailed) and min(attempts) > 0 and len(ready) > 1
        after_s = delay_s(min(attempts), busy.retry_after_s)
        return self._failed(ready, busy, after_s, is_divided=is_divided)

    def _failed(
        self, ready: list[Prepared], busy: Busy, after_s: float, *, is_divided: bool
    ) -> list[Result]:
        """Results of a request that failed, due together: in the same batch, or in two new ones."""
        half = (len(ready) + 1) // 2
        names = [uuid4().hex] * half + [uuid4().hex] * half
        results = []
        for prepared, name in zip(ready, names, strict=False):
            task = prepared.task
            failed = self.alone.failed(task, busy, after_s)
            batch = name if is_divided else task.batch
            results.append(failed._replace(batch=batch if failed.state == "failed" else None))
        return results

    def _answered(
        self, ready: list[Prepared], answers: Answers, masked: Callable[[str], str]
    ) -> list[Result]:
        """Results by the answers; those that failed as often before are due together."""
        delays = {each.task.attempts: delay_s(each.task.attempts) for each in ready}
        results = []
        for prepared in ready:
            task = prepared.task
            match answers.get(task.action_id):
                case None:
                    results.append(self._later(task))
                case Rejected() as rejected:
                    results.append(self.alone.refused(prepared, masked(rejected.reason)))
                case Busy() as busy:
                    after_s = max(delays[task.attempts], busy.retry_after_s)
                    masked_busy = Busy(masked(busy.reason), busy.retry_after_s)
                    results.append(self.alone.failed(task, masked_busy, after_s))
                case answer:
                    results.append(prepared.done(masked(answer), self.clock.orders_ms()))
        return results

    def _later(self, task: Task) -> Result:
        """Result of an action that was not sent and is due at once, in another batch."""
        return Result(task, "waiting", task.attempts, task.reason, self.clock.wall_ms())


def attempt_at(
    row: ReceiverRow,
    channel: ActionChannel,
    alerts: Alerts,
    clock: ActionClock,
    preparation: Preparation,
) -> Attempt | BatchAttempt:
    """Attempts at a receiver by its row; in batches only through a channel that takes them."""
    alone = Attempt(channel, alerts, clock, preparation)
    if row.batch and isinstance(channel, BatchChannel):
        return BatchAttempt(alone, channel, row.batch)
    return alone
