"""From the options of `ordertide load` to a plan."""

from dataclasses import dataclass

from loadgen.plan import Plan, Sale, Shares, orders_at_rate, scale_for
from schemas.errors import SettingsError
from schemas.instants import SECOND_MS, parse_duration, parse_instant

DEFAULT_ORDERS_PER_DAY = 100_000.0
# A message per order every 100 s: 10,000 messages/s are a million live orders.
LIVE_ORDERS_PER_RATE = 100


@dataclass(frozen=True)
class Amount:
    """The requested amount: orders a day, or a rate in messages a second and live orders."""

    orders_per_day: float | None
    rate: float | None
    live_orders: int | None


@dataclass(frozen=True)
class Times:
    """When: `start` as RFC 3339, lengths as they are written (`90s`, `10m`); None: left out."""

    start: str
    duration: str
    sale_after: str | None
    sale_length: str
    sale_times: float


def plan_of(
    amount: Amount, times: Times, shares: Shares, seed: int, *, is_daily: bool | None
) -> Plan:
    """The plan.

    Raises:
        SettingsError: options that can't be met, or not together.
    """
    orders_per_day, live_orders, scale = amounts(amount, shares)
    duration_ms = parse_duration(times.duration, of="--duration")
    return Plan(
        seed=seed,
        start_at=start_of(times.start),
        duration_ms=duration_ms,
        orders_per_day=orders_per_day,
        live_orders=live_orders,
        scale=scale,
        is_daily=live_orders is None if is_daily is None else is_daily,
        sale=sale_of(times, duration_ms),
        shares=shares,
    )


def amounts(amount: Amount, shares: Shares) -> tuple[float, int | None, float]:
    """(orders a day, live orders at the start, scale of lives)."""
    if amount.rate is None:
        if amount.live_orders is not None:
            raise SettingsError(
                "--live-orders needs --rate: with --orders-per-day lives last as modelled"
            )
        return amount.orders_per_day or DEFAULT_ORDERS_PER_DAY, None, 1.0
    if amount.orders_per_day is not None:
        raise SettingsError("--rate and --orders-per-day are both set; unset one")
    orders_per_day = orders_at_rate(amount.rate, shares)
    live_orders = amount.live_orders or round(amount.rate * LIVE_ORDERS_PER_RATE)
    return orders_per_day, live_orders, scale_for(live_orders, orders_per_day)


def start_of(text: str) -> int:
    """The instant of --start, rounded down to the second."""
    try:
        return parse_instant(text) // SECOND_MS * SECOND_MS
    except ValueError as error:
        raise SettingsError(f"--start: {error}") from error


def sale_of(times: Times, duration_ms: int) -> Sale | None:
    """The flash sale, if there is one."""
    if times.sale_after is None:
        return None
    start_ms = parse_duration(times.sale_after, of="--flash-sale")
    if start_ms >= duration_ms:
        raise SettingsError(
            f"--flash-sale {times.sale_after}: begins after --duration {times.duration}"
        )
    length_ms = parse_duration(times.sale_length, of="--flash-sale-length")
    return Sale(start_ms, length_ms, times.sale_times)
