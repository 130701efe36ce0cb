"""Generated orders: those after the sample, which ends in September 2018, and a stand-in for it.

One seed gives one stream. Most orders go well; some are paid late, packed late, lie with a silent
carrier or come late, so that there is something to see. One hub of one carrier falls silent with
all it holds. Orders have a destination, a plan, one or two parcels, and scans with places.
"""

import heapq
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from commands.demo.places import BY_NAME, TOWNS, Town, route
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant

HISTORY_END_AT = parse_instant("2018-12-31T00:00:00-03:00")
FIRST_AT = parse_instant("2018-10-01T12:00:00-03:00")
QUIET_MS = 18 * HOUR_MS
PREFIX = "demo-"
# Where there is no sample, orders of the two years before stand in for it.
PAST_PREFIX = f"{PREFIX}past-"
PAST_FROM_AT = parse_instant("2016-10-01T00:00:00-03:00")
PAST_ORDERS = 5_000
ABANDONED = 0.03  # of them end before they are delivered, wherever they are

Event = dict[str, Any]
Timed = tuple[int, str, str, Event]  # (instant, source, event_id, event): the order of feeding


class Supplier(NamedTuple):
    """A seller, and the town that it sends from."""

    name: str
    town: Town


SUPPLIERS = (
    Supplier("casa-verde", BY_NAME["Campinas"]),
    Supplier("mar-azul", BY_NAME["Rio de Janeiro"]),
    Supplier("serra-fina", BY_NAME["Caxias do Sul"]),
    Supplier("norte-livros", BY_NAME["Belém"]),
)
CARRIERS = ("correios", "jadlog", "loggi")
SHARES = (5, 3, 2)  # of the carriers

# status, source, the usual hours since the step before (least, most)
SHOP_STEPS = (
    ("PENDING_PAYMENT", "shop", 0.0, 0.0),
    ("PAID", "shop", 0.1, 6.0),
    ("ALLOCATED", "wms", 2.0, 20.0),
)
COLLECTED_H = (4.0, 30.0)
HUB_H = (6.0, 26.0)
LAST_MILE_H = (10.0, 34.0)
DELIVERED_H = (1.0, 9.0)
# What goes wrong, how often, at which step and by how many hours.
TROUBLES = {
    "PAID": (0.06, 20.0, 40.0),
    "COLLECTED": (0.12, 48.0, 110.0),
    "OUT_FOR_DELIVERY": (0.16, 50.0, 140.0),
    "DELIVERED": (0.04, 60.0, 120.0),
}
PLANNED_H = {"PAID": 6, "ALLOCATED": 30, "SHIPPED": 54}
TWO_PARCELS, COLD, COMES_BACK = 0.16, 0.08, 0.05  # shares of the orders
COLD_LIMIT_C = 8.0

STORM_ORDERS = 26
STORM_CARRIER = "loggi"
STORM_HUB = BY_NAME["Salvador"]
STORM_AT = HISTORY_END_AT - 50 * HOUR_MS  # the last scans: alerts open two days later
STORM_APART_MS = 20_000


class Pace(NamedTuple):
    """Pauses between two orders in ms: in the last `busy_for_ms` of the history, and after it."""

    busy_for_ms: int
    busy_ms: int
    live_ms: int

    def pause_ms(self, at: int) -> int:
        """Pause until the next order: long in the months before."""
        if at < HISTORY_END_AT - self.busy_for_ms:
            return QUIET_MS
        return self.busy_ms if at < HISTORY_END_AT else self.live_ms


class Sale(NamedTuple):
    """An order as it was placed."""

    order_id: str
    supplier: Supplier
    town: Town
    carrier: str
    parcels: int
    is_cold: bool
    promised_at: int
    lots: random.Random

    def event(self, at: int, status: str, source: str, **more: object) -> Timed:
        """An event of it."""
        name = f"{self.order_id}:{status}" + "".join(
            f":{more[key]}" for key in ("shipment", "step") if key in more
        )
        more.pop("step", None)
        event: Event = {
            "event_id": name,
            "order_id": self.order_id,
            "status_code": status,
            "timestamp": format_instant(at),
            "source": source,
        }
        return at, source, name, event | more

    def hours(self, least: float, most: float, status: str = "") -> int:
        """Duration of a step in ms, with what goes wrong in it."""
        often, least_more, most_more = TROUBLES.get(status, (0.0, 0.0, 0.0))
        more = self.lots.uniform(least_more, most_more) if self.lots.random() < often else 0.0
        return int((self.lots.uniform(least, most) + more) * HOUR_MS)


