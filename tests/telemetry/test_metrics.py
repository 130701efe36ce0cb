"""The metrics: one table, few values a label, nothing about a single order."""

import platform

from prometheus_client.exposition import generate_latest

from telemetry.metrics import Metrics, Process, total

PROCESSES: tuple[Process, ...] = ("track", "deliver", "write", "serve", "act", "poll")

# Permitted labels. Each has few values; an id has no place among them.
LABELS = {
    "bound", "calendar", "carrier", "class", "code", "field", "kind", "lane", "method", "outcome",
    "partition", "python", "reason", "receiver", "route", "rule", "severity", "sink", "state",
    "status", "tier", "topic", "version",
}  # fmt: skip

PROMISED = {
    "ordertide_messages_read_total": (),
    "ordertide_messages_restored_total": (),
    "ordertide_ticks_total": (),
    "ordertide_applied_total": (),
    "ordertide_duplicates_total": (),
    "ordertide_refused_total": (),
    "ordertide_rejected_total": ("code",),
    "ordertide_waiting": (),
    "ordertide_stream_clock_behind_seconds": (),
    "ordertide_partition_lag": ("topic", "partition"),
    "ordertide_epoch_seconds": (),
    "ordertide_alerts_total": ("rule", "severity", "state"),
    "ordertide_actions_total": ("kind",),
    "ordertide_live_orders": (),
    "ordertide_sink_seconds": ("sink",),
    "ordertide_sink_busy_total": ("sink",),
}


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_what_is_promised_is_there() -> None:
    found = {row.name: row.labels for row in Metrics().table}
    assert PROMISED.items() <= found.items()


def test_no_label_names_an_order_or_a_person() -> None:
    assert {label for row in Metrics().table for label in row.labels} <= LABELS


def test_every_metric_explains_itself_and_is_shown_under_its_name() -> None:
    metrics = Metrics()
    text = shown(metrics)
    assert len({row.name for row in metrics.table}) == len(metrics.table)
    for row in metrics.table:
        assert row.text.endswith(".")
        assert f"# HELP {row.name} {row.text}\n" in text
        assert f"# TYPE {row.name} {row.kind}\n" in text


def test_every_attribute_is_called_like_its_metric() -> None:
    metrics = Metrics()
    names = {row.name.removeprefix("ordertide_").removesuffix("_total") for row in metrics.table}
    assert names == set(vars(metrics)) - {"registry", "table", "_shown"}


def test_a_process_shows_its_own_and_those_of_all() -> None:
    """A zero of another's would look like a value."""
    text = {process: shown(Metrics(process)) for process in PROCESSES}
    for process in PROCESSES:
        assert (
            f'ordertide_build_info{{python="{platform.python_version()}",version=' in text[process]
        )
        assert "ordertide_rejected_total" in text[process]
    assert "ordertide_live_orders 0.0" in text["track"]
    assert "ordertide_live_orders" not in text["deliver"] + text["write"]
    assert "ordertide_tier_records_total" not in text["track"] + text["deliver"]
    assert "ordertide_archive_headroom_seconds" in text["write"]


def test_no_counter_says_when_it_was_made() -> None:
    metrics = Metrics()
    metrics.rejected.labels("no_order").inc()
    assert "_created" not in shown(metrics)


def test_two_processes_in_one_do_not_share_a_number() -> None:
    one, two = Metrics(), Metrics()
    one.messages_read.inc(5)
    assert (total(one.messages_read), total(two.messages_read)) == (5, 0)


def test_a_total_sums_over_labels() -> None:
    metrics = Metrics()
    metrics.rejected.labels(code="no_order").inc(2)
    metrics.rejected.labels(code="malformed_json").inc()
    assert total(metrics.rejected) == 3
    assert 'ordertide_rejected_total{code="no_order"} 2.0' in shown(metrics)


def test_messages_whose_fate_nobody_told_are_counted() -> None:
    metrics = Metrics()
    metrics.messages_read.inc(10)
    metrics.ticks.inc()
    metrics.applied.inc(4)
    metrics.duplicates.inc()
    metrics.refused.inc()
    metrics.rejected.labels(code="no_order").inc()
    assert metrics.unaccounted() == 2
    metrics.waiting.set(2)
    assert metrics.unaccounted() == 0


def test_what_the_run_before_left_waiting_is_accounted_for_by_this_one() -> None:
    metrics = Metrics()
    metrics.messages_restored.inc(7)
    metrics.waiting.set(7)
    assert metrics.unaccounted() == 0
    metrics.applied.inc(3)
    metrics.waiting.set(4)
    assert metrics.unaccounted() == 0


def test_a_gauge_can_be_asked_for_its_value_when_it_is_shown() -> None:
    metrics = Metrics()
    behind = iter([1.0, 61.0])
    metrics.stream_clock_behind_seconds.set_function(lambda: next(behind))
    assert "ordertide_stream_clock_behind_seconds 1.0\n" in shown(metrics)
    assert "ordertide_stream_clock_behind_seconds 61.0\n" in shown(metrics)
