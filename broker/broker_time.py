"""Broker time: append times of our own heartbeats, extrapolated by the host's steady clock.

The host's wall clock takes no part in it. A heartbeat that was appended at A and acknowledged at r
(steady clock) proves that broker time at r is at least A; one that was sent at s proves that it was
at most A at s. In between and after, the steady clock extrapolates. A leap of the broker's own
clock is followed only once it has lasted: until then broker time continues without the leap.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

LOGGER = logging.getLogger("ordertide.broker")
Clock = Callable[[], int]  # ms

# Without a heartbeat for so long nothing is proven: the steady clock drifts, and the broker's may
# have been set. The clock of every partition holds then.
FRESH_MS = 10_000
# What is more is no drift, no slow answer and no difference between two brokers.
LEAP_MS = 10_000
LEAP_LASTS_MS = 5 * 60_000
# A slow answer and a slow thread make less of a difference.
JUMP_MS = 2_000
SET_BACK_MS = 10_000
# Of the last heartbeats the one acknowledged fastest gives the tightest bound.
COMPARED = 8


def steady_ms() -> int:
    """The host's steady clock in ms: it is never set, and it counts a suspended host's time too."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class BrokerTime:
    """Estimate of the broker's time. Safe to read from any thread."""

    def __init__(self, steady: Clock = steady_ms) -> None:
        """Create an estimate, empty until `fixed` or the first heartbeat; `steady` in ms."""
        self._steady = steady
        self._lock = threading.Lock()
        self._offsets: deque[int] = deque(maxlen=COMPARED)  # broker time less steady clock
        self._offset = 0
        self._heard_ms: int | None = None
        self._leapt_ms: int | None = None
        self._is_fixed = False

    @property
    def is_known(self) -> bool:
        """Return True once there was a heartbeat."""
        return self._is_fixed or self._heard_ms is not None

    def now(self) -> int:
        """Broker time in ms, carried on for however long no heartbeat was acknowledged.

        Raises:
            RuntimeError: there was none yet; a bug, as the dataflow starts after the first.
        """
        if not self.is_known:
            message = "broker time was read before the first heartbeat"
            raise RuntimeError(message)
        return self._steady() + self._offset

    def proven(self) -> int | None:
        """Broker time in ms where a recent heartbeat proves it; None where it doesn't."""
        steady_now = self._steady()
        if self._is_fixed:
            return steady_now + self._offset
        if self._heard_ms is None or steady_now - self._heard_ms > FRESH_MS:
            return None
        return steady_now + self._offset

    def fix(self, at: int, steady_at_ms: int) -> None:
        """Broker time was `at` when the steady clock showed `steady_at_ms`; no heartbeat follows.

        For an embedded broker, whose messages carry their senders' wall clock.
        """
        self._offset = at - steady_at_ms
        self._is_fixed = True

    def heartbeat(self, sent_ms: int, appended_at: int, acknowledged_ms: int) -> None:
        """Take a heartbeat; `sent_ms` and `acknowledged_ms` are of the steady clock."""
        at_least, at_most = appended_at - acknowledged_ms, appended_at - sent_ms
        with self._lock:
            is_first = self._heard_ms is None
            self._heard_ms = acknowledged_ms
            leap_ms = self._leap(at_least, at_most)
            if leap_ms and not is_first and not self._has_lasted(acknowledged_ms, leap_ms):
                return
            if leap_ms:
                self._offsets.clear()
            elif self._leapt_ms is not None:
                LOGGER.warning("broker time: the broker's clock is as it was before")
            self._leapt_ms = None
            self._offsets.append(at_least)
            self._offset = max(self._offsets)

    def _leap(self, at_least: int, at_most: int) -> int:
        """By how many ms the broker's clock was set; 0 where delay and drift explain it."""
        if at_least > self._offset + LEAP_MS:
            return at_least - self._offset
        if at_most < self._offset - LEAP_MS:
            return at_most - self._offset
        return 0

    def _has_lasted(self, now_ms: int, leap_ms: int) -> bool:
        way = "ahead" if leap_ms > 0 else "back"
        if self._leapt_ms is None:
            self._leapt_ms = now_ms
            LOGGER.warning(
                "broker time: the broker's clock was set %s by %.1f s; it is followed if that "
                "lasts for %d minutes, check NTP on the brokers",
                *(way, abs(leap_ms) / 1000, LEAP_LASTS_MS // 60_000),
            )
        if now_ms - self._leapt_ms < LEAP_LASTS_MS:
            return False
        LOGGER.warning("broker time: goes %s by %.1f s after the broker", way, abs(leap_ms) / 1000)
        return True


class HostClock:
    """This host's wall clock, watched against broker time; no order is judged by it.

    `jumped` is called once for each jump. `set_back` is called when it was set back by more than
    10 s: bytewax paces sources and epochs by the wall clock, so it would stand still for as long.
    """

    def __init__(
        self,
        wall: Clock,
        broker: Clock,
        jumped: Callable[[], None],
        set_back: Callable[[], None],
        steady: Clock = steady_ms,
    ) -> None:
        """Create one that expects `wall` and `broker` to agree; all clocks give ms."""
        self._wall = wall
        self._broker = broker
        self._jumped = jumped
        self._set_back = set_back
        self._steady = steady
        self._level_ms: int | None = None
        self._ahead_of_steady_ms = wall() - steady()

    def offset_ms(self) -> int:
        """Offset of the host's clock to broker time; below 0: behind."""
        return self._wall() - self._broker()

    def check(self) -> None:
        """Report a jump since the last check."""
        self._compare(self.offset_ms())
        before_ms, self._ahead_of_steady_ms = (
            self._ahead_of_steady_ms,
            self._wall() - self._steady(),
        )
        if self._ahead_of_steady_ms < before_ms - SET_BACK_MS:
            self._set_back()

    def _compare(self, offset_ms: int) -> None:
        jump_ms = offset_ms - (self._level_ms or 0)
        is_first, is_off = self._level_ms is None, abs(jump_ms) > JUMP_MS
        if is_first or is_off:
            self._level_ms = offset_ms
        if not is_off:
            return
        if not is_first:
            self._jumped()
        LOGGER.warning(
            "host clock: it %s by %+.1f s against broker time, and differs by %+.1f s now; "
            "check NTP on this host and on the brokers; orders are evaluated by broker time alone",
            *("starts off" if is_first else "jumped", jump_ms / 1000, offset_ms / 1000),
        )
