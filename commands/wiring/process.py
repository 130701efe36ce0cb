"""The process of a command: the signals that end it, and the wall clock of its host."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from broker.interrupts import STOPPING

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> Event:
    """The event that the first signal sets; a second Ctrl-C ends the process at once."""
    for number in NUMBERS:
        signal.signal(number, stop)
    return STOPPING


@contextmanager
def temporary_stop_event() -> Iterator[Event]:
    """`stop_event` for a part of a command; afterwards signals do what they did before."""
    before = [signal.getsignal(number) for number in NUMBERS]
    try:
        yield stop_event()
    finally:
        for number, handler in zip(NUMBERS, before, strict=True):
            signal.signal(number, handler)
        STOPPING.clear()


def stop(number: int, _: FrameType | None) -> None:
    """Handle a signal. SIGTERM may come again and again: a run repeats it to its workers."""
    if number == signal.SIGINT:
        interrupts.append(number)
        if len(interrupts) > 1:
            os._exit(128 + number)  # an operator who insists
    STOPPING.set()


interrupts: list[int] = []


def now_ms() -> int:
    """The wall clock of this host (ms): to be shown, never to evaluate orders with."""
    return time.time_ns() // 1_000_000
