"""Load of all systems: N orders on their way, then events, in chunks that end with a tick.

The fill is two events an order (created; then a carrier's scan that arms the deadline). One order
in fifty was scanned 36 to 48 hours before the others and stays silent: its deadline falls due
during the first round of 12 hours, so timers do not only lie there.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from benchmarks.events import (
    LIVE_EVENTS,
    ONE_STUCK_IN,
    ROUND_MS,
    STUCK_ROUNDS,
    Arrived,
    Traffic,
    event_of,
)
from schemas.instants import HOUR_MS, format_instant

COLLECTED = 3
# Between two chunks the clock advances by this: a system that checks its timers once a minute of
# stream time has looked at them then.
TICK_MS = HOUR_MS


class Load:
    """A seeded load; `now_at` is its stream time."""

    def __init__(self, orders: int, seed: int, duplicates: float = 0.0) -> None:
        self.traffic = Traffic(orders, seed, is_staggered=False, duplicates=duplicates)
        self.steady = self.traffic.steady()

    @property
    def now_at(self) -> int:
        return self.traffic.now_at

    def fill(self) -> Iterator[Arrived]:
        """Create every order, then have it scanned."""
        return chain(self.traffic.round(), self.scan(stuck=True), self.scan(stuck=False))

    def chunk(self, events: int) -> Iterator[Arrived]:
        """The next messages, duplicates among them."""
        return islice(self.steady, events)

    def scan(self, *, stuck: bool) -> Iterator[Arrived]:
        """The stuck orders' scan, with the 24 hours after it; or that of all others."""
        traffic = self.traffic
        traffic.rng.shuffle(traffic.places)
        for place in traffic.places:
            traffic.turns += 1
            serial = traffic.serial[place]
            if (serial % ONE_STUCK_IN == 0) != stuck:
                continue
            step = traffic.rng.randrange(COLLECTED, LIVE_EVENTS)
            traffic.step[place] = step + 1
            if stuck:
                traffic.pause[place] = STUCK_ROUNDS - 1
            yield Arrived(
                traffic.now_at, event_of(serial, step, status(traffic, step), self.now_at)
            )
        if stuck:
            self.wait(2 * ROUND_MS)

    def tick(self) -> int:
        """The clock at the end of a chunk; the next one begins after it."""
        self.wait(TICK_MS)
        at = self.now_at
        self.wait(1000)
        return at

    def wait(self, span_ms: int) -> None:
        """Let time pass without events."""
        places = len(self.traffic.places)
        self.traffic.turns += -(-span_ms * places // ROUND_MS)


def status(traffic: Traffic, step: int) -> str:
    """Status at a step; an order never begins with a mere sign of life."""
    code = traffic.journey[step]
    return "IN_TRANSIT" if code == "SCAN" else code


def tick_line(at: int) -> bytes:
    """The message that promises that all before `at` has been sent."""
    return b'{"kind":"tick","recorded_at":"%s"}' % format_instant(at).encode()


def distinct(arrived: Iterable[Arrived]) -> int:
    """Number of distinct events."""
    return len({one.event.event_id for one in arrived})
