"""Lives of generated orders: their events, the waits between them, and the results.

All of it is assumed, fitted to no data set: the share of each life, the durations of its stages
(`durations.py`), how the time on the road is shared out among the scans (`ROAD`), and the shorter
waits between scans and people (`WAITS`).
"""

from typing import NamedTuple

from loadgen import durations
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


class Wait(NamedTuple):
    """The time before a step: a share of a table's time. Equal lots of an order draw together."""

    table: str
    share: float
    lot: int


class Step(NamedTuple):
    """One event of a life. `order` is the order's status after it."""

    code: str
    wait: Wait
    order: str
    source: str = "shop"
    parcel: int = 0  # 1, 2: its number; 0: the event is about the order
    is_command: bool = False
    is_refused: bool = False


class Life(NamedTuple):
    """A kind of life; `per_mille` of the orders live it."""

    name: str
    per_mille: int
    steps: tuple[Step, ...]
    is_cold: bool = False

    @property
    def last_command(self) -> int:
        """The step with a command, up to which all has to come in order; else -1."""
        asking = [number for number, step in enumerate(self.steps) if step.is_command]
        return asking[-1] if asking else -1


STAGES = {
    "payment": durations.PAYMENT,
    "handover": durations.HANDOVER,
    "delivery": durations.DELIVERY,
    "reception": durations.RECEPTION,
    "departure": durations.DEPARTURE,
    "flight": durations.FLIGHT,
    "handout": durations.HANDOUT,
}
WAITS = {  # least and most, ms; even in the logarithm
    "none": (SECOND_MS, SECOND_MS),
    "parcel": (MINUTE_MS, HOUR_MS),
    "attempt": (2 * HOUR_MS, 2 * DAY_MS),
    "customs": (12 * HOUR_MS, 10 * DAY_MS),
    "regret": (10 * MINUTE_MS, 8 * HOUR_MS),
    "give_up": (DAY_MS, 3 * DAY_MS),
    "office": (HOUR_MS, 5 * DAY_MS),
    "completion": (7 * DAY_MS, 10 * DAY_MS),
    "rush": (2 * SECOND_MS, 30 * SECOND_MS),
    "repost": (SECOND_MS, 2 * SECOND_MS),
}
ROAD = (0.2, 0.25, 0.2, 0.25, 0.1)  # of the way; the last part is the courier's round

NONE = Wait("none", 1, 0)
CREATED = Step("PENDING_PAYMENT", NONE, "PENDING_PAYMENT")
PAID = Step("PAID", Wait("payment", 1, 1), "PAID")
BOUGHT = (CREATED, PAID)
COMPLETED = Step("COMPLETED", Wait("completion", 1, 5), "COMPLETED")


def handed(code: str, share: float, order: str, source: str, parcel: int) -> Step:
    """A step between payment and carrier."""
    return Step(code, Wait("handover", share, 2), order, source, parcel)


def road(code: str, leg: int, order: str = "SHIPPED", parcel: int = 1) -> Step:
    """A scan on the road, after the part `leg` of the way."""
    return Step(code, Wait("delivery", ROAD[leg], 3), order, "carrier", parcel)


def scan(code: str, table: str, order: str = "SHIPPED", parcel: int = 1, lot: int = 4) -> Step:
    """A scan after a wait of its own."""
    return Step(code, Wait(table, 1, lot), order, "carrier", parcel)


def reported(code: str, table: str, lot: int = 6, source: str = "shop") -> Step:
    """The shop or the warehouse moves the order."""
    return Step(code, Wait(table, 1, lot), code, source)


ALLOCATED = handed("ALLOCATED", 0.25, "ALLOCATED", "wms", 0)
LABEL = handed("LABEL_CREATED", 0.25, "ALLOCATED", "wms", 1)
COLLECTED = handed("COLLECTED", 0.5, "SHIPPED", "carrier", 1)
PACKED = (ALLOCATED, LABEL, COLLECTED)
WAY = (road("IN_TRANSIT", 0), road("SCAN", 1), road("SCAN", 2), road("OUT_FOR_DELIVERY", 3))
DELIVERED = road("DELIVERED", 4, "DELIVERED")
USUAL = (*PACKED, *WAY, DELIVERED, COMPLETED)
AT_THE_DOOR = (*BOUGHT, *PACKED, *WAY)
GOING_BACK = scan("RETURN_TO_SENDER", "office", "RETURNING", lot=7)
REFUND = (reported("RETURNED", "attempt", 8, "wms"), reported("REFUNDED", "office", 9))
TWO_PARCELS = (
    ALLOCATED,
    LABEL,
    Step("LABEL_CREATED", Wait("parcel", 1, 10), "ALLOCATED", "wms", 2),
    COLLECTED,
    scan("COLLECTED", "parcel", parcel=2, lot=11),
    road("IN_TRANSIT", 0),
    scan("IN_TRANSIT", "attempt", parcel=2, lot=12),
    road("OUT_FOR_DELIVERY", 3),
    road("DELIVERED", 4, "SHIPPED"),
    scan("OUT_FOR_DELIVERY", "attempt", parcel=2, lot=13),
    scan("DELIVERED", "parcel", "DELIVERED", parcel=2, lot=14),
)
ABROAD = (
    ALLOCATED,
    LABEL,
    COLLECTED,
    scan("SCAN", "reception", lot=15),
    scan("IN_TRANSIT", "departure", lot=16),
    scan("SCAN", "flight", lot=17),
    scan("CUSTOMS_HOLD", "parcel", lot=18),
    scan("CUSTOMS_CLEARED", "customs", lot=19),
    scan("OUT_FOR_DELIVERY", "handout", lot=20),
    scan("DELIVERED", "attempt", "DELIVERED", lot=21),
)
CANCEL = Step("CANCELLED", Wait("regret", 1, 22), "CANCELLED", "user", is_command=True)
TOO_LATE = CANCEL._replace(order="SHIPPED", is_refused=True)
SEND_BACK = Step(
    "RETURN_REQUESTED", Wait("office", 1, 23), "RETURN_REQUESTED", "user", is_command=True
)

