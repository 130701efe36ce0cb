"""The sizing: what an installation needs for so many orders a day. Plain arithmetic on figures."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from commands.size.figures import Figures
from storage_tiering.cost import (
    ASSUMED_PRICES,
    GB,
    Footprint,
    Price,
    PriceTable,
    everything_in_hot,
    everything_in_warm,
    monthly_usd,
    saving,
)

DAY_S = 86_400
TB = 10**12
MB = 10**6
LEAST_BROKERS = 3  # so that one may be away


class Need(NamedTuple):
    """One line of a sizing: bytes, counts, rates or dollars, by its `unit`."""

    part: str
    name: str
    value: float
    unit: str
    how: str


class Rates(NamedTuple):
    """Messages and events a second."""

    mean_messages_per_s: float
    peak_messages_per_s: float
    peak_events_per_s: float


def size(orders_per_day: float, given: Figures) -> list[Need]:
    """Everything that is needed for `orders_per_day`."""
    found = [*load(orders_per_day, given)]
    track = {need.name: need for need in dataflow(orders_per_day, given)}
    found += track.values()
    found += kafka(orders_per_day, given)
    found += tiers(orders_per_day, given)
    found += cost(found, orders_per_day, given)
    return found


def rates(orders_per_day: float, given: Figures) -> Rates:
    """Rates of the input."""
    events_per_s = orders_per_day * given.events_per_order / DAY_S
    messages_per_s = events_per_s * given.copies_per_event
    peak = given.peak_over_mean
    return Rates(messages_per_s, messages_per_s * peak, events_per_s * peak)


def load(orders_per_day: float, given: Figures) -> Iterator[Need]:
    """The load itself."""
    rate = rates(orders_per_day, given)
    yield Need("load", "mean", rate.mean_messages_per_s, "/s", "orders x events x copies / day")
    yield Need("load", "peak", rate.peak_messages_per_s, "/s", "mean x peak_over_mean")


def dataflow(orders_per_day: float, given: Figures) -> Iterator[Need]:
    """`ordertide track`."""
    live = orders_per_day * (given.life_days + given.rest_days)
    numbers = orders_per_day * given.numbers_per_order * given.number_days
    memory = live * given.live_order_bytes + numbers * given.number_bytes
    capacity = given.track_events_per_s * given.busy_share
    by_rate = rates(orders_per_day, given).peak_messages_per_s / capacity
    by_memory = memory / (given.worker_memory_gb * GB)
    workers = math.ceil(max(by_rate, by_memory, 1))
    flows = math.ceil(workers / given.workers_per_flow)
    yield Need("track", "live orders", live, "", "orders x (life_days + rest_days)")
    yield Need("track", "known numbers", numbers, "", "orders x numbers_per_order x number_days")
    yield Need("track", "memory", memory, "B", "live orders and numbers x their bytes")
    yield Need("track", "workers by rate", math.ceil(by_rate), "", "peak / (track x busy_share)")
    yield Need("track", "workers by memory", math.ceil(by_memory), "", "memory / worker_memory_gb")
    yield Need("track", "workers", workers, "", "the larger of the two")
    yield Need("track", "flows", flows, "", "workers / workers_per_flow: orders split by tenant")
    yield Need("track", "memory a worker", memory / workers, "B", "memory / workers")
    tasks = given.source_tasks
    wanted = max(workers, tasks * flows)
    partitions = math.ceil(wanted / tasks) * tasks
    yield Need(
        "track", "partitions", partitions, "", "a worker has one or more; multiple of source tasks"
    )


def packed_out_bytes(given: Figures) -> float:
    """Packed bytes that track writes for an event."""
    return (
        given.accepted_packed_bytes
        + given.changes_per_event * given.change_packed_bytes
        + given.audits_per_event * given.audit_packed_bytes
        + given.actions_per_event * given.action_packed_bytes
    )


def kafka(orders_per_day: float, given: Figures) -> Iterator[Need]:
    """The broker."""
    rate = rates(orders_per_day, given)
    came = rate.peak_messages_per_s * given.event_packed_bytes
    wrote = rate.peak_events_per_s * packed_out_bytes(given)
    written_per_s = rate.peak_messages_per_s + rate.peak_events_per_s * (
        1 + given.changes_per_event + given.audits_per_event + given.actions_per_event
    )
    disk = kafka_disk_bytes(orders_per_day, given)
    replicas = given.kafka_replicas
    by_rate = written_per_s * replicas / (given.broker_messages_per_s * given.busy_share)
    by_disk = disk / (given.broker_disk_tb * TB * given.busy_share)
    brokers = math.ceil(max(by_rate, by_disk, LEAST_BROKERS))
    into = (came + wrote) * replicas
    out = came + wrote * given.readers + (came + wrote) * (replicas - 1)
    yield Need("kafka", "written at peak", written_per_s, "/s", "events and all that track writes")
    yield Need("kafka", "network in at peak", into, "B/s", "packed, every copy")
    yield Need("kafka", "network out at peak", out, "B/s", "readers and copies")
    yield Need("kafka", "disk", disk, "B", "packed, kept for its days, every copy")
    yield Need("kafka", "brokers", brokers, "", "by messages, by disk, at least 3")


def kafka_disk_bytes(orders_per_day: float, given: Figures) -> float:
    """All topics, every copy counted."""
    events = orders_per_day * given.events_per_order
    a_day = (
        given.copies_per_event * given.event_packed_bytes
        + given.accepted_packed_bytes
        + given.actions_per_event * given.action_packed_bytes
    )
    audit = given.audits_per_event * given.audit_packed_bytes * given.audit_days
    live = orders_per_day * (given.life_days + given.rest_days)
    changes = live * given.change_packed_bytes * given.compaction_slack
    return (events * (a_day * given.topic_days + audit) + changes) * given.kafka_replicas


def footprint(orders_per_day: float, given: Figures) -> Footprint:
    """Bytes in each tier, one copy."""
    return Footprint(
        round(orders_per_day * given.hot_days * given.redis_order_bytes),
        round(
            orders_per_day
            * given.warm_days
            * (given.elastic_order_bytes + given.elastic_outcome_bytes)
        ),
        round(
            orders_per_day
            * given.archive_days
            * (given.archive_order_bytes + given.archive_outcome_bytes)
        ),
    )


def tiers(orders_per_day: float, given: Figures) -> Iterator[Need]:
    """Redis, Elasticsearch and HDFS."""
    held = footprint(orders_per_day, given)
    events_per_s = rates(orders_per_day, given).peak_events_per_s
    records_per_s = events_per_s * (1 + given.changes_per_event)
    outcomes_per_s = events_per_s * (given.audits_per_event + given.actions_per_event)
    kept_per_s = records_per_s + outcomes_per_s
    redis = math.ceil(
        max(
            held.hot_bytes / (given.redis_memory_gb * GB),
            records_per_s / (given.redis_records_per_s * given.busy_share),
        )
    )
    warm_bytes = held.warm_bytes * given.elastic_copies
    elastic = math.ceil(
        max(
            warm_bytes / (given.elastic_disk_tb * TB * given.busy_share),
            kept_per_s * given.elastic_copies / (given.elastic_documents_per_s * given.busy_share),
            LEAST_BROKERS,
        )
    )
    yield Need("tiers", "records at peak", records_per_s, "/s", "events and changes: Redis")
    yield Need(
        "tiers", "all at peak", kept_per_s, "/s", "audit entries and actions too: the other two"
    )
    yield Need("redis", "memory", held.hot_bytes, "B", "orders x hot_days x bytes, one copy")
    yield Need("redis", "nodes", redis * given.redis_copies, "", "memory or records, every copy")
    yield Need("elasticsearch", "disk", warm_bytes, "B", "orders x warm_days x bytes, every copy")
    yield Need("elasticsearch", "nodes", elastic, "", "disk or documents, at least 3")
    hdfs = held.archive_bytes * given.hdfs_copies
    yield Need("hdfs", "disk", hdfs, "B", "orders x archive_days x bytes, every copy")


def cost(found: list[Need], orders_per_day: float, given: Figures) -> Iterator[Need]:
    """Monthly cost with all tiers full."""
    needed = {(need.part, need.name): need.value for need in found}
    prices = price_table(given)
    held = footprint(orders_per_day, given)
    track = (
        needed["track", "workers"] * given.core_usd
        + needed["track", "memory"] / GB * given.memory_gb_usd
    )
    broker = (
        needed["kafka", "brokers"] * given.broker_cores * given.core_usd
        + needed["kafka", "disk"] / GB * given.kafka_gb_usd
    )
    stored = monthly_usd(held, prices)
    yield Need("cost", "track", track, "USD", "cores and memory of the workers, a month")
    yield Need("cost", "kafka", broker, "USD", "cores and disk of the brokers, a month")
    yield Need("cost", "tiers", stored, "USD", "storage_tiering/cost.py: bytes x price, a month")
    yield Need("cost", "all", track + broker + stored, "USD", "a month with all tiers full")
    yield from compared(orders_per_day, given)


def compared(orders_per_day: float, given: Figures) -> Iterator[Need]:
    """Cost of the tiers, as a share of that of one tier that holds everything."""
    held = footprint(orders_per_day, given)
    orders = round(orders_per_day * max(given.archive_days, given.warm_days))
    hot_orders, warm_orders = (
        round(orders_per_day * days) for days in (given.hot_days, given.warm_days)
    )
    for name, single in (
        ("tiers, of Redis alone", everything_in_hot(orders, hot_orders, held.hot_bytes)),
        ("tiers, of Elasticsearch alone", everything_in_warm(orders, warm_orders, held.warm_bytes)),
    ):
        share = 1 - saving(held, single, price_table(given)).saved
        yield Need("cost", name, share * 100, "%", "against one tier with archive_days")


def price_table(given: Figures) -> PriceTable:
    """The prices in force."""
    named = ("hot_gb_usd", ASSUMED_PRICES.hot), ("warm_gb_usd", ASSUMED_PRICES.warm)
    hot, warm = (Price(getattr(given, name), price.source) for name, price in named)
    return PriceTable(hot, warm, Price(given.archive_gb_usd, ASSUMED_PRICES.archive.source))
