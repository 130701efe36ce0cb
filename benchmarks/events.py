"""Orders on their way: a seeded stream of realistic events over N live orders.

Every order makes the same journey: ten events while it lives (created with a promise, paid, label,
collected, in transit, four scans, out for delivery), then DELIVERED, and a new order takes its
place. The places have one event each in every round, in an order drawn anew for each round: so an
order is touched again only after all the others were, and no cache is flattered. A round is 12
hours of stream time whatever the number of orders, so that deadlines come due as often per event
with ten thousand orders as with a million.
"""

import random
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from schemas.event import Event, Location
from schemas.instants import DAY_MS, HOUR_MS, format_instant

START_AT = 1_772_323_200_000  # 2026-03-01T00:00:00Z
ROUND_MS = 12 * HOUR_MS
EVENT_BYTES = 300

BEGINS = ("PENDING_PAYMENT", "PAID", "LABEL_CREATED", "COLLECTED", "IN_TRANSIT")
ENDS = ("OUT_FOR_DELIVERY", "DELIVERED")
CREATED, PAID, LABEL = 0, 1, 2
LIVE_EVENTS = 10  # an order's history while it lives, DELIVERED left out

# One parcel in fifty lies somewhere for five rounds: 60 hours of silence, over the rule's 48.
STUCK_AT, STUCK_ROUNDS, ONE_STUCK_IN = 6, 5, 50
# A twentieth of the promises is shorter than the journey.
PROMISED_DAYS = (5, 25)
LAG_MS = 5_000  # at most this between event and arrival

HUBS = [
    Location(name=f"Hub {n:03d}", lat=round(22 + n * 0.1337, 4), lon=round(104 + n * 0.1073, 4))
    for n in range(150)
]
encode = msgspec.json.Encoder().encode


class Arrived(NamedTuple):
    """An event and when it arrives, in ms."""

    at: int
    event: Event


class Traffic:
    """The endless stream of `orders` live orders.

    `is_staggered`: the orders begin one by one during the first rounds and are at every stage of
    their journey after these (a tenth more places than orders: some stand empty between two of
    them); otherwise all begin in the first round, and after `LIVE_EVENTS` rounds have ten events
    each. `duplicates` is the share of events that come a second time; another number of
    `live_events` means more or fewer scans.
    """

    def __init__(
        self,
        orders: int,
        seed: int,
        *,
        is_staggered: bool = True,
        duplicates: float = 0.0,
        live_events: int = LIVE_EVENTS,
    ) -> None:
        self.journey = journey(live_events)
        self.live_events = live_events
        self.duplicates = duplicates
        count = orders * len(self.journey) // live_events if is_staggered else orders
        self.rng = random.Random(seed)
        self.places = array("I", range(count))
        self.serial = array("I", range(count))
        self.step = array("b", bytes(count))
        self.pause = array("b", bytes(count))
        self.next_serial = count
        self.turns = 0
        if is_staggered:
            self.pause = array("b", self.rng.choices(range(len(self.journey)), k=count))

    @property
    def now_at(self) -> int:
        """The stream time, in ms."""
        return START_AT + self.turns * ROUND_MS // len(self.places)

    def fill(self) -> Iterator[Arrived]:
        """The first rounds; after them the orders are as `is_staggered` requires."""
        for _ in range(self.live_events):
            yield from self.round()

    def steady(self) -> Iterator[Arrived]:
        """The steady rounds after it, without end."""
        while True:
            yield from self.round()

    def round(self) -> Iterator[Arrived]:
        """One event of every place that isn't stuck."""
        self.rng.shuffle(self.places)
        for place in self.places:
            self.turns += 1
            if self.pause[place]:
                self.pause[place] -= 1
                continue
            arrived = self.turn(place)
            yield arrived
            if self.duplicates and self.rng.random() < self.duplicates:
                yield arrived

    def turn(self, place: int) -> Arrived:
        """The next event of the order at `place`."""
        serial, step = self.serial[place], self.step[place]
        at = self.now_at
        if step == self.live_events:
            self.serial[place], self.step[place] = self.next_serial, 0
            self.next_serial += 1
        else:
            self.step[place] = step + 1
            if step + 1 == STUCK_AT and serial % ONE_STUCK_IN == 0:
                self.pause[place] = STUCK_ROUNDS
        return Arrived(at, event_of(serial, step, self.journey[step], at))


def journey(live_events: int) -> tuple[str, ...]:
    """The statuses of an order, one an event."""
    scans = ("SCAN",) * (live_events + 1 - len(BEGINS) - len(ENDS))
    return (*BEGINS, *scans, *ENDS)


def event_of(serial: int, step: int, status: str, at: int) -> Event:
    """The event of an order (a running number) at a step of its journey."""
    if step == CREATED:
        return order_created(serial, at)
    if step == PAID:
        return order_paid(serial, at)
    return parcel_scanned(serial, step, status, at)


def happened_at(serial: int, at: int) -> datetime:
    """The event's own time, some seconds before its arrival."""
    return datetime.fromtimestamp((at - serial * 7_919 % LAG_MS) / 1000, UTC)


def order_created(serial: int, at: int) -> Event:
    """The shop has an order; it promises a day."""
    first, last = PROMISED_DAYS
    promised_at = at + first * DAY_MS + serial * 7_919_117 % ((last - first) * DAY_MS)
    return Event(
        event_id=f"{serial:010d}-0",
        status_code=BEGINS[CREATED],
        timestamp=happened_at(serial, at),
        source="shop",
        order_id=order_id(serial),
        promised_at=format_instant(promised_at),
        customer_id=f"C{serial % 400_000:08d}",
        references={"erp": f"SO-{serial:09d}"},
    )


def order_paid(serial: int, at: int) -> Event:
    """The customer has paid."""
    return Event(
        event_id=f"{serial:010d}-1",
        status_code=BEGINS[PAID],
        timestamp=happened_at(serial, at),
        source="shop",
        order_id=order_id(serial),
        operator="checkout",
        ip="203.0.113.7",
    )


def parcel_scanned(serial: int, step: int, status: str, at: int) -> Event:
    """The warehouse prints the label; later the carrier scans the parcel."""
    return Event(
        event_id=f"{serial:010d}-{step}",
        status_code=status,
        timestamp=happened_at(serial, at),
        source="wms" if step == LABEL else "carrier:sf",
        order_id=order_id(serial),
        waybill=f"SF{serial:012d}",
        carrier="sf",
        location=HUBS[(serial + step * 31) % len(HUBS)],
    )


def order_id(serial: int) -> str:
    """The order's id."""
    return f"ORD-2026-{serial:010d}"


def to_json(arrived: Arrived) -> bytes:
    """The message: 300 bytes or a little more, `recorded_at` and a field of the sender's own."""
    event = encode(arrived.event)[:-1]
    said = b'%s,"recorded_at":"%s","trace":"' % (event, format_instant(arrived.at).encode())
    missing = max(EVENT_BYTES - len(said) - 2, 0)
    trace = f"{arrived.at * 2_654_435_761 % 2**256:0{missing}x}"[:missing]
    return b'%s%s"}' % (said, trace.encode())
