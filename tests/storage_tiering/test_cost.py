"""The cost model: bytes times prices, against keeping everything in one tier."""

import pytest

from storage_tiering.cost import (
    ASSUMED_PRICES,
    GB,
    Footprint,
    Price,
    PriceTable,
    everything_in_hot,
    everything_in_warm,
    monthly_usd,
    saving,
)

PRICES = PriceTable(Price(10.0, "test"), Price(1.0, "test"), Price(0.1, "test"))


def test_a_month_costs_bytes_times_prices() -> None:
    assert monthly_usd(Footprint(GB, 2 * GB, 30 * GB), PRICES) == pytest.approx(15.0)


def test_what_is_saved_is_a_share_of_keeping_it_all() -> None:
    saved = saving(Footprint(0, 6 * GB, 5 * GB), Footprint(0, 10 * GB, 0), PRICES)
    assert saved.single_usd == pytest.approx(10.0)
    assert saved.tiered_usd == pytest.approx(6.5)
    assert saved.saved == pytest.approx(0.35)


def test_only_more_than_35_percent_beats_the_target() -> None:
    everything = Footprint(0, 100 * GB, 0)
    assert not saving(Footprint(0, 65 * GB, 0), everything, PRICES).beats_target
    assert saving(Footprint(0, 64 * GB, 0), everything, PRICES).beats_target


def test_a_tiering_that_costs_more_saves_less_than_nothing() -> None:
    assert saving(Footprint(2 * GB, 0, 0), Footprint(0, GB, 0), PRICES).saved < 0


def test_nothing_stored_saves_nothing() -> None:
    nothing = Footprint(0, 0, 0)
    assert saving(nothing, nothing).saved == 0.0


def test_keeping_everything_is_scaled_from_what_an_order_takes_up_now() -> None:
    assert everything_in_warm(1_000, 10, 25_000) == Footprint(0, 2_500_000, 0)
    assert everything_in_hot(1_000, 10, 25_000) == Footprint(2_500_000, 0, 0)
    assert everything_in_warm(1_000, 0, 0) == Footprint(0, 0, 0)


def test_prices_that_are_assumed_say_so() -> None:
    for price in (ASSUMED_PRICES.hot, ASSUMED_PRICES.warm, ASSUMED_PRICES.archive):
        assert price.source.startswith("assumption")
