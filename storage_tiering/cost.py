"""Savings by tiering: the bytes in each tier times its price, against keeping all in one tier."""

from dataclasses import dataclass

GB = 10**9
TARGET_SAVED = 0.35  # 35 % saved is the figure to beat


@dataclass(frozen=True)
class Price:
    """Price of storing 1 GB (10^9 bytes) for a month. `source` is its origin."""

    usd_per_gb_month: float
    source: str


@dataclass(frozen=True)
class PriceTable:
    """A price per tier; put your own here."""

    hot: Price
    warm: Price
    archive: Price


@dataclass(frozen=True)
class Footprint:
    """Bytes per tier as they lie there, without replicas: those are part of a price."""

    hot_bytes: int
    warm_bytes: int
    archive_bytes: int


@dataclass(frozen=True)
class Saving:
    """Monthly cost in US dollars. `saved` is a share: 0.35 is 35 %, negative costs more."""

    tiered_usd: float
    single_usd: float
    saved: float

    @property
    def beats_target(self) -> bool:
        """Is more saved than the figure to beat?"""
        return self.saved > TARGET_SAVED


# ASSUMPTIONS, not quotes: round list prices of a large cloud's cheapest region, from memory, to
# compare tiers with each other. For a budget, replace them by what you pay.
ASSUMED_PRICES = PriceTable(
    hot=Price(12.0, "assumption: memory of a managed cache node, about 0.2 USD/h for 13 GB, x1"),
    warm=Price(0.4, "assumption: SSD volumes at 0.08, two copies, half full, the nodes' share"),
    archive=Price(0.07, "assumption: disks at 0.023 with the three copies that HDFS keeps"),
)


def monthly_usd(footprint: Footprint, prices: PriceTable) -> float:
    """Monthly cost of these bytes in each tier."""
    return (
        footprint.hot_bytes * prices.hot.usd_per_gb_month
        + footprint.warm_bytes * prices.warm.usd_per_gb_month
        + footprint.archive_bytes * prices.archive.usd_per_gb_month
    ) / GB


def saving(tiered: Footprint, single: Footprint, prices: PriceTable = ASSUMED_PRICES) -> Saving:
    """Saving of `tiered` against `single`, which holds everything that was ever written.

    `single` is `everything_in` the hot or the warm tier. Without cost nothing is saved.
    """
    tiered_usd, single_usd = monthly_usd(tiered, prices), monthly_usd(single, prices)
    saved = 1 - tiered_usd / single_usd if single_usd else 0.0
    return Saving(tiered_usd, single_usd, saved)


def everything_in_warm(orders: int, warm_orders: int, warm_bytes: int) -> Footprint:
    """All `orders` ever, if each took up what one of the `warm_orders` takes up there now."""
    return Footprint(0, _scaled(warm_bytes, orders, warm_orders), 0)


def everything_in_hot(orders: int, hot_orders: int, hot_bytes: int) -> Footprint:
    """All `orders` ever, if each took up what one of the `hot_orders` takes up there now."""
    return Footprint(_scaled(hot_bytes, orders, hot_orders), 0, 0)


def _scaled(size_bytes: int, orders: int, held_orders: int) -> int:
    return size_bytes * orders // held_orders if held_orders else 0
