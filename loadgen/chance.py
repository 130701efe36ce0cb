"""Seeded chance for the load generator: everything about an order follows from its number.

So nothing is kept of an order but its number and its step, and a life can be looked at before it is
lived. One 64-bit draw an order is spread over its choices and its waits.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeVar

SLOTS = 1024  # of a table that is drawn from by ten bits
BITS_64 = 2**64 - 1

Thing = TypeVar("Thing")


def mixer(seed: int) -> Callable[[int], int]:
    """A function from an order's number to its 64 bits of chance.

    The finaliser of splitmix64 (Steele, Lea and Flood: Fast Splittable Pseudorandom Number
    Generators, OOPSLA 2014).
    """
    start = (seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & BITS_64

    def mix(serial: int) -> int:
        drawn = (start + serial * 0x9E3779B97F4A7C15) & BITS_64
        drawn = ((drawn ^ drawn >> 30) * 0xBF58476D1CE4E5B9) & BITS_64
        drawn = ((drawn ^ drawn >> 27) * 0x94D049BB133111EB) & BITS_64
        return drawn ^ drawn >> 31

    return mix


def log_uniform(least: float, most: float) -> tuple[float, ...]:
    """`SLOTS` values, as many between 1 and 10 as between 10 and 100."""
    return tuple(least * (most / least) ** ((slot + 0.5) / SLOTS) for slot in range(SLOTS))


def shared_out(shares: Sequence[tuple[Thing, float]], slots: int) -> tuple[Thing, ...]:
    """A table of `slots` things to draw from, each as often as its share requires."""
    ends = list(accumulate(share for _, share in shares))
    marks = ((slot + 0.5) / slots * ends[-1] for slot in range(slots))
    return tuple(shares[bisect_left(ends, mark)][0] for mark in marks)


def zipf(count: int, exponent: float) -> list[tuple[int, float]]:
    """(rank from 0, share): the n-th is chosen in proportion to 1 / n^exponent."""
    return [(rank, 1 / (rank + 1) ** exponent) for rank in range(count)]
