"""When orders come: at random (Poisson), along the day, more of them in a flash sale."""

import random
from collections.abc import Iterator

from loadgen.durations import ORDERS_BY_HOUR
from loadgen.lives import REPOSTS, SALE_FROM
from loadgen.plan import Plan, Sale, copies
from schemas.instants import HOUR_MS

MEAN_ORDERS = sum(ORDERS_BY_HOUR) / len(ORDERS_BY_HOUR)
CURVE = tuple(orders / MEAN_ORDERS for orders in ORDERS_BY_HOUR)
HOT_SHARE = 0.01  # of a sale's orders: `SALE_LIVES`
RUSH_STEPS = 2  # ordered and paid


class Demand:
    """Hands out the instants at which orders are placed, slice by slice."""

    def __init__(self, plan: Plan, rng: random.Random, begin_at: int) -> None:
        """Create the demand from `begin_at` on: with a history, before the plan's start."""
        self.plan = plan
        self.rng = rng
        self.next_at = float(begin_at)
        self.next_serial = 0
        self.sale_at = float(plan.start_at + plan.sale.start_ms) if plan.sale else float("inf")
        self.sale_end_at = self.sale_at + plan.sale.duration_ms if plan.sale else 0.0
        self.sale_per_ms = sale_orders_per_ms(plan, plan.sale) if plan.sale else 0.0
        self.next_sale_serial = SALE_FROM
        self.wait()

    def wait(self) -> None:
        """Draw the instant of the next order: as many orders are skipped as a draw gives."""
        at, pending = self.next_at, self.rng.expovariate(1.0)
        while pending > (until_hour := self.often(at) * (HOUR_MS - at % HOUR_MS)):
            pending -= until_hour
            at += HOUR_MS - at % HOUR_MS
        self.next_at = at + pending / self.often(at)

    def often(self, at: float) -> float:
        """Orders a ms in the hour of `at`."""
        usual = self.plan.orders_per_ms
        return usual * CURVE[int(at // HOUR_MS) % 24] if self.plan.is_daily else usual

    def first(self) -> int:
        """The instant of the next order."""
        sale_at = self.sale_at if self.sale_at < self.sale_end_at else self.next_at
        return int(min(self.next_at, sale_at))

    def until(self, end_at: int) -> Iterator[tuple[int, int]]:
        """(instant, number) of the orders before `end_at`."""
        while self.next_at < end_at:
            yield int(self.next_at), self.next_serial
            self.next_serial += 1
            self.wait()
        while self.sale_at < min(end_at, self.sale_end_at):
            yield int(self.sale_at), self.next_sale_serial
            self.next_sale_serial += 1
            self.sale_at += self.rng.expovariate(self.sale_per_ms)


def sale_orders_per_ms(plan: Plan, sale: Sale) -> float:
    """Rate of a sale's orders, so that the load becomes `times` the usual.

    A sale's order sends its first two events at once, a hot one its reposts as well. `REPOSTS` is
    what makes 1 % of the orders 30 % of the messages at three times the usual load.
    """
    extra = plan.messages_per_ms * (sale.times - 1)
    return extra / (copies(plan.shares) * (RUSH_STEPS + HOT_SHARE * REPOSTS))
