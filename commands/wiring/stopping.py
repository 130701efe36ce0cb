"""Signals that end a command: SIGTERM and Ctrl-C."""

import os
import signal
from threading import Event
from types import FrameType

from broker.interrupts import STOPPING

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> Event:
    """The event that the first signal sets; a second Ctrl-C ends the process at once."""
    for number in NUMBERS:
        signal.signal(number, stop)
    return STOPPING


def stop(number: int, _: FrameType | None) -> None:
    """Handle a signal. SIGTERM may come again and again: a run repeats it to its workers."""
    if number == signal.SIGINT:
        interrupts.append(number)
        if len(interrupts) > 1:
            os._exit(128 + number)  # an operator who doesn't want to wait
    STOPPING.set()


interrupts: list[int] = []
