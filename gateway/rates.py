"""Rates of callers, over all `serve` of an installation: a sliding window each, shared counts.

A window is that of the package `limits` ("sliding window counter"): the requests of this period,
and those of the last one by the part of it that the window still covers. A request is judged by
what this process holds, in microseconds. Its counts are added to the shared ones a quarter of a
second later at most, and what others have added by then counts here as well. So N processes let a
caller through at most N times in that quarter of a second, and not for longer. While the shared
counts are unavailable each process counts alone, by the same figures.

A rate may also bound the requests at once, by a leaky bucket: each request adds one, and the bucket
leaks at the rate. It keeps the work of a process even, so its level is that of the process alone.

Not the package's own storage: it needs scripts, which the gateway's user in Redis may not run, and
its windows can't be told of requests that others have let through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from redis import Redis

from schemas.keys import content_id
from storage_tiering.hot.errors import answers, execute
from storage_tiering.hot.servers import Cluster, Single

MOST_WINDOWS = 10_000  # beyond them, those that have run out are forgotten
ROUNDING = 1e-3  # requests: instants of today are whole multiples of 0.24 us


class Period(NamedTuple):
    """A period of a caller: its number since 1970, and its length in seconds."""

    caller: str
    number: int
    length_s: int


class Rate(NamedTuple):
    """Rate of a class: `amount` requests in `length_s`; at once `at_once`, None for all of them."""

    amount: int
    length_s: int
    at_once: int | None = None

    @property
    def limit(self) -> int:
        """Requests that may come at once."""
        return self.at_once or self.amount

    def __str__(self) -> str:
        at_once = f", or {self.at_once} at once" if self.at_once else ""
        return f"{self.amount} requests in {self.length_s} s{at_once}"


class SharedCounts(Protocol):
    """Requests of all processes by period; see tests/contracts/test_shared_counts.py."""

    def add(self, counts: Mapping[Period, int]) -> Mapping[Period, int]:
        """Add requests to these periods; the sums with those of all others.

        Raises:
            OrdertideError: the store is unavailable; some may have been added.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class RedisCounts(SharedCounts):
    """Counts in the Redis of the hot tier: a number for each period, kept for two of them."""

    def __init__(self, client: "Redis | Cluster", prefix: str) -> None:
        """Create counts whose keys begin with `prefix`; nothing is sent yet."""
        self._servers = client if isinstance(client, Cluster) else Single(client)
        self._prefix = f"{prefix}rate:"

    def add(self, counts: Mapping[Period, int]) -> Mapping[Period, int]:
        with answers():
            pipe = self._servers.pipeline()
            for period, count in counts.items():
                # Hashed: the caller of some classes is an address.
                key = f"{self._prefix}{content_id(period.caller)}:{period.number}"
                pipe.incrby(key, count)
                pipe.pexpire(key, 2 * period.length_s * 1000)
            sums = execute(pipe)[::2]
        return dict(zip(counts, map(int, sums), strict=True))

    def close(self) -> None:
        self._servers.close()


@dataclass(slots=True)
class Counted:
    """Requests of a period: let through here, of these added to the shared counts, by others."""

    own: int = 0
    added: int = 0
    others: int = 0

    @property
    def all(self) -> int:
        """Requests that are known here."""
        return self.own + self.others


@dataclass(slots=True)
class Bucket:
    """Leaky bucket of a caller: room for `size` requests, of which `per_s` leak out in a second."""

    size: int
    per_s: float
    level: float = 0.0
    leaked_at_s: float = 0.0

    def leak(self, now_s: float) -> None:
        """Move to `now_s`; nothing leaks where the clock went back."""
        leaked = self.per_s * max(0.0, now_s - self.leaked_at_s)
        self.level, self.leaked_at_s = max(0.0, self.level - leaked), now_s

    @property
    def room(self) -> int:
        """Requests that are possible at once."""
        return int(self.size - self.level + ROUNDING)

    @property
    def reset_s(self) -> float:
        """Seconds until a request is possible, if none is now; else until the bucket is empty."""
        return (self.level - (0 if self.room else self.size - 1)) / self.per_s