LIVES = (
    Life("delivered", 585, (*BOUGHT, *USUAL)),
    Life("two parcels", 120, (*BOUGHT, *TWO_PARCELS, COMPLETED)),
    Life("abroad", 60, (*BOUGHT, *ABROAD, COMPLETED)),
    Life(
        "nobody at home",
        60,
        (
            *AT_THE_DOOR,
            scan("DELIVERY_FAILED", "parcel"),
            scan("OUT_FOR_DELIVERY", "attempt", lot=24),
            scan("DELIVERED", "parcel", "DELIVERED", lot=25),
            COMPLETED,
        ),
    ),
    Life(
        "picked up",
        55,
        (
            *AT_THE_DOOR,
            scan("READY_FOR_PICKUP", "parcel"),
            scan("DELIVERED", "attempt", "DELIVERED", lot=26),
            COMPLETED,
        ),
    ),
    Life("cold chain", 20, (*BOUGHT, *USUAL), is_cold=True),
    Life("never paid", 40, (CREATED, reported("CANCELLED", "give_up"))),
    Life("cancelled", 12, (*BOUGHT, CANCEL, reported("REFUNDED", "office"))),
    Life("cancelled too late", 8, (*BOUGHT, *PACKED, TOO_LATE, *WAY, DELIVERED, COMPLETED)),
    Life(
        "returned",
        20,
        (
            *AT_THE_DOOR,
            DELIVERED,
            SEND_BACK,
            reported("RETURNING", "office", source="wms"),
            *REFUND,
        ),
    ),
    Life(
        "exchanged",
        5,
        (
            *AT_THE_DOOR,
            DELIVERED,
            reported("RETURN_REQUESTED", "office", 27),
            reported("RETURNED", "attempt", 28, "wms"),
            reported("EXCHANGED", "office", 29),
        ),
    ),
    Life("refused at the door", 5, (*AT_THE_DOOR, GOING_BACK, *REFUND)),
    Life("damaged", 3, (*AT_THE_DOOR, scan("DAMAGED", "parcel"), GOING_BACK, *REFUND)),
    Life("lost", 4, (*BOUGHT, *PACKED, WAY[0], scan("LOST", "customs"))),
    Life("silent", 3, (*BOUGHT, *PACKED, WAY[0])),
)

# Additions of a flash sale. A hot order's shop repeats its payment again and again.
REPOSTS = 163
RUSHED = PAID._replace(wait=Wait("rush", 1, 30))
AGAIN = tuple(PAID._replace(wait=Wait("repost", 1, 31 + number)) for number in range(REPOSTS))
SALE_LIVES = (
    Life("on sale", 990, (CREATED, RUSHED, *USUAL)),
    Life("hot", 10, (CREATED, RUSHED, *AGAIN, *USUAL)),
)
KINDS = (*LIVES, *SALE_LIVES)
SALE_FROM = 9_000_000_000  # the numbers of a sale's orders
OF_ORDER = [kind for kind in range(len(LIVES)) for _ in range(KINDS[kind].per_mille)]
OF_SALE = [kind for kind in range(len(LIVES), len(KINDS)) for _ in range(KINDS[kind].per_mille)]


def kind_of(serial: int, chance: int) -> int:
    """Which of `KINDS` of life an order lives."""
    return (OF_SALE if serial >= SALE_FROM else OF_ORDER)[chance % 1000]


def names_order(life: Life, step: int) -> bool:
    """Return True if a step's event names its order; else only the waybill, as carriers do.

    Where a command is judged by the scans before it, they name the order: so broker and dataflow
    keep them in their order.
    """
    return life.steps[step].source != "carrier" or life.last_command >= 0
