"""Plan of a load, and the rates that follow from it: how often orders come and how long they live.

There are two kinds. Orders a day: lives last as long as modelled in `durations.py`, and the shop
begins empty. A rate and a number of live orders: the load is steady from the first second, because
it begins with the history of that many orders, and lives are shortened (or lengthened) to fit.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from loadgen.chance import log_uniform
from loadgen.durations import table_of
from loadgen.lives import LIVES, STAGES, WAITS, Life, Wait
from schemas.errors import SettingsError
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

# No step follows another within a second, so that a slice of time never adds to itself, and a
# command never overtakes what it is judged by.
LEAST_WAIT_MS = SECOND_MS
# A waybill is forgotten after 180 days without a scan.
MOST_WAIT_MS = 120 * DAY_MS
EVENTS_A_SLICE = 500
SLICES_MS = (10, 20, 50, 100, 200, 500, 1000)  # none over LEAST_WAIT_MS
LATE_MS = (HOUR_MS, 2 * DAY_MS)
SCALES = (0.0, 10.0)  # shorter lives than modelled, or longer
LEAST_LATE_MS = (MINUTE_MS, 2 * MINUTE_MS)


@dataclass(frozen=True)
class Shares:
    """Faults, as shares of the events: 0.2 is 20 %."""

    duplicates: float = 0.2  # sent twice
    out_of_order: float = 0.05  # held back by 1 s to 1 min
    late: float = 0.01  # held back by 1 h to 2 days, less where lives are compressed
    malformed: float = 0.001  # a bad message beside the event


@dataclass(frozen=True)
class Sale:
    """A flash sale: the load is `times` the usual for `duration_ms`, from `start_ms` on."""

    start_ms: int
    duration_ms: int = 10 * MINUTE_MS
    times: float = 3.0


@dataclass(frozen=True)
class Plan:
    """The load. Instants and lengths in ms; `live_orders` None begins with an empty shop.

    `start_at` is a whole second.
    """

    seed: int
    start_at: int
    duration_ms: int
    orders_per_day: float
    live_orders: int | None = None
    scale: float = 1.0
    is_daily: bool = True
    sale: Sale | None = None
    shares: Shares = Shares()

    @property
    def end_at(self) -> int:
        """Its end: every event happens before."""
        return self.start_at + self.duration_ms

    @property
    def orders_per_ms(self) -> float:
        """Mean rate of new orders."""
        return self.orders_per_day / DAY_MS

    @property
    def messages_per_ms(self) -> float:
        """Rate of messages once the load is steady."""
        return self.orders_per_ms * messages_per_order(self.shares)

    @property
    def slice_ms(self) -> int:
        """Span of a slice of work; whole slices make a second."""
        wanted_ms = EVENTS_A_SLICE / self.messages_per_ms
        return max((ms for ms in SLICES_MS if ms <= wanted_ms), default=SLICES_MS[0])

    @cached_property
    def waits(self) -> "Waits":
        """The waits at this plan's scale."""
        return Waits(self.scale)

    @cached_property
    def late_ms(self) -> tuple[float, ...]:
        """Delays of late messages."""
        shrunk = min(self.scale, 1.0)
        least = max(LATE_MS[0] * shrunk, LEAST_LATE_MS[0])
        return log_uniform(least, max(LATE_MS[1] * shrunk, LEAST_LATE_MS[1]))


class Waits:
    """The tables of all waits, scaled, in whole ms."""

    def __init__(self, scale: float) -> None:
        """Create the waits; `scale` shortens or lengthens lives."""
        self.scale = scale
        self.made: dict[tuple[str, float], tuple[int, ...]] = {}

    def table(self, wait: Wait) -> tuple[int, ...]:
        """The waits to draw from."""
        key = wait.table, wait.share
        if key not in self.made:
            scale = wait.share * self.scale
            self.made[key] = tuple(
                min(max(round(value * scale), LEAST_WAIT_MS), MOST_WAIT_MS)
                for value in VALUES[wait.table]
            )
        return self.made[key]

    def mean_life_ms(self) -> float:
        """The mean time from an order's first event to its last."""
        return sum(
            life.per_mille / 1000 * sum(map(self.mean, (step.wait for step in life.steps[1:])))
            for life in LIVES
        )

    def mean(self, wait: Wait) -> float:
        """The mean of a wait in ms."""
        table = self.table(wait)
        return sum(table) / len(table)


VALUES = {
    **{name: table_of(stage) for name, stage in STAGES.items()},
    **{name: log_uniform(*ends) for name, ends in WAITS.items()},
}


def events_per_order(lives: tuple[Life, ...] = LIVES) -> float:
    """Distinct events of a life, on average."""
    return sum(life.per_mille / 1000 * len(life.steps) for life in lives)


def messages_per_order(shares: Shares, lives: tuple[Life, ...] = LIVES) -> float:
    """Messages of a life, on average."""
    return events_per_order(lives) * copies(shares)


def copies(shares: Shares) -> float:
    """Messages of an event, on average."""
    return 1 + shares.duplicates + shares.malformed


def orders_at_rate(rate: float, shares: Shares) -> float:
    """Orders a day that give `rate` messages a second."""
    return rate * DAY_MS / SECOND_MS / messages_per_order(shares)


def scale_for(live_orders: int, orders_per_day: float) -> float:
    """The scale at which so many orders are live: their mean life has to be live / arrivals.

    Raises:
        SettingsError: lives would need steps closer than a second, or be ten times too long.
    """
    wanted_ms = live_orders / orders_per_day * DAY_MS
    low, high = SCALES
    fewest, most = (
        math.ceil(Waits(scale).mean_life_ms() * orders_per_day / DAY_MS) for scale in SCALES
    )
    if not fewest <= live_orders <= most:
        raise SettingsError(
            f"--live-orders {live_orders}: at this rate {fewest} to {most} fit, as events of an "
            "order are a second apart at least; give another number or another --rate"
        )
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if Waits(middle).mean_life_ms() < wanted_ms else (low, middle)
    return high
