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
    PAST_ORDERS,
    PREFIX,
    Timed,
    generate,
    past,
    placed,
    sale,
)
from commands.demo.schedule import RECORDED, Schedule, shifted
from commands.demo.telling import telling
from examples.olist import adapter
from schemas.instants import DAY_MS, MINUTE_MS, format_instant, parse_instant
from schemas.topics import EVENTS

SEED = 2018
AFTER_ALL = "~"  # sorts after every source: a tick comes after the events of its own ms
LIVE_STEP_S = 0.2
# More than the dataflow's heartbeat, so that every partition gets the watermark each time.
LAST_ORDERS_APART_MS = 2 * MINUTE_MS
LAST_ORDERS = tuple(f"{PREFIX}last-{number}" for number in (1, 2, 3, 4))

Stopped = Callable[[], bool]


def history(orders: int | None, schedule: Schedule = RECORDED) -> list[Timed]:
    """Events and ticks up to the history's end; `orders` of the sample, None for all."""
    sample = (shifted(timed, schedule.sample_shift_ms) for timed in sample_events(orders))
    recent = takewhile(lambda timed: timed[0] <= schedule.end_at, generated(schedule))
    fed = list(heapq.merge(sorted(sample, key=time_order), recent, key=time_order))
    end_at = schedule.end_at
    ticks = (tick(at) for at in [*range(fed[0][0], end_at, DAY_MS), end_at])
    return list(heapq.merge(fed, ticks, key=time_order))


def generated(schedule: Schedule) -> Iterator[Timed]:
    """Events of generated orders, without end."""
    events = generate(SEED, schedule.pace)
    if schedule.is_live:
        events = heapq.merge(events, telling(SEED), key=time_order)
    return (shifted(timed, schedule.shift_ms) for timed in events)


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


def last_order(number: int, end_at: int) -> Iterator[Timed]:
    """An order some minutes after the history's end, and the tick that lets it take effect."""
    at = end_at + number * LAST_ORDERS_APART_MS
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


def live(
    producer: Producer, schedule: Schedule, is_stopped: Stopped, is_kept: Callable[[Timed], bool]
) -> None:
    """Continue with generated orders, by the schedule's time, until stopped.

    What `is_kept` is not sent: a carrier gives it when it is asked.
    """
    end_at = schedule.end_at
    going_on = (timed for timed in generated(schedule) if timed[0] > end_at)
    started_s = time.monotonic()
    upcoming = next(going_on)
    while not is_stopped():
        now = end_at + int((time.monotonic() - started_s) * schedule.ms_per_s)
        while upcoming[0] <= now:
            if not is_kept(upcoming):
                send(producer, upcoming)
            upcoming = next(going_on)
        send(producer, tick(now))
        producer.flush()
        time.sleep(LIVE_STEP_S)


def introduction(records: list[Timed], schedule: Schedule) -> str:
    """The sentence that says what is fed."""
    sampled, ours, _ = sizes(records)
    if not has_olist():
        end = "now" if schedule.is_live else "the end of 2018"
        return f"{ours:,} events of generated orders, until {end}"
    end = (
        "sample is of 2016 to 2018, and all times are shifted so that the last event is now"
        if schedule.is_live
        else "sample ends in September 2018, the stream's clock at the end of that year"
    )
    return f"{sampled:,} events of Olist orders, and {ours:,} of generated ones: the\n{end}"


def sizes(records: list[Timed]) -> tuple[int, int, int]:
    """(events of the sample, events of generated orders, messages with ticks in each partition)."""
    ids = [timed[3].get("order_id") for timed in records]
    generated = sum(name is not None and name.startswith(PREFIX) for name in ids)
    ticks = ids.count(None)
    return len(ids) - ticks - generated, generated, len(ids) - ticks + ticks * PARTITIONS
