"""Metrics of delivery: counts by rule, severity and lane, never by order."""

import time
from collections.abc import Sequence
from contextlib import suppress

from schemas.order import Lane
from sinks.delivery.entries import LedgerEntry
from sinks.delivery.ledger import Ledger
from sinks.delivery.live_orders import LiveOrders
from telemetry.health import Finding
from telemetry.metrics import Metrics

LANES: tuple[Lane, ...] = ("warning", "overdue")


class DeliveryMetrics:
    """Fills the metrics of the channel `sink`."""

    def __init__(self, metrics: Metrics, sink: str) -> None:
        self.metrics = metrics
        self.sink = sink
        self.reason: str | None = None

    def is_delivering(self) -> Finding:
        """Ready unless the channel or the broker was busy and nothing was delivered since."""
        if self.reason is not None:
            return Finding(ok=False, reason=self.reason)
        return Finding(ok=True, reason="delivering")

    def starts(self, missing: str | None) -> None:
        """There is nothing to read from yet, and why; None once there is."""
        self.reason = missing

    def heard(self, at: int) -> None:
        """Messages were read; orders.changes has some all the time, heartbeats if nothing else."""
        self.metrics.delivery_heard_at_seconds.labels(self.sink).set(at / 1000)

    def posted(self, entries: Sequence[LedgerEntry], took_s: float) -> None:
        """The channel took them; called before they count as settled."""
        self.reason = None
        self.metrics.sink_seconds.labels(self.sink).observe(took_s)
        now_s = time.time()
        for entry in entries:
            self.metrics.notices.labels(self.sink, state_of(entry)).inc()
            if not entry.settled and entry.came_at is not None:
                after_s = max(now_s - entry.came_at / 1000, 0.0)
                self.metrics.delivery_seconds.labels(self.sink).observe(after_s)

    def refused(self, code: str) -> None:
        """The channel will never take a notice."""
        self.metrics.notices.labels(self.sink, "refused").inc()
        self.metrics.rejected.labels(code).inc()

    def silences(self, kept: int, pending: int) -> None:
        """Set the gauges of silences: as the channel had them last, and those it must have yet."""
        self.metrics.silences.labels(self.sink).set(kept)
        self.metrics.silences_pending.labels(self.sink).set(pending)

    def silence_refused(self, code: str) -> None:
        """The channel will never take a silence."""
        self.metrics.rejected.labels(code).inc()

    def answered(self) -> None:
        """The channel is busy no more."""
        self.reason = None

    def waiting(self, reason: str, wait_s: float) -> None:
        """The channel or the broker is busy."""
        self.reason = f"{reason}; retrying in {wait_s:.1f} s"
        self.metrics.sink_busy.labels(self.sink).inc()

    def unreadable(self, code: str) -> None:
        """Count a message that can't be decoded."""
        self.metrics.rejected.labels(code).inc()

    def stale(self) -> None:
        """A document older than one that was read before."""
        self.metrics.stale_changes.labels(self.sink).inc()

    def holds(self, ledger: Ledger) -> None:
        """Set the gauges of open alerts."""
        metrics = self.metrics
        metrics.notices_pending.labels(self.sink).set(ledger.pending)
        for lane in LANES:
            metrics.lane_orders.labels(self.sink, lane).set(ledger.lanes[lane])
        for (rule, severity), count in ledger.open_alerts.items():
            metrics.open_alerts.labels(self.sink, rule, severity).set(count)

    def counts(self, live: LiveOrders) -> None:
        """Set the gauges of live orders whose counts changed; one of no order is taken away."""
        gauge = self.metrics.orders_by_status
        while live.changed:
            labels = live.changed.pop()
            if live.counts[labels]:
                gauge.labels(self.sink, *labels).set(live.counts[labels])
            else:
                del live.counts[labels]
                with suppress(KeyError):  # it came and went between two looks
                    gauge.remove(self.sink, *labels)


def state_of(entry: LedgerEntry) -> str:
    """State that a post of the entry reports to the receiver."""
    if not entry.desired:
        return "resolved"
    return "renewed" if entry.settled else "opened"
