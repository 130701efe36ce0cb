"""Metrics and health of `ordertide track`."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from commands.wiring.serving import health_server
from dataflows.core.calendar_ends import calendar_ends
from dataflows.core.output import Output
from dataflows.core.questions import Answers
from dataflows.core.rules import Rules
from dataflows.core.set_aside import INTERNAL_FAULT, Fault
from dataflows.unsendable import OUTPUTS
from schemas.event import field_of
from schemas.keys import SEPARATOR, split_order_key
from schemas.settings.model import TelemetrySettings
from telemetry.bounded_labels import BoundedLabels
from telemetry.health import Finding
from telemetry.metrics import Metrics

LOGGER = logging.getLogger("ordertide.track")
ORDER_FULL = "order_full"
ANY_FIELD = "any"  # of what an order holds at most: references, attributes and planned times
UNUSABLE = "unusable"
FROM_CARRIER = "carrier:"
STALLED_AFTER_S = 60.0
TRACES_AT_MOST = 200  # of a process; a reason can hold content of an event


class TrackMetrics:
    """Counts what the dataflow does; serves /metrics, /healthz and /readyz."""

    def __init__(self, settings: TelemetrySettings, now_ms: Callable[[], int], store: Path) -> None:
        """Create the metrics of a clock against `now_ms`; `store` is the shard store's file."""
        self.metrics = Metrics("track")
        self.metrics.rejected.labels(INTERNAL_FAULT)  # at 0, or the first one is no increase
        for topic in OUTPUTS:
            self.metrics.outputs_unsendable.labels(topic)
        self.watermark: dict[str, int] = {}
        self.unsendable_topics: set[str] = set()
        self.orders: dict[str, int] = {}
        self.waiting: dict[str, int] = {}
        self.orders_set_aside: dict[str, int] = {}
        self.rules_outside: set[str] = set()
        self.traced: set[str] = set()  # reasons of faults whose trace is in the log
        self.claims: dict[int, int] = {}
        self.unknown_codes = BoundedLabels()
        self.bounds: dict[str, dict[str, float]] = {}  # by name, then by shard
        self.barrier_at: float | None = None
        checks = {"dataflow": self.is_moving}
        self.server = health_server(self.metrics, checks, settings, "track")
        behind = self.metrics.stream_clock_behind_seconds
        behind.set_function(lambda: (now_ms() - self.clock()) / 1000 if self.watermark else 0.0)
        self.metrics.live_orders.set_function(lambda: float(sum(self.orders.values())))
        self.metrics.orders_set_aside.set_function(
            lambda: float(sum(self.orders_set_aside.values()))
        )
        self.metrics.waiting.set_function(lambda: float(sum(self.waiting.values())))
        unconfirmed = self.metrics.recorded_unconfirmed
        unconfirmed.set_function(lambda: float(sum(self.claims.values())))
        self.metrics.state_bytes.set_function(lambda: size_bytes(store))

    def __enter__(self) -> Self:
        """The dataflow is about to run."""
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """It ended."""
        self.server.close()

    def follow_rules(self, rules: Rules) -> None:
        """Count by rule from 0 on, so that the first fault shows; tell when calendars end."""
        for rule in rules.rules:
            if rule.when:
                self.metrics.condition_faults.labels(rule.id)
            if rule.working:
                self.metrics.deadlines_outside_calendar.labels(rule.id)
        gauge = self.metrics.calendar_end_timestamp_seconds
        for calendar, ends_at in calendar_ends(rules).items():
            gauge.labels(calendar).set(ends_at / 1000)

    def compare(self, offset_ms: Callable[[], int]) -> None:
        """Show how far the host's clock is ahead of broker time, once the dataflow runs."""
        gauge = self.metrics.host_clock_offset_seconds
        gauge.set_function(lambda: offset_ms() / 1000)

    def host_clock_jumped(self) -> None:
        """The host's clock was set, or the broker's."""
        self.metrics.host_clock_jumps.inc()

    def clock(self) -> int:
        """The stream clock: of the shard that is furthest behind."""
        return min(list(self.watermark.values()), default=0)

    def is_moving(self) -> Finding:
        """Ready once a barrier has been passed, and as long as barriers are passed."""
        if self.barrier_at is None:
            return Finding(ok=False, reason="no epoch has ended yet")
        age_s = time.monotonic() - self.barrier_at
        if age_s > STALLED_AFTER_S:
            return Finding(ok=False, reason=f"the last epoch ended {age_s:.0f} s ago")
        return Finding(ok=True, reason=f"the last epoch ended {age_s:.1f} s ago")

    def restored(self, waiting: int) -> None:
        """Count messages read by an earlier run whose outcome this run reports."""
        self.metrics.messages_restored.inc(waiting)

    def seen(self, read: int, ticks: int, rejected: dict[str, int]) -> None:
        """A source task read messages."""
        self.metrics.messages_read.inc(read)
        self.metrics.ticks.inc(ticks)
        for code, count in rejected.items():
            self.metrics.rejected.labels(code).inc(count)

    def dropped(self, names: list[str]) -> None:
        """These fields were left out of an event that was taken."""
        for name in names:
            self.metrics.fields_dropped.labels(UNUSABLE, field_of(name)).inc()

    def unknown_code(self, source: str, code: str) -> None:
        """The lifecycle doesn't have a carrier's code."""
        carrier = source.removeprefix(FROM_CARRIER)
        self.metrics.unknown_codes.labels(*self.unknown_codes.of(carrier, code)).inc()

    def refuted(self, messages: int) -> None:
        """Messages of recorded history were far ahead of what followed: they wait."""
        self.metrics.recorded_ahead.inc(messages)

    def claiming(self, task: int, partitions: int) -> None:
        """So many partitions of a task have read recorded times that nothing confirms yet."""
        self.claims[task] = partitions

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages of a partition are still to be read."""
        self.metrics.partition_lag.labels(topic, str(partition)).set(messages)

    def advanced(self, shard: str, out: Output, watermark: int, orders: int, waiting: int) -> None:
        """An order shard's clock moved."""
        self.watermark[shard] = watermark
        self.orders[shard] = orders
        self.waiting[shard] = waiting
        metrics = self.metrics
        if out.applied or out.duplicates or out.refused or out.rejected:
            metrics.applied.inc(out.applied)
            metrics.duplicates.inc(out.duplicates)
            metrics.refused.inc(out.refused)
            for refusal in out.rejected:
                metrics.rejected.labels(refusal.reason.code).inc(refusal.fact.counted)
        if out.fields_lost:
            metrics.fields_dropped.labels(ORDER_FULL, ANY_FIELD).inc(out.fields_lost)
        for _, alert in out.alerts:
            metrics.alerts.labels(alert.rule, alert.severity, alert.state).inc()
        for _, action in out.actions:
            metrics.actions.labels(action.kind).inc()
        for rule in out.condition_faults:
            metrics.condition_faults.labels(rule).inc()
        for rule, reason in out.outside_calendar:
            self.outside_calendar(rule, reason)

    def outside_calendar(self, rule: str, reason: str) -> None:
        """A deadline is never due, as its calendar ends before; the first of a rule is logged."""
        if reason and rule not in self.rules_outside:
            self.rules_outside.add(rule)
            LOGGER.error("rule %s: for some orders %s; the audit log names them", rule, reason)
        self.metrics.deadlines_outside_calendar.labels(rule).inc()

    def set_aside(self, shard: str, count: int, faults: list[Fault]) -> None:
        """So many orders of a shard are set aside; each new one is logged, each trace once."""
        self.orders_set_aside[shard] = count
        for fault in faults:
            tenant, order_id = split_order_key(fault.key)
            if fault.is_preview:
                LOGGER.warning(
                    "order %r of %r: its live document can't be made, %s; the order is evaluated "
                    "when the watermark has reached its events",
                    order_id, tenant, fault.reason,
                )  # fmt: skip
            else:
                self.metrics.set_asides.inc()
                LOGGER.error(
                    "order %r of %r: set aside, %s; its events wait, all other orders continue: "
                    "see 'ordertide state set-aside'",
                    order_id, tenant, fault.reason,
                )  # fmt: skip
            self.log_trace(fault)

    def log_trace(self, fault: Fault) -> None:
        """Log where a fault was raised, if that is known, once for each reason."""
        if fault.trace and fault.reason not in self.traced and len(self.traced) < TRACES_AT_MOST:
            self.traced.add(fault.reason)
            LOGGER.error("trace of %s:\n%s", fault.reason, fault.trace)

    def resolved(self, shard: str, answers: Answers, waiting: int) -> None:
        """A resolver shard answered."""
        self.waiting[shard] = waiting
        self.metrics.duplicates.inc(answers.duplicates)
        for given_up in answers.rejected:
            self.metrics.rejected.labels(given_up.reason.code).inc()
        for fault in answers.faults:
            self.metrics.number_faults.inc()
            number = fault.key.rpartition(SEPARATOR)[2]
            LOGGER.error("number %r: can't be resolved or registered, %s", number, fault.reason)
            self.log_trace(fault)

    def store_away(self) -> None:
        """The bucket of the shard store is unavailable; it is retried."""
        self.metrics.state_store_waits.inc()

    def filled(self, shard: str, bounds: Mapping[str, float]) -> None:
        """Set how full a shard's bounds are, by name."""
        for bound, share in bounds.items():
            if bound not in self.bounds:
                self.bounds[bound] = {}
                gauge = self.metrics.bound_used_ratio.labels(bound)
                gauge.set_function(partial(fullest, self.bounds[bound]))
            self.bounds[bound][shard] = share

    def unsendable(self, topic: str, reason: str) -> None:
        """An output is larger than its topic takes; the first of each topic is logged."""
        if topic not in self.unsendable_topics:
            self.unsendable_topics.add(topic)
            LOGGER.error(
                "%s; it is in events.rejected as output_too_large, without its value", reason
            )
        self.metrics.outputs_unsendable.labels(topic).inc()

    def barrier(self, flush_s: float, commit_s: float) -> None:
        """An epoch ended: the output is acknowledged and the state is on the disk."""
        now = time.monotonic()
        if self.barrier_at is not None:
            self.metrics.epoch_seconds.observe(now - self.barrier_at)
        self.barrier_at = now
        self.metrics.sink_seconds.labels("kafka").observe(flush_s)
        self.metrics.state_commit_seconds.observe(commit_s)


def fullest(by_shard: Mapping[str, float]) -> float:
    """The bound of the shard that is nearest to it."""
    return max(list(by_shard.values()), default=0.0)


def size_bytes(path: Path) -> float:
    """The size of a state file and of SQLite's log beside it; 0 if they aren't there yet."""
    sizes = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):  # the log goes when the store is closed
            sizes.append(file.stat().st_size)
    return float(sum(sizes))
