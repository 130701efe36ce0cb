"""Metrics, in one table. Every process has one `Metrics`, with a registry of its own.

A label has few values: a rule, a partition, a rejection code. Never an order, a waybill or a
customer: each value of a label is a time series for ever, and the id of a person's order does not
belong on a dashboard.

A gauge that is set keeps its value when its setter stalls. A gauge that must move in an outage
(`stream_clock_behind_seconds`, `partition_lag`) is evaluated when it is scraped:
`gauge.set_function(...)`.
"""

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# A `_created` series beside each counter doubles what Prometheus keeps, and nothing asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # of what is sent at once


Process = Literal["track", "deliver", "write", "serve", "act", "poll"]


class Row(NamedTuple):
    """A metric for the documentation: its name, type (counter, gauge, histogram), help, labels."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]


class Metrics:
    """The metrics of a process; `registry` is what /metrics shows, `table` what there is.

    A process shows its own and those that all have: a zero of another's would look like a value.
    """

    def __init__(self, process: Process | None = None) -> None:
        """Create all metrics at zero, and show those of `process`; without one, all.

        One with labels is exported once a label is used.
        """
        self.registry = CollectorRegistry()
        self.table: list[Row] = []
        ProcessCollector(registry=self.registry)  # memory, CPU, open files
        self._shown: CollectorRegistry | None = self.registry
        self._count_everywhere()
        sections: dict[Process, list[Callable[[], None]]] = {
            "track": [self._count_messages, self._watch_the_flow, self._count_what_is_said],
            "deliver": [self._watch_the_delivery],
            "write": [self._watch_the_tiers],
            "serve": [self._watch_the_gateway],
            "act": [self._watch_the_actions, self._watch_the_webhooks],
            "poll": [self._watch_the_polls],
        }
        for owner, own in sections.items():
            self._shown = self.registry if process in {None, owner} else None
            for section in own:
                section()

    def _count_everywhere(self) -> None:
        """`sink` is a tier, a channel, or kafka."""
        self.build_info = self._gauge("build_info", "1, with the versions.", "version", "python")
        self.build_info.labels(version("ordertide"), platform.python_version()).set(1)
        self.rejected = self._counter("rejected", "Messages that can't be used, by reason.", "code")
        self.sink_seconds = self._histogram("sink_seconds", "Time to write a batch.", "sink")
        self.sink_busy = self._counter(
            "sink_busy", "Times a part was busy and a batch was retried.", "sink"
        )

    def _count_messages(self) -> None:
        """Conservation: what was read or restored has become one of the others."""
        self.messages_read = self._counter("messages_read", "Messages read from the topics.")
        self.messages_restored = self._counter(
            "messages_restored", "Messages waiting at the start, read by the run before."
        )
        self.ticks = self._counter("ticks", "Messages read that were ticks of recorded history.")
        self.applied = self._counter("applied", "Messages whose event was applied to an order.")
        self.duplicates = self._counter("duplicates", "Messages whose event was known already.")
        self.refused = self._counter("refused", "Commands evaluated and refused.")
        self.fields_dropped = self._counter(
            "fields_dropped",
            "Fields left out of an event that was taken, by reason and field.",
            "code",
            "field",
        )
        self.unknown_codes = self._counter(
            "unknown_codes",
            "Events of carriers whose code the lifecycle lacks, taken as signs of life.",
            "carrier",
            "code",
        )
        self.outputs_unsendable = self._counter(
            "outputs_unsendable", "Outputs larger than their topic takes, not written.", "topic"
        )
        self.waiting = self._gauge(
            "waiting", "Messages parked for an unknown number or not reached by the clock yet."
        )

    def _watch_the_flow(self) -> None:
        self.stream_clock_behind_seconds = self._gauge(
            "stream_clock_behind_seconds", "How far the stream clock is behind broker time."
        )
        self.host_clock_offset_seconds = self._gauge(
            "host_clock_offset_seconds", "How far the host's clock is ahead of broker time."
        )
        self.host_clock_jumps = self._counter(
            "host_clock_jumps", "Times the host's clock jumped against broker time."
        )
        self.recorded_ahead = self._counter(
            "recorded_ahead", "Messages of recorded history far ahead of what followed them."
        )
        self.recorded_unconfirmed = self._gauge(
            "recorded_unconfirmed", "Partitions whose recorded time is ahead and unconfirmed."
        )
        self.partition_lag = self._gauge(
            "partition_lag", "Messages of a partition not read yet.", "topic", "partition"
        )
        self.epoch_seconds = self._histogram("epoch_seconds", "Time from one barrier to the next.")
        self.state_commit_seconds = self._histogram(
            "state_commit_seconds", "Time to commit an epoch's state, fsync included."
        )
        self.state_store_waits = self._counter(
            "state_store_waits", "Requests to the state's bucket without an answer, retried."
        )
        self.bound_used_ratio = self._gauge(
            "bound_used_ratio", "How full a bound is, in the fullest shard; 1 is full.", "bound"
        )
        self.state_bytes = self._gauge("state_bytes", "Size of the shard store.")
        self.orders_set_aside = self._gauge(
            "orders_set_aside", "Orders whose evaluation failed, set aside with their events."
        )
        self.set_asides = self._counter("set_asides", "Times an order was set aside.")
        self.number_faults = self._counter(
            "number_faults", "Registrations and look-ups of a number that failed."
        )
        self.live_orders = self._gauge("live_orders", "Orders in memory, embryos included.")

    def _count_what_is_said(self) -> None:
        self.alerts = self._counter(
            "alerts",
            "Alert transitions (opened, escalated, resolved).",
            "rule",
            "severity",
            "state",
        )
        self.actions = self._counter("actions", "Actions requested.", "kind")
        self.condition_faults = self._counter(
            "condition_faults",
            "Evaluations of a rule's condition that failed; it counts as false for that order.",
            "rule",
        )
        self.deadlines_outside_calendar = self._counter(
            "deadlines_outside_calendar",
            "Evaluations of a rule whose deadline, outside its calendar's years, is never due.",
            "rule",
        )
        self.calendar_end_timestamp_seconds = self._gauge(
            "calendar_end_timestamp_seconds",
            "From when on a calendar's years are too short for a deadline of its rules.",
            "calendar",
        )

    def _watch_the_delivery(self) -> None:
        """`sink` is the channel: where there are several, each delivers every alert."""
        self.open_alerts = self._gauge(
            "open_alerts", "Alerts open now, as a channel has them.", "sink", "rule", "severity"
        )
        self.lane_orders = self._gauge(
            "lane_orders", "Orders with an open alert, by lane.", "sink", "lane"
        )
        self.orders_by_status = self._gauge(
            "orders_by_status",
            "Live orders by status and carrier; beyond 50 carriers the label is other.",
            "sink",
            "status",
            "carrier",
        )
        self.notices = self._counter(
            "notices",
            "Alerts posted to a channel (opened, renewed, resolved) or refused by it.",
            "sink",
            "state",
        )
        self.stale_changes = self._counter(
            "stale_changes", "Documents ignored because a newer version was read before.", "sink"
        )
        self.notices_pending = self._gauge(
            "notices_pending", "Alerts that a channel hasn't taken yet.", "sink"
        )
        self.silences = self._gauge(
            "silences", "Snoozed alerts under a silence at a channel.", "sink"
        )
        self.silences_pending = self._gauge(
            "silences_pending", "Silences that a channel has not made or ended yet.", "sink"
        )
        self.delivery_seconds = self._histogram(
            "delivery_seconds", "From an order's change being written to its delivery.", "sink"
        )
        self.delivery_heard_at_seconds = self._gauge(
            "delivery_heard_at_seconds", "When something was last read, in Unix time.", "sink"
        )

    def _watch_the_tiers(self) -> None:
        self.tier_records = self._counter("tier_records", "Records written to a tier.", "tier")
        self.tier_behind_seconds = self._gauge(
            "tier_behind_seconds", "How far a tier is behind the wall clock.", "tier"
        )
        self.tier_stale = self._gauge(
            "tier_stale", "1 while a tier can't be vouched for: it has lost writes.", "tier"
        )
        self.tier_rewinds = self._counter(
            "tier_rewinds", "Times a tier had lost writes and topics were read again.", "tier"
        )
        self.tier_bytes = self._gauge(
            "tier_bytes", "Bytes that a tier takes up; of Redis, all that the servers use.", "tier"
        )
        self.archive_headroom_seconds = self._gauge(
            "archive_headroom_seconds", "Until the broker deletes an event that isn't archived."
        )
        self.archive_headroom_seconds.set(float("nan"))  # 0 would mean that data is being lost

    def _watch_the_gateway(self) -> None:
        """`route` is a row of the route table."""
        self.http_requests = self._counter(
            "http_requests", "Requests answered.", "route", "method", "status"
        )
        self.http_seconds = self._histogram("http_seconds", "Time to answer a request.", "route")
        self.http_refused = self._counter(
            "http_refused", "Requests refused by a limit.", "class", "reason"
        )
        self.rates_shared = self._gauge(
            "rates_shared", "1 while rates are counted with other processes, 0 while alone."
        )
        self.archive_files_opened = self._counter(
            "archive_files_opened", "Data files of the archive that look-ups opened."
        )
        self.stream_clients = self._gauge("stream_clients", "Readers of the stream.")
        self.stream_resets = self._counter(
            "stream_resets", "Times a reader of the stream had fallen behind, or came too late."
        )
        self.callback_scans = self._counter(
            "callback_scans", "Scans in the pushes of carriers.", "carrier", "outcome"
        )
        self.live_view_orders = self._gauge(
            "live_view_orders", "Live orders that the gateway has read, by lane.", "lane"
        )
        self.live_view_behind_seconds = self._gauge(
            "live_view_behind_seconds", "How far the gateway's live view is behind the wall clock."
        )

    def _watch_the_actions(self) -> None:
        """`receiver` is a name in actions.toml."""
        self.outbox = self._gauge(
            "outbox", "Actions in the outbox that are not done, by state.", "receiver", "state"
        )
        self.receiver_up = self._gauge(
            "receiver_up", "1 unless the receiver's last attempt failed.", "receiver"
        )
        self.action_outcomes = self._counter(
            "action_outcomes",
            "Actions that ended (done, dead, skipped, expired).",
            "receiver",
            "state",
        )
        self.action_seconds = self._histogram(
            "action_seconds", "From an action's request to its receiver's answer.", "receiver"
        )
        self.action_batch = self._histogram(
            "action_batch", "Actions in a request of a batch.", "receiver", buckets=COUNTS
        )

    def _watch_the_webhooks(self) -> None:
        """All subscriptions together: there may be a thousand, and they come and go."""
        self.webhooks = self._gauge(
            "webhooks", "Subscriptions (active, failing, paused, disabled).", "status"
        )
        self.webhook_deliveries = self._gauge(
            "webhook_deliveries", "Deliveries to subscriptions that are not done.", "state"
        )
        self.webhook_attempts = self._counter(
            "webhook_attempts", "Attempts by what became of them (done, failed, dead).", "state"
        )
        self.webhook_seconds = self._histogram(
            "webhook_seconds", "From an order's change to the answer of a subscription's receiver."
        )
        self.webhook_changes = self._counter(
            "webhook_changes", "Messages of orders.changes read, once for all subscriptions."
        )
        self.webhook_failing_seconds = self._gauge(
            "webhook_failing_seconds", "For how long the receiver fails that fails longest."
        )

    def _watch_the_polls(self) -> None:
        """`carrier` is an account, as `kuaidi100/main`."""
        self.polls = self._counter(
            "polls", "Requests to carriers by outcome.", "carrier", "outcome"
        )
        self.polled_scans = self._counter(
            "polled_scans",
            "Scans of answers that were new, or could not be read.",
            "carrier",
            "outcome",
        )
        self.polled_parcels = self._gauge(
            "polled_parcels", "Live parcels that an account asks for.", "carrier"
        )
        self.carrier_news_age_seconds = self._gauge(
            "carrier_news_age_seconds", "Age of the oldest news of a parcel under way.", "carrier"
        )

    def unaccounted(self) -> float:
        """Messages without an outcome: 0 at every barrier."""
        fates = (
            self.ticks, self.applied, self.duplicates, self.refused, self.rejected, self.waiting,
        )  # fmt: skip
        came = total(self.messages_read) + total(self.messages_restored)
        return came - sum(total(fate) for fate in fates)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        row = self._row("counter", f"{name}_total", text, labels)
        return Counter(row.name, text, labels, registry=self._shown)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        row = self._row("gauge", name, text, labels)
        return Gauge(row.name, text, labels, registry=self._shown)

    def _histogram(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS
    ) -> Histogram:
        row = self._row("histogram", name, text, labels)
        return Histogram(row.name, text, labels, registry=self._shown, buckets=buckets)

    def _row(self, kind: str, name: str, text: str, labels: tuple[str, ...]) -> Row:
        row = Row(f"ordertide_{name}", kind, text, labels)
        self.table.append(row)
        return row


def total(metric: Counter | Gauge) -> float:
    """The value of a counter or gauge, summed over its labels; 0 before its first."""
    return sum(sample.value for family in metric.collect() for sample in family.samples)