def generate(seed: int, pace: Pace) -> Iterator[Timed]:
    """Events of generated orders in the order of their times, without end."""
    return heapq.merge(usual(seed, pace), storm(seed), key=lambda timed: timed[:3])


def usual(seed: int, pace: Pace) -> Iterator[Timed]:
    """Events of orders that are placed one after the other."""
    ahead: list[Timed] = []
    number, created_at = 0, FIRST_AT
    while True:
        while ahead and ahead[0][0] < created_at:
            yield heapq.heappop(ahead)
        for timed in order_events(f"{PREFIX}{number:05d}", created_at, seed):
            heapq.heappush(ahead, timed)
        number += 1
        created_at += pace.pause_ms(created_at)


def past(seed: int, orders: int) -> Iterator[Timed]:
    """Events of `orders` generated orders before `FIRST_AT`, order by order."""
    lots = random.Random(seed)  # noqa: S311 - a seeded stream, not a secret
    for number in range(orders):
        created_at = PAST_FROM_AT + (FIRST_AT - PAST_FROM_AT) * number // orders
        order_id = f"{PAST_PREFIX}{number:05d}"
        steps = sorted(order_events(order_id, created_at, seed), key=lambda timed: timed[:3])
        is_abandoned = lots.random() < ABANDONED
        yield from steps[: lots.randrange(1, len(steps))] if is_abandoned else steps


def storm(seed: int) -> list[Timed]:
    """Events of the orders that lie in the hub that fell silent."""
    events: list[Timed] = []
    for number in range(STORM_ORDERS):
        order_id = f"{PREFIX}s{number:04d}"
        scanned_at = STORM_AT + number * STORM_APART_MS
        created_at = scanned_at - 40 * HOUR_MS
        drawn = sale(order_id, created_at, seed)._replace(
            carrier=STORM_CARRIER,
            parcels=1,
            is_cold=False,
            town=drawn_from(TOWNS[13:17], number),
            promised_at=created_at + 7 * DAY_MS,
        )
        events += [
            placed(drawn, created_at),
            drawn.event(created_at + HOUR_MS, "PAID", "shop"),
            drawn.event(created_at + 9 * HOUR_MS, "ALLOCATED", "wms"),
            scan(drawn, created_at + 20 * HOUR_MS, "COLLECTED", drawn.supplier.town, 1),
            scan(drawn, scanned_at, "IN_TRANSIT", STORM_HUB, 1),
        ]
    return sorted(events, key=lambda timed: timed[:3])


def drawn_from(towns: tuple[Town, ...], number: int) -> Town:
    """One of the towns, in turn."""
    return towns[number % len(towns)]


def order_events(order_id: str, created_at: int, seed: int) -> Iterator[Timed]:
    """The life of one order."""
    order = sale(order_id, created_at, seed)
    at = created_at
    yield placed(order, at)
    for status, source, least_h, most_h in SHOP_STEPS[1:]:
        at += order.hours(least_h, most_h, status)
        yield order.event(at, status, source)
    delivered_at = 0
    for parcel in range(1, order.parcels + 1):
        for timed in parcel_events(order, parcel, at):
            yield timed
            delivered_at = max(delivered_at, timed[0])
    if order.lots.random() < COMES_BACK:
        yield from return_events(order, delivered_at)


