"""This host's wall clock beside broker time: watched, shown, and survived when it is set back."""

import logging
import os
import sys
from collections.abc import Callable

from broker.broker_time import BrokerTime, HostClock
from commands.wiring.track_metrics import TrackMetrics

LOGGER = logging.getLogger("ordertide.track")
# sysexits.h, EX_TEMPFAIL: another start mends it. Code 2 would end the other workers for good.
AGAIN = 75
BEGIN_ANEW = "--begin-anew"


def watched(
    wall: Callable[[], int], broker: BrokerTime, watch: TrackMetrics, set_back: Callable[[], None]
) -> HostClock:
    """The wall clock of this host, on the metrics of `watch`."""
    host = HostClock(wall, broker.now, watch.host_clock_jumped, set_back)
    watch.compare(lambda: host.offset_ms() if broker.is_known else 0)
    return host


def start_again() -> None:
    """Replace this process by a new run of the same command.

    bytewax would stand still until the wall clock is where it was. Epochs counted as done in the
    state stay done, as after any end; locks and connections close with the process that held them.
    A state that was recreated is resumed: it would be discarded again.
    """
    LOGGER.warning("host clock: it was set back; the dataflow starts again from its last epoch")
    words = [word for word in sys.orig_argv[1:] if word != BEGIN_ANEW]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - our own command


def end_member() -> None:
    """End this worker: its supervisor restarts all of them from the last epoch."""
    LOGGER.warning("host clock: it was set back; the workers start again from the last epoch")
    os._exit(AGAIN)
