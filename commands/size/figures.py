"""Figures of the sizing: each with its unit and its source.

Change one with `--set NAME=VALUE` or in a TOML file (`--figures FILE.toml`, `NAME = VALUE`).
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import SettingsError
from storage_tiering.cost import ASSUMED_PRICES

LOAD = "the lives of ordertide load"
BYTES = "measured: benchmarks/load_bytes.py, 2,976 orders"
QUIET = "measured: benchmarks/load_bytes.py, 3,034 orders"
BENCH = "measured: docs/benchmarks.md"
ASSUMED = "ASSUMED"


class Figure(NamedTuple):
    """One figure; `source` is the measurement behind it, or marks it as assumed."""

    value: float
    unit: str
    source: str


FIGURES: dict[str, Figure] = {
    # The orders.
    "events_per_order": Figure(11.27, "events", f"{LOAD}: mean of all kinds"),
    "copies_per_event": Figure(1.2, "messages", f"{LOAD}: 20 % come twice"),
    "peak_over_mean": Figure(1.78, "times", f"{LOAD}: busiest hour; with flash sales 3 or more"),
    "life_days": Figure(19.2, "days", f"{LOAD}: first to last event"),
    "rest_days": Figure(29.8, "days", "dataflows/core/lifecycle.toml: retire_after of the ends"),
    "hot_days": Figure(15.7, "days", f"{LOAD}: an order was changed within the last 72 h"),
    "warm_days": Figure(92, "days", "schemas/settings/model.py: warm.keep"),
    "archive_days": Figure(365, "days", f"{ASSUMED}: a year; the archive keeps for ever"),
    "numbers_per_order": Figure(2.1, "numbers", f"{LOAD}: the shop's and the parcels'"),
    "number_days": Figure(199, "days", "a number counts for 180 days after its order's last event"),
    # The dataflow.
    "track_events_per_s": Figure(7_347, "events/s a worker", f"{BENCH}, catchup: {LOAD}, one core"),
    "busy_share": Figure(0.7, "share", f"{ASSUMED}: what a worker or node is loaded with at peak"),
    "live_order_bytes": Figure(693, "bytes", f"{BENCH}, memory: 1,000,282 steady, resident"),
    "number_bytes": Figure(158, "bytes", "measured: Resolver with 1,000,000 numbers, resident"),
    "worker_memory_gb": Figure(64, "GB", f"{ASSUMED}: most that a worker may have"),
    "workers_per_flow": Figure(16, "workers", "dataflows/core/routing.py: loaded evenly up to it"),
    "source_tasks": Figure(8, "source tasks", "dataflows/source.py: partitions are a multiple"),
    # Kafka. Packed: lz4, a hundred messages together.
    "event_bytes": Figure(245, "bytes", BYTES),
    "event_packed_bytes": Figure(58, "bytes", BYTES),
    "accepted_packed_bytes": Figure(110, "bytes", f"{BYTES}: orders.events"),
    "change_packed_bytes": Figure(287, "bytes", f"{BYTES}: orders.changes"),
    "audit_packed_bytes": Figure(185, "bytes", f"{BYTES}: orders.audit"),
    "action_packed_bytes": Figure(147, "bytes", f"{BYTES}: orders.actions"),
    "changes_per_event": Figure(1.12, "messages", BYTES),
    "audits_per_event": Figure(0.66, "messages", BYTES),
    "actions_per_event": Figure(0.21, "messages", BYTES),
    "readers": Figure(4, "groups", "hot, warm, archive and deliver read what track writes"),
    "kafka_replicas": Figure(3, "copies", "broker/topic_settings.py"),
    "topic_days": Figure(14, "days", "schemas/topics.py"),
    "audit_days": Figure(92, "days", "schemas/topics.py"),
    "compaction_slack": Figure(2, "times", f"{ASSUMED}: what compaction has not removed yet"),
    "broker_messages_per_s": Figure(
        106_000, "messages/s a broker", "measured: Kafka 4.4.0 on 2 cores, 300 bytes, acks=all"
    ),
    "broker_disk_tb": Figure(4, "TB", ASSUMED),
    # The tiers.
    "redis_order_bytes": Figure(8893, "bytes", f"{BYTES}: with all its events"),
    "redis_records_per_s": Figure(52_390, "records/s a node", f"{QUIET}: one writer, 2 cores"),
    "redis_memory_gb": Figure(48, "GB", f"{ASSUMED}: of a node of 64 GB"),
    "redis_copies": Figure(2, "copies", f"{ASSUMED}: a primary and a replica"),
    "elastic_order_bytes": Figure(7781, "bytes", f"{BYTES}: with all its events, merged"),
    "elastic_outcome_bytes": Figure(
        4369, "bytes", f"{BYTES}: an order's audit entries and actions, merged"
    ),
    "elastic_documents_per_s": Figure(
        27_600, "documents/s a node", "measured: 8.19.21 on 2 cores, bulks of 5,000, two threads"
    ),
    "elastic_disk_tb": Figure(2, "TB", ASSUMED),
    "elastic_copies": Figure(2, "copies", f"{ASSUMED}: a primary and a replica"),
    "archive_order_bytes": Figure(
        672, "bytes", f"{BYTES}; generated names pack well, real ones may take two or three times"
    ),
    "archive_outcome_bytes": Figure(916, "bytes", f"{BYTES}: an order's audit entries and actions"),
    "hdfs_copies": Figure(3, "copies", "HDFS: dfs.replication"),
    # Prices in US dollars a month.
    "core_usd": Figure(25, "USD/month", f"{ASSUMED}: a virtual core, for a worker or broker"),
    "memory_gb_usd": Figure(3, "USD/month", f"{ASSUMED}: a GB of a worker's memory"),
    "broker_cores": Figure(4, "cores", ASSUMED),
    "kafka_gb_usd": Figure(0.08, "USD/month", f"{ASSUMED}: a GB of SSD, each copy counted"),
    "hot_gb_usd": Figure(
        ASSUMED_PRICES.hot.usd_per_gb_month, "USD/month", "storage_tiering/cost.py"
    ),
    "warm_gb_usd": Figure(
        ASSUMED_PRICES.warm.usd_per_gb_month, "USD/month", "storage_tiering/cost.py, two copies"
    ),
    "archive_gb_usd": Figure(
        ASSUMED_PRICES.archive.usd_per_gb_month,
        "USD/month",
        "storage_tiering/cost.py, 3 copies",
    ),
}


class Figures:
    """The figures in force, as attributes: `figures.event_bytes`."""

    def __init__(self, changed: Mapping[str, float]) -> None:
        """Create the shipped figures with some changed."""
        self.values = {name: figure.value for name, figure in FIGURES.items()} | dict(changed)

    def __getattr__(self, name: str) -> float:
        return self.values[name]


def figures(path: Path | None, settings: Iterable[str]) -> Figures:
    """The shipped figures, changed by a file and by NAME=VALUE settings.

    Raises:
        SettingsError: an unreadable file, an unknown name (with a suggestion), no positive number.
    """
    changed = dict(in_file(path)) if path else {}
    for setting in settings:
        name, _, value = setting.partition("=")
        changed[name.strip()] = value.strip()
    return Figures({name: checked(name, value) for name, value in changed.items()})


def in_file(path: Path) -> dict[str, Any]:
    """The figures of a TOML file."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error


def checked(name: str, value: object) -> float:
    """A figure's value."""
    if name not in FIGURES:
        close = get_close_matches(name, FIGURES, 1)
        hint = f"did you mean {close[0]}?" if close else "`ordertide size --list` shows all"
        raise SettingsError(f"{name}: no such figure; {hint}")
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise SettingsError(f"{name}: {value!r} is no number above 0 ({FIGURES[name].unit})")
    return number