def sale(order_id: str, created_at: int, seed: int) -> Sale:
    """Draw what is bought, where from and where to."""
    lots = random.Random(f"{seed}:{order_id}")  # noqa: S311 - a seeded stream, not a secret
    town, supplier = lots.choice(TOWNS), lots.choice(SUPPLIERS)
    days = 6 + round(supplier.town.distance_to(town) / 8)
    return Sale(
        order_id=order_id,
        supplier=supplier,
        town=town,
        carrier=lots.choices(CARRIERS, SHARES)[0],
        parcels=2 if lots.random() < TWO_PARCELS else 1,
        is_cold=lots.random() < COLD,
        promised_at=created_at + days * DAY_MS,
        lots=lots,
    )


def placed(order: Sale, at: int) -> Timed:
    """The event that creates an order, with its promise and plan."""
    planned = {code: format_instant(at + hours * HOUR_MS) for code, hours in PLANNED_H.items()}
    planned["DELIVERED"] = format_instant(order.promised_at - 12 * HOUR_MS)
    fields: Event = {
        "promised_at": format_instant(order.promised_at),
        "planned": planned,
        "destination": order.town.destination(),
        "supplier_id": order.supplier.name,
        "customer_id": f"c-{order.lots.randrange(10_000):04d}",
        "carrier": order.carrier,
        "parcels_expected": order.parcels,
    }
    if order.is_cold:
        fields["attributes"] = {"cold_chain": True, "temperature_max_c": COLD_LIMIT_C}
    return order.event(at, "PENDING_PAYMENT", "shop", **fields)


def parcel_events(order: Sale, parcel: int, at: int) -> Iterator[Timed]:
    """The way of one parcel: collected, over the hubs, out for delivery, delivered."""
    at += order.hours(*COLLECTED_H, "COLLECTED")
    yield scan(order, at, "COLLECTED", order.supplier.town, parcel)
    for step, hub in enumerate(route(order.supplier.town, order.town)):
        at += order.hours(*HUB_H)
        yield scan(order, at, "IN_TRANSIT", hub, parcel, step)
    at += order.hours(*LAST_MILE_H, "OUT_FOR_DELIVERY")
    yield scan(order, at, "OUT_FOR_DELIVERY", order.town, parcel)
    at += order.hours(*DELIVERED_H, "DELIVERED")
    yield scan(order, at, "DELIVERED", order.town, parcel)


def scan(
    order: Sale, at: int, status: str, town: Town, parcel: int, step: int | None = None
) -> Timed:
    """A scan of a parcel at a place."""
    more: Event = {
        "shipment": waybill(order, parcel),
        "carrier": order.carrier,
        "location": town.location(),
    }
    if order.is_cold and status != "DELIVERED":
        # Mostly kept; some parcels come too warm out of a hub.
        warm = order.lots.random() < 0.1 and status == "IN_TRANSIT"  # noqa: PLR2004 - a share
        celsius = order.lots.uniform(9.0, 12.0) if warm else order.lots.uniform(3.0, 6.5)
        more["attributes"] = {"temperature_c": round(celsius, 1)}
    if step is not None:
        more["step"] = step
    return order.event(at, status, f"carrier:{order.carrier}", **more)


def waybill(order: Sale, parcel: int) -> str:
    """A number in the form of the carrier's; correios has the S10 of the postal union."""
    lots = random.Random(f"{order.order_id}:{parcel}")  # noqa: S311 - a seeded stream
    digits = f"{lots.randrange(10**8):08d}"
    if order.carrier == "correios":
        weighted = sum(int(d) * w for d, w in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
        check = {10: 0, 11: 5}.get(11 - weighted % 11, 11 - weighted % 11)
        return f"OA{digits}{check}BR"
    return f"0808{digits}{parcel:02d}" if order.carrier == "jadlog" else f"LG{parcel}BR{digits}"


def return_events(order: Sale, delivered_at: int) -> Iterator[Timed]:
    """The order goes back."""
    at = delivered_at + order.hours(10, 60)
    yield order.event(at, "RETURN_REQUESTED", "shop")
    at += order.hours(24, 90)
    yield order.event(at, "RETURNING", "shop")
    at += order.hours(60, 400)
    yield order.event(at, "RETURNED", "wms")
    yield order.event(at + 20 * HOUR_MS, "REFUNDED", "shop")