@dataclass(slots=True)
class Window:
    """The window of a caller, up to `amount` requests in `length_s`, at the period `number`.

    `bucket` is None where all of them may come at once.
    """

    caller: str
    amount: int
    length_s: int
    bucket: Bucket | None
    number: int
    this: Counted
    last: Counted

    def advance(self, now_s: float) -> float:
        """Move to the period of `now_s`; the part of it that has passed, from 0 to 1."""
        number, passed = divmod(now_s / self.length_s, 1.0)
        gone = int(number) - self.number
        if gone > 0:
            self.last = self.this if gone == 1 else Counted()
            self.this, self.number = Counted(), int(number)
        if self.bucket:
            self.bucket.leak(now_s)
        return passed

    @property
    def periods(self) -> dict[int, Counted]:
        """This period and the last one, by their numbers."""
        return {self.number: self.this, self.number - 1: self.last}

    def count(self) -> None:
        """Count a request that is let through."""
        self.this.own += 1
        if self.bucket:
            self.bucket.level += 1

    def standing(self, passed: float) -> tuple[int, float]:
        """(requests possible now, seconds until the reset): of window or bucket, the lesser one."""
        left, reset_s = self.remaining(passed), self.reset_s(passed)
        if self.bucket is None or left < self.bucket.room:
            return left, reset_s
        if not left:  # neither lets one through
            return 0, max(reset_s, self.bucket.reset_s)
        return self.bucket.room, self.bucket.reset_s

    def remaining(self, passed: float) -> int:
        """Requests that the window has left."""
        covered = int(self.last.all * (1.0 - passed) - ROUNDING)
        return max(0, self.amount - self.this.all - covered)

    def reset_s(self, passed: float) -> float:
        """Seconds until the window has a request, if it has none; else until this period ends."""
        to_end_s = (1.0 - passed) * self.length_s
        free = self.amount - self.this.all
        if free <= 0:  # not in this period; in the next one, this one's count shrinks
            return to_end_s + self.length_s * (1.0 - self.amount / self.this.all)
        if self.remaining(passed):
            return to_end_s
        return (1.0 - free / self.last.all - passed) * self.length_s


class Windows:
    """Windows of all callers; not thread-safe. Times are s of the wall clock, shared by all."""

    def __init__(self) -> None:
        """Create a collection without windows."""
        self._windows: dict[str, Window] = {}
        self._touched: set[str] = set()  # with requests that are not shared yet
        self._forget_at = MOST_WINDOWS

    def hit(self, caller: str, rate: Rate, now_s: float) -> tuple[bool, int, float]:
        """(the request is within its rate and counted, requests left, seconds until the reset)."""
        window = self._windows.get(caller)
        if window is None:
            self._forget(now_s)
            window = self._windows[caller] = window_of(caller, rate, now_s)
        passed = window.advance(now_s)
        left, reset_s = window.standing(passed)
        if not left:
            return False, 0, reset_s
        window.count()
        self._touched.add(caller)
        return True, *window.standing(passed)

    def unshared(self) -> dict[Period, int]:
        """Requests that were let through and not added to the shared counts yet."""
        found: dict[Period, int] = {}
        for window in map(self._windows.__getitem__, self._touched):
            for number, counted in window.periods.items():
                if counted.own > counted.added:
                    period = Period(window.caller, number, window.length_s)
                    found[period] = counted.own - counted.added
        self._touched = {period.caller for period in found}
        return found

    def shared(self, counts: Mapping[Period, int], sums: Mapping[Period, int]) -> None:
        """Note that these counts were added, and the sums with those of others."""
        for period, count in counts.items():
            window = self._windows.get(period.caller)
            counted = window.periods.get(period.number) if window else None
            if counted is not None:
                counted.added += count
                counted.others = max(counted.others, sums[period] - counted.added)

    def _forget(self, now_s: float) -> None:
        """Forget windows that have run out, where there are many."""
        if len(self._windows) < self._forget_at:
            return
        self._windows = {
            caller: window
            for caller, window in self._windows.items()
            if window.number + 1 >= now_s // window.length_s or caller in self._touched
        }
        self._forget_at = max(MOST_WINDOWS, 2 * len(self._windows))


def window_of(caller: str, rate: Rate, now_s: float) -> Window:
    """The window of a caller without requests."""
    amount, length_s, at_once = rate
    bucket = Bucket(at_once, amount / length_s) if at_once else None
    number = int(now_s // length_s)
    return Window(caller, amount, length_s, bucket, number, Counted(), Counted())
