"""The dashboard about the dataflow: is it on time, does it keep up, is everything accounted for."""

from deploy.grafana.panels import Dashboard, Panel, Query


def quantiles(histogram: str, label: str = "") -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram, over all processes; a line for each `label`."""
    by, name = (f"{label}, ", f"{{{{{label}}}}} ") if label else ("", "")
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({by}le) (rate({histogram}_bucket[5m])))",
            f"{name}p{share * 100:.0f}",
        )
        for share in (0.5, 0.99)
    )


NUMBERS = (
    Panel(
        title="Stream clock behind",
        queries=(Query("max(ordertide_stream_clock_behind_seconds)"),),
        meaning="How long ago everything had been read; deadlines fire that late.",
        unit="s",
        kind="stat",
        red_above=30,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Messages a second",
        queries=(Query("ordertide:messages_read:rate1m"),),
        meaning="Read from the topic of events.",
        kind="stat",
        columns=6,
        rows=4,
    ),
    Panel(
        title="Not read yet",
        queries=(Query("sum(ordertide:partition_lag:sum)"),),
        meaning="Messages between the dataflow's position and the end of the topic.",
        kind="stat",
        red_above=10_000,
        columns=6,
        rows=4,
    ),
    Panel(
        title="Processes that answer",
        queries=(Query('sum(up{job="ordertide"})'),),
        meaning="Of those that Prometheus knows.",
        kind="stat",
        columns=6,
        rows=4,
    ),
)

FLOW = (
    Panel(
        title="What becomes of messages, a second",
        queries=(
            Query("sum(rate(ordertide_applied_total[1m]))", "applied"),
            Query("sum(rate(ordertide_duplicates_total[1m]))", "duplicate"),
            Query("sum(rate(ordertide_refused_total[1m]))", "refused"),
            Query("sum(rate(ordertide_rejected_total[1m]))", "rejected"),
            Query("sum(rate(ordertide_ticks_total[1m]))", "tick"),
        ),
        meaning="Every message that is read becomes one of these, or waits.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Rejected in 10 minutes",
        queries=(Query("ordertide:rejected:increase10m", "{{code}}"),),
        meaning="By reason; the originals are in events.rejected.",
        stacked=True,
        columns=12,
    ),
    Panel(
        title="Unusable fields and unknown codes, in 10 minutes",
        queries=(
            Query("sum by (field) (increase(ordertide_fields_dropped_total[10m]))", "{{field}}"),
            Query(
                "sum by (carrier, code) (increase(ordertide_unknown_codes_total[10m]))",
                "{{carrier}} {{code}}",
            ),
        ),
        meaning="The events counted without them: dropped_fields names them, lookup shows them.",
        stacked=True,
    ),
    Panel(
        title="Stream clock behind",
        queries=(Query("max(ordertide_stream_clock_behind_seconds)", "behind"),),
        meaning="A second or so is normal. It grows while the broker is unavailable.",
        unit="s",
        red_above=30,
    ),
    Panel(
        title="How full bounds are",
        queries=(Query("max by (bound) (ordertide_bound_used_ratio)", "{{bound}}"),),
        meaning="1 is full; what comes beyond is rejected. A number may have more orders than 1.",
    ),
    Panel(
        title="Recorded times far ahead",
        queries=(
            Query("sum(ordertide_recorded_unconfirmed)", "partitions, unconfirmed"),
            Query("sum(increase(ordertide_recorded_ahead_total[10m]))", "messages in 10 minutes"),
        ),
        meaning="Of recorded history: they wait and move no clock.",
    ),
    Panel(
        title="Host clocks against the broker's",
        queries=(Query("ordertide_host_clock_offset_seconds", "{{instance}}"),),
        meaning="Above 0: the host's is ahead. Orders are evaluated by the broker's.",
        unit="s",
        lowest=None,
    ),
    Panel(
        title="Not read yet",
        queries=(Query("ordertide:partition_lag:sum", "{{topic}}"),),
        meaning="Grows while the clock is fine: more workers or partitions.",
    ),
    Panel(
        title="Waiting",
        queries=(Query("sum(ordertide_waiting)", "waiting"),),
        meaning="For an unregistered number, for the watermark, or with an order set aside.",
    ),
    Panel(
        title="Orders set aside",
        queries=(Query("sum(ordertide_orders_set_aside)", "set aside"),),
        meaning="Their evaluation failed; 'ordertide state set-aside' lists them.",
        red_above=0,
    ),
    Panel(
        title="Conditions that can't be evaluated, in 10 minutes",
        queries=(
            Query("sum by (rule) (increase(ordertide_condition_faults_total[10m]))", "{{rule}}"),
        ),
        meaning="False for these orders; the audit log names them (condition.fault).",
        stacked=True,
    ),
    Panel(
        title="Deadlines outside their calendar, in 10 minutes",
        queries=(
            Query(
                "sum by (rule) (increase(ordertide_deadlines_outside_calendar_total[10m]))",
                "{{rule}}",
            ),
        ),
        meaning="Never due; the audit log names them (deadline.outside_calendar).",
        stacked=True,
    ),
    Panel(
        title="Days until a calendar ends",
        queries=(
            Query(
                "(min by (calendar) (ordertide_calendar_end_timestamp_seconds) - time()) / 86400",
                "{{calendar}}",
            ),
        ),
        meaning="Events after that have no deadline by it; name more years in the rules file.",
    ),
)

EPOCHS = (
    Panel(
        title="From one barrier to the next",
        queries=quantiles("ordertide_epoch_seconds"),
        meaning="An epoch that takes seconds: broker acknowledgements or the disk, see beside.",
        unit="s",
    ),
    Panel(
        title="Commit of the state",
        queries=quantiles("ordertide_state_commit_seconds"),
        meaning="With fsync.",
        unit="s",
    ),
    Panel(
        title="Acknowledgement of the output",
        queries=(Query('ordertide:sink_seconds:p99{sink="kafka"}', "p99"),),
        meaning="The flush at the barrier.",
        unit="s",
    ),
    Panel(
        title="Unaccounted messages",
        queries=(Query("ordertide:unaccounted:messages", "{{instance}}"),),
        meaning="In flight between barriers. A floor that rises is a bug; below 0 after a restart.",
        lowest=None,
    ),
    Panel(
        title="State on disk",
        queries=(Query("max(ordertide_state_bytes)", "store"),),
        meaning="The shard store.",
        unit="bytes",
    ),
    Panel(
        title="Memory",
        queries=(Query('process_resident_memory_bytes{job="ordertide"}', "{{instance}}"),),
        meaning="Of each process; the dataflow's grows with its live orders.",
        unit="bytes",
    ),
)

ENGINE = Dashboard(
    uid="ordertide-engine", title="ordertide: engine", panels=(*NUMBERS, *FLOW, *EPOCHS)
)
