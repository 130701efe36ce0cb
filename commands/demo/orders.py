"""Generated orders: those after the sample, which ends in September 2018, and a stand-in for it.

One seed gives one stream. Most orders go well; some are paid late, packed late, lie with a silent
carrier or come late, so that there is something to see.
"""

import heapq
import random
from collections.abc import Iterator
from typing import Any

from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant

HISTORY_END_AT = parse_instant("2018-12-31T00:00:00-03:00")
FIRST_AT = parse_instant("2018-10-01T12:00:00-03:00")
CARRIER = "demo-express"
PREFIX = "demo-"
# Where there is no sample, orders of the two years before stand in for it.
PAST_PREFIX = f"{PREFIX}past-"
PAST_FROM_AT = parse_instant("2016-10-01T00:00:00-03:00")
PAST_ORDERS = 5_000
ABANDONED = 0.03  # of them end before they are delivered, wherever they are

Event = dict[str, Any]
Timed = tuple[int, str, str, Event]  # (instant, source, event_id, event): the order of feeding

# status, source, the usual hours since the step before (least, most)
STEPS = (
    ("PENDING_PAYMENT", "shop", 0.0, 0.0),
    ("PAID", "shop", 0.1, 6.0),
    ("ALLOCATED", "wms", 2.0, 20.0),
    ("COLLECTED", f"carrier:{CARRIER}", 4.0, 30.0),
    ("IN_TRANSIT", f"carrier:{CARRIER}", 3.0, 20.0),
    ("OUT_FOR_DELIVERY", f"carrier:{CARRIER}", 12.0, 40.0),
    ("DELIVERED", f"carrier:{CARRIER}", 1.0, 9.0),
)
# What goes wrong, how often, at which step and by how many hours.
TROUBLES = {
    "PAID": (0.06, 20.0, 40.0),
    "COLLECTED": (0.08, 60.0, 120.0),
    "OUT_FOR_DELIVERY": (0.12, 30.0, 110.0),
    "DELIVERED": (0.05, 60.0, 120.0),
}
PARCEL_STEPS = {"COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"}
PROMISED_AFTER_MS = 7 * DAY_MS


def generate(seed: int) -> Iterator[Timed]:
    """Events of generated orders in the order of their times, without end."""
    lots = random.Random(seed)  # noqa: S311 - a seeded stream, not a secret
    ahead: list[Timed] = []
    number, created_at = 0, FIRST_AT
    while True:
        while ahead and ahead[0][0] < created_at:
            yield heapq.heappop(ahead)
        for timed in order_events(f"{PREFIX}{number:05d}", created_at, lots):
            heapq.heappush(ahead, timed)
        number += 1
        created_at += pause_ms(created_at)


def past(seed: int, orders: int) -> Iterator[Timed]:
    """Events of `orders` generated orders before `FIRST_AT`, order by order."""
    lots = random.Random(seed)  # noqa: S311 - a seeded stream, not a secret
    for number in range(orders):
        created_at = PAST_FROM_AT + (FIRST_AT - PAST_FROM_AT) * number // orders
        steps = [*order_events(f"{PAST_PREFIX}{number:05d}", created_at, lots)]
        is_abandoned = lots.random() < ABANDONED
        yield from steps[: lots.randrange(1, len(steps))] if is_abandoned else steps


def pause_ms(at: int) -> int:
    """Pause until the next order: long in the months before, short on the last day and after."""
    if at < HISTORY_END_AT - DAY_MS:
        return 18 * HOUR_MS
    return HOUR_MS if at < HISTORY_END_AT else 6 * MINUTE_MS


def order_events(order_id: str, created_at: int, lots: random.Random) -> Iterator[Timed]:
    """The life of one order."""
    at = created_at
    for status, source, least_h, most_h in STEPS:
        at += int(lots.uniform(least_h, most_h) * HOUR_MS) + trouble_ms(status, lots)
        event: Event = {
            "event_id": f"{order_id}:{status}",
            "order_id": order_id,
            "status_code": status,
            "timestamp": format_instant(at),
            "source": source,
        }
        if status in PARCEL_STEPS:
            event |= {"shipment": f"{order_id}-1", "carrier": CARRIER}
        if status == "PENDING_PAYMENT":
            event["promised_at"] = format_instant(at + PROMISED_AFTER_MS)
        yield at, source, event["event_id"], event


def trouble_ms(status: str, lots: random.Random) -> int:
    """The delay of a step that goes wrong; mostly 0."""
    often, least_h, most_h = TROUBLES.get(status, (0.0, 0.0, 0.0))
    return int(lots.uniform(least_h, most_h) * HOUR_MS) if lots.random() < often else 0
