"""Metrics of actions: counts by receiver and state, never by order."""

from collections.abc import Mapping, Sequence
from typing import Literal

from schemas.errors import Busy
from sinks.actions.outbox import NO_RECEIVER, Result, State, Task
from telemetry.health import Finding
from telemetry.metrics import Metrics

Kept = State | Literal["held"]
KEPT: tuple[Kept, ...] = ("waiting", "held", "sending", "failed", "dead")


class ActionMetrics:
    """Fills the metrics of the action worker."""

    def __init__(self, metrics: Metrics) -> None:
        """Create them for a worker that has not begun."""
        self.metrics = metrics
        self.reason: str | None = None

    def is_acting(self) -> Finding:
        """Ready unless the broker, the lease or the outbox's disk was busy in the last round.

        A receiver that is away leaves it ready: restarting the worker would not mend it.
        """
        if self.reason is not None:
            return Finding(ok=False, reason=self.reason)
        return Finding(ok=True, reason="acting")

    def starts(self, missing: str | None) -> None:
        """Note what the start waits for; None once it waits for nothing."""
        self.reason = missing

    def waiting(self, busy: Busy, wait_s: float) -> None:
        """Note a wait for the broker, the lease or the disk."""
        self.reason = f"{busy.reason}; retrying in {wait_s:.1f} s"
        self.metrics.sink_busy.labels("outbox").inc()

    def unreadable(self, code: str) -> None:
        """Count a message that can't be decoded."""
        self.metrics.rejected.labels(code).inc()

    def attempted(self, results: Sequence[Result]) -> None:
        """Count a request that failed; of one that was sent in a batch, count its actions."""
        receiver = results[0].task.receiver
        if any(result.retry_after_s is not None for result in results):
            self.metrics.sink_busy.labels(receiver).inc()
        sent = sum(result.was_sent for result in results)
        if sent and results[0].task.batch:
            self.metrics.action_batch.labels(receiver).observe(sent)

    def published(self, task: Task, now_at: int) -> None:
        """Count an outcome; of a done action, measure the time since it was requested."""
        receiver = task.receiver or NO_RECEIVER
        self.metrics.action_outcomes.labels(receiver, task.state).inc()
        if task.state == "done":
            took_s = max(now_at - task.came_at, 0) / 1000
            self.metrics.action_seconds.labels(receiver).observe(took_s)

    def holds(self, counts: Mapping[tuple[str, Kept], int], receivers: Mapping[str, bool]) -> None:
        """Set the gauges of the outbox; `receivers`: True for one that takes actions."""
        for name, is_up in receivers.items():
            self.metrics.receiver_up.labels(name).set(is_up)
            for state in KEPT:
                self.metrics.outbox.labels(name, state).set(counts.get((name, state), 0))
