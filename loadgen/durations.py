"""Durations of the stages of generated orders: distributions of our own choosing.

They model a shop that sends parcels across a large country and a few abroad by air. No stage is
fitted to a data set: medians and factors are round numbers, chosen so that most orders keep their
promise, some miss it, and an order is live for about three weeks.

A stage is a mixture of log-normal modes, since waits of people and carriers are skewed: most are
short, a few take many times as long.
"""

from itertools import accumulate
from math import exp, log
from statistics import NormalDist
from typing import NamedTuple

from loadgen.chance import SLOTS
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS


class Mode(NamedTuple):
    """One way to take a stage: `share` of the orders take it.

    Half of them take longer than the median; one in six takes more than `factor` times the median,
    and as many less than the median divided by it.
    """

    share: float
    median_ms: int
    factor: float


Stage = tuple[Mode, ...]

# Bought to paid: three in four by card or wallet while they buy, the others by bank transfer.
PAYMENT: Stage = (Mode(0.75, 15 * MINUTE_MS, 2.0), Mode(0.25, 30 * HOUR_MS, 1.8))
# Paid to collected by the carrier: picked and packed, with the queue of a busy week.
HANDOVER: Stage = (Mode(1.0, 2 * DAY_MS, 2.4),)
# Collected to delivered: by road, from the next town to the far end of the country.
DELIVERY: Stage = (Mode(1.0, 7 * DAY_MS, 2.1),)
# Bought to promised: the shop's estimate for the address, with a reserve.
PROMISE: Stage = (Mode(1.0, 22 * DAY_MS, 1.5),)
# Abroad, by air: until the airline has the parcel, until the flight leaves, until it is unloaded,
# until the carrier of the other country has it.
RECEPTION: Stage = (Mode(1.0, 8 * HOUR_MS, 5.0),)
DEPARTURE: Stage = (Mode(1.0, 10 * HOUR_MS, 2.0),)
FLIGHT: Stage = (Mode(1.0, 10 * HOUR_MS, 1.8),)
HANDOUT: Stage = (Mode(1.0, 16 * HOUR_MS, 4.0),)

# Orders in each hour of the local day, relative to each other: few at night, most in the lunch
# break and in the evening.
ORDERS_BY_HOUR = (5, 2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 11, 13, 12, 9, 8, 8, 8, 9, 11, 13, 13, 12, 8)


def table_of(stage: Stage) -> tuple[float, ...]:
    """`SLOTS` durations of a stage in ms, ascending and all equally likely."""
    ends = [round(SLOTS * end) for end in accumulate(mode.share for mode in stage)]
    starts = [0, *ends[:-1]]
    drawn = [
        value
        for mode, start, end in zip(stage, starts, ends, strict=True)
        for value in log_normal(mode, end - start)
    ]
    return tuple(sorted(drawn))


def log_normal(mode: Mode, count: int) -> list[float]:
    """`count` durations of a mode in ms, ascending and all equally likely."""
    normal = NormalDist(log(mode.median_ms), log(mode.factor))
    return [exp(normal.inv_cdf((slot + 0.5) / count)) for slot in range(count)]
