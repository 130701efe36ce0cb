"""Resident bytes per live order: what the process grows by, divided by the orders it then holds.

A process of its own for each size. Events come in one by one and in turns, as in life; dict,
calendar, keys and what the allocator can't give back are part of it. Two populations:

steady    orders at every stage of a journey of twenty events, so ten each on average
in step   all orders grow together to ten events each (one in fifty fewer: its parcel is stuck).
          The worst case for an allocator: what the smaller sizes took is free but can't be returned
"""

import ctypes
import gc
import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benchmarks.core import BATCH, Core, Gate
from benchmarks.events import LIVE_EVENTS, Traffic
from benchmarks.report import Section, table, verdict

TARGET_BYTES = 700
IN_STEP_UP_TO = 100_000  # a million gives the same result and takes as long again
STEADY_EVENTS = 2 * LIVE_EVENTS  # from none to twenty: ten on average
# Fills the caches and the allocator's free lists with a batch's worth of facts, few orders kept.
WARM_ORDERS = BATCH // LIVE_EVENTS


class Weighed(NamedTuple):
    """Memory of a process."""

    kind: str
    orders: int
    mean_history: float
    packed_bytes: float  # the order's own bytes object, on average
    resident_bytes: int


def resident_bytes() -> int:
    """Resident memory of this process, after free memory was given back."""
    gc.collect()
    if sys.platform != "linux":
        raise OSError(f"{sys.platform}: /proc/self/statm is needed; measure memory on Linux")
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def weigh(pipe: Connection, gate: Gate, orders: int, kind: str, seed: int) -> None:
    """Fill this process and report its growth."""
    with gate:
        pipe.send(weighed(orders, kind, seed))


def weighed(orders: int, kind: str, seed: int) -> Weighed:
    """As `weigh`, when it is our turn."""
    Core().fill(Traffic(WARM_ORDERS, seed, is_staggered=False))
    core = Core()
    if kind == "steady":
        traffic = Traffic(orders, seed, live_events=STEADY_EVENTS)
    else:
        traffic = Traffic(orders, seed, is_staggered=False)
    before_bytes = resident_bytes()
    core.fill(traffic)
    grown_bytes = resident_bytes() - before_bytes
    packed = [len(data) for shard in core.shards for data in shard.orders().values()]
    mean_bytes = sum(packed) / len(packed)
    return Weighed(kind, core.live, core.mean_history(), mean_bytes, grown_bytes)


def start_weighing(sizes: Sequence[int], gate: Gate, seed: int) -> list[Connection]:
    """Start a process for each row, the largest first; `gate` lets some of them fill at a time."""
    rows = [(size, "steady") for size in sizes]
    rows += [(size, "in step") for size in sizes if size <= IN_STEP_UP_TO]
    pipes = {row: weigher(row[0], row[1], gate, seed) for row in sorted(rows, reverse=True)}
    return [pipes[row] for row in rows]


def weigher(orders: int, kind: str, gate: Gate, seed: int) -> Connection:
    """A process that sends what it weighed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, gate, orders, kind, seed)
    context.Process(target=weigh, args=arguments, daemon=True).start()
    theirs.close()
    return ours


def measure_memory(pipes: Sequence[Connection]) -> Section:
    """Results of the processes, when they are ready."""
    found: list[Weighed] = [pipe.recv() for pipe in pipes]
    rows = [
        [
            f"{one.orders:,} {one.kind}",
            f"{one.mean_history:.1f}",
            f"{one.packed_bytes:,.0f}",
            f"{one.resident_bytes / one.orders:,.0f}",
            f"{one.resident_bytes / 2**20:,.1f}",
            verdict(is_met=one.resident_bytes <= TARGET_BYTES * one.orders),
        ]
        for one in found
    ]
    heads = ["live orders", "events each", "packed bytes", "resident bytes an order", "MiB"]
    return Section("memory", table([*heads, f"at most {TARGET_BYTES}"], rows))
