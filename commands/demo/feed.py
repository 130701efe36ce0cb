"""Feed of the demo: a sample with generated orders after it, in the order of time.

The sample is Olist's in a checkout. A wheel has none, as its licence is not ours: generated orders
of the same two years stand in.
"""

import heapq
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

import msgspec

from broker.embedded import PARTITIONS
from broker.produce import Producer
from commands.demo.orders import (
    HISTORY_END_AT,
    PAST_ORDERS,
    PREFIX,
    Timed,
    generate,
    past,
    placed,
    sale,
    storm,
)
from examples.olist import adapter
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from schemas.topics import EVENTS

SEED = 2018
AFTER_ALL = "~"  # sorts after every source: a tick comes after the events of its own ms
STREAM_MS_PER_S = HOUR_MS  # live, a second of ours is an hour of the stream
LIVE_STEP_S = 0.2
# More than the dataflow's heartbeat, so that every partition gets the watermark each time.
LAST_ORDERS_APART_MS = 2 * MINUTE_MS
LAST_ORDERS = tuple(f"{PREFIX}last-{number}" for number in (1, 2, 3, 4))

Stopped = Callable[[], bool]


def history(orders: int | None) -> list[Timed]:
    """Events and ticks up to the history's end; `orders` of the sample, None for all."""
    sample = sorted(sample_events(orders), key=time_order)
    recent = takewhile(lambda timed: timed[0] <= HISTORY_END_AT, generate(SEED))
    fed = list(heapq.merge(sample, recent, key=time_order))
    ticks = (tick(at) for at in [*range(fed[0][0], HISTORY_END_AT, DAY_MS), HISTORY_END_AT])
    return list(heapq.merge(fed, ticks, key=time_order))


def example_number() -> str:
    """A waybill of an order in the hub that fell silent: it stays late."""
    numbers: Iterator[str] = (e["shipment"] for _, _, _, e in storm(SEED) if "shipment" in e)
    return next(numbers)


def has_olist() -> bool:
    """Return True where Olist's orders are: in a checkout."""
    return adapter.SAMPLE.is_file()


def sample_events(orders: int | None) -> Iterator[Timed]:
    """The events of the first `orders` orders of the sample."""
    if not has_olist():
        yield from past(SEED, PAST_ORDERS if orders is None else orders)
        return
    names: dict[str, None] = {}
    for event in adapter.events():
        names.setdefault(event["order_id"])
        if orders is not None and len(names) > orders:
            return
        yield parse_instant(event["timestamp"]), event["source"], event["event_id"], event


def time_order(timed: Timed) -> tuple[int, str, str]:
    """As a replay sorts: by arrival, source, event_id."""
    return timed[:3]


def tick(at: int) -> Timed:
    """The promise that everything recorded up to `at` has been written."""
    return at, AFTER_ALL, "", {"kind": "tick", "recorded_at": format_instant(at)}


def last_order(number: int) -> Iterator[Timed]:
    """An order some minutes after the history's end, and the tick that lets it take effect."""
    at = HISTORY_END_AT + number * LAST_ORDERS_APART_MS
    order_id = LAST_ORDERS[number - 1]
    yield placed(sale(order_id, at, SEED), at)
    yield tick(at)


def send(producer: Producer, timed: Timed) -> None:
    """Write an event to its order's partition, a tick to every one."""
    event: dict[str, Any] = timed[3]
    value = msgspec.json.encode(event)
    if "order_id" in event:
        producer.send(EVENTS, event["order_id"].encode(), value)
        return
    for partition in range(PARTITIONS):
        producer.send(EVENTS, None, value, partition=partition)


def live(producer: Producer, is_stopped: Stopped) -> None:
    """Continue with generated orders, an hour of stream time a second, until stopped."""
    going_on = (timed for timed in generate(SEED) if timed[0] > HISTORY_END_AT)
    started_s = time.monotonic()
    upcoming = next(going_on)
    while not is_stopped():
        now = HISTORY_END_AT + int((time.monotonic() - started_s) * STREAM_MS_PER_S)
        while upcoming[0] <= now:
            send(producer, upcoming)
            upcoming = next(going_on)
        send(producer, tick(now))
        producer.flush()
        time.sleep(LIVE_STEP_S)


def introduction(records: list[Timed]) -> str:
    """The sentence that says what is fed."""
    sampled, generated, _ = sizes(records)
    if not has_olist():
        return f"{generated:,} events of generated orders, until the end of 2018"
    return (
        f"{sampled:,} events of Olist orders, and {generated:,} of generated ones: the\n"
        "sample ends in September 2018, the stream's clock at the end of that year"
    )


def sizes(records: list[Timed]) -> tuple[int, int, int]:
    """(events of the sample, events of generated orders, messages with ticks in each partition)."""
    ids = [timed[3].get("order_id") for timed in records]
    generated = sum(name is not None and name.startswith(PREFIX) for name in ids)
    ticks = ids.count(None)
    return len(ids) - ticks - generated, generated, len(ids) - ticks + ticks * PARTITIONS
