"""Python's cyclic garbage collector, on paths that make many objects and no cycles."""

import gc

# Objects made between two young collections; Python's own 700 cost track 31 % of its time
# (benchmarks/core.py, mode track, 50,000 live orders: 185 us an event, 126 with this, 128 with the
# collector off, in one session).
YOUNG = 100_000


def collect_seldom() -> None:
    """Freeze the existing objects and collect cycles seldom; they are still found."""
    gc.freeze()
    gc.set_threshold(YOUNG, 50, 100)
