"""Metrics of subscriptions: counts over all of them, since a label a subscription has no bound."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import get_args

from schemas.errors import Busy
from sinks.subscriptions.deliveries import UNFINISHED, Attempted, DeliveryState
from sinks.subscriptions.subscription import Status
from telemetry.metrics import Metrics


class SubscriptionMetrics:
    """Fills the metrics of subscriptions."""

    def __init__(self, metrics: Metrics) -> None:
        """Create them at zero."""
        self.metrics = metrics

    def attempted(self, result: Attempted, now_at: int) -> None:
        """Count an attempt; of one that succeeded, measure the time since the change."""
        self.metrics.webhook_attempts.labels(result.state).inc()
        if result.state == "done" and result.delivery.came_at > 0:
            took_s = max(now_at - result.delivery.came_at, 0) / 1000
            self.metrics.webhook_seconds.observe(took_s)

    def read(self, messages: int) -> None:
        """Count messages of orders.changes, once for all subscriptions."""
        self.metrics.webhook_changes.inc(messages)

    def unreadable(self, code: str) -> None:
        """Count a message that can't be decoded."""
        self.metrics.rejected.labels(code).inc()

    def waiting(self, _busy: Busy) -> None:
        """Count a wait for the broker or the disk."""
        self.metrics.sink_busy.labels("webhooks").inc()

    def holds(
        self,
        counts: Mapping[tuple[str, DeliveryState], int],
        statuses: Iterable[Status],
        failing_s: float,
    ) -> None:
        """Set the gauges; `failing_s` is how long the one has failed that fails longest."""
        numbers = Counter[str]()
        for (_, state), count in counts.items():
            numbers[state] += count
        for state in (*UNFINISHED, "dead"):
            self.metrics.webhook_deliveries.labels(state).set(numbers[state])
        found = Counter(statuses)
        for status in get_args(Status):
            self.metrics.webhooks.labels(status).set(found[status])
        self.metrics.webhook_failing_seconds.set(failing_s)
