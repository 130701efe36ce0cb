"""Memory: Python's cyclic garbage collector, and the allocator of the C library."""

import ctypes
import gc
import sys
from contextlib import suppress

# Objects made between two young collections; Python's own 700 cost track 31 % of its time
# (benchmarks/core.py, mode track, 50,000 live orders: 185 us an event, 126 with this, 128 with the
# collector off, in one session).
YOUNG = 100_000


def collect_seldom() -> None:
    """Freeze the existing objects and collect cycles seldom; they are still found."""
    gc.freeze()
    gc.set_threshold(YOUNG, 50, 100)


def give_back_memory() -> None:
    """Return free memory of the C library's allocator to the system, where it can (glibc).

    After much was read from Kafka: the client's threads each keep the memory of messages that were
    freed, 120 MB after 200,000 documents.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # musl has no such function, and keeps less
            ctypes.CDLL(None).malloc_trim(0)
