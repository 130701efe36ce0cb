"""Metrics and health of `ordertide write`."""

import math
import time
from collections.abc import Mapping

from commands.wiring.serving import health_server
from schemas.errors import Busy
from schemas.settings.model import TelemetrySettings
from schemas.topics import ORDERS_EVENTS
from storage_tiering.writer_ports import WriterMetrics
from telemetry.health import Finding
from telemetry.metrics import Metrics


class TierMetrics(WriterMetrics):
    """Counts what a writer does; serves /metrics, /healthz and /readyz until `close`."""

    def __init__(self, tier: str, settings: TelemetrySettings) -> None:
        self.metrics = Metrics("write")
        self.busy: str | None = None
        self.unplaced: str | None = None
        self.since_ms: int | None = None
        self.retention_ms = math.nan
        checks = {tier: self.is_taking}
        self.server = health_server(self.metrics, checks, settings, f"write-{tier}")
        self.server.start()

    def close(self) -> None:
        """The writer ended."""
        self.server.close()

    def is_taking(self) -> Finding:
        """Ready unless the tier or the broker was busy and nothing was written since."""
        if reason := self.busy or self.unplaced:
            return Finding(ok=False, reason=reason)
        return Finding(ok=True, reason="writing")

    def written(self, tier: str, orders: int, events: int) -> None:
        self.busy = None
        self.metrics.tier_records.labels(tier).inc(orders + events)

    def took(self, tier: str, seconds: float) -> None:
        self.metrics.sink_seconds.labels(tier).observe(seconds)

    def waiting(self, tier: str, reason: str, wait_s: float) -> None:
        self.busy = f"{reason}; retrying in {wait_s:.1f} s"
        self.metrics.sink_busy.labels(tier).inc()

    def starts(self, missing: str | None) -> None:
        """There is nothing to read from yet, and why; None once there is."""
        self.busy = missing

    def starting(self, busy: Busy | None) -> None:
        """It isn't known where to begin with a partition, as the tier doesn't answer; or it is."""
        self.unplaced = busy.reason if busy else None

    def rejected(self, tier: str, code: str) -> None:
        self.metrics.rejected.labels(code).inc()

    def watermark(self, tier: str, watermark_ms: int) -> None:
        # Evaluated when it is scraped: a writer that hangs must not stand still on the board.
        behind = self.metrics.tier_behind_seconds.labels(tier)
        behind.set_function(lambda: time.time() - watermark_ms / 1000)

    def uncommitted(self, tier: str, since_ms: Mapping[str, int]) -> None:
        self.since_ms = since_ms.get(ORDERS_EVENTS)

    def measured(self, tier: str, size_bytes: int) -> None:
        self.metrics.tier_bytes.labels(tier).set(size_bytes)

    def stale(self, tier: str, reason: str | None) -> None:
        self.metrics.tier_stale.labels(tier).set(0 if reason is None else 1)

    def rewound(self, tier: str) -> None:
        self.metrics.tier_rewinds.labels(tier).inc()

    def keeps(self, retention_ms: float) -> None:
        """The broker keeps events so long: the archive has to be faster."""
        self.retention_ms = retention_ms
        self.metrics.archive_headroom_seconds.set_function(self.headroom_s)

    def headroom_s(self) -> float:
        """Until the broker deletes the earliest event that was read and isn't archived."""
        now_ms = time.time() * 1000
        since_ms = now_ms if self.since_ms is None else self.since_ms
        return (since_ms + self.retention_ms - now_ms) / 1000
