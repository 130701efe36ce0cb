"""Poll plan of one account: which parcels are asked for next. Pure: time comes in as ms.

A parcel is asked for again an interval after its last news, or after the last answer about it. The
interval follows its status, and grows with its silence: from 7 days on it doubles with each day, up
to 12 hours; after 30 days the parcel is asked for no more, until there is news of it. Jitter only
shortens an interval, so news is never older than the interval and the time of the request.

Requests are paced by a token bucket; those that are due wait in the order in which they became due.
A parcel that is overdue when it is first seen, as all are after a restart without memory, becomes
due within its interval, not at once.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from zlib import crc32

from dataflows.carriers.pollable import Asked
from schemas.instants import DAY_MS

MINUTE_MS = 60_000
INTERVALS_MS: dict[str, int] = {
    "OUT_FOR_DELIVERY": 15 * MINUTE_MS,
    "COLLECTED": 30 * MINUTE_MS,
    "IN_TRANSIT": 30 * MINUTE_MS,
    "SCAN": 30 * MINUTE_MS,
    "CUSTOMS_CLEARED": 30 * MINUTE_MS,
    "DELIVERY_FAILED": 60 * MINUTE_MS,
    "CUSTOMS_HOLD": 120 * MINUTE_MS,
    "READY_FOR_PICKUP": 120 * MINUTE_MS,
    "RETURN_TO_SENDER": 120 * MINUTE_MS,
    "LABEL_CREATED": 240 * MINUTE_MS,
    "DAMAGED": 720 * MINUTE_MS,
    "LOST": 720 * MINUTE_MS,
}
PROMISED = frozenset({"COLLECTED", "IN_TRANSIT", "OUT_FOR_DELIVERY"})
PROMISED_MS = 30 * MINUTE_MS
SILENT_MS, GIVEN_UP_MS = 7 * DAY_MS, 30 * DAY_MS
LONGEST_MS = 720 * MINUTE_MS
JITTER = 0.2
AHEAD_MS = MINUTE_MS  # a batch with room left takes what is due so soon
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 30_000, 60 * MINUTE_MS
FIRST_RETRY_MS = 5 * MINUTE_MS


class Parcel:
    """A live parcel. `due_at` is None while it is being asked for, or given up."""

    __slots__ = (
        *("number", "carrier", "status", "news_at"),
        *("asked_at", "misses", "failures", "is_asked", "due_at"),
    )

    def __init__(self, asked: Asked, status: str, news_at: int, asked_at: int) -> None:
        """Create a parcel that isn't scheduled yet; `asked_at` is 0 where it isn't known."""
        self.number, self.carrier = asked
        self.status = status
        self.news_at = news_at
        self.asked_at = asked_at
        self.misses = self.failures = 0
        self.is_asked = False
        self.due_at: int | None = None

    @property
    def heard_at(self) -> int:
        """When its state was last certain."""
        return max(self.news_at, self.asked_at)


class Plan:
    """Parcels of one account. `rate` is in requests a second, the instants are in ms."""

    def __init__(
        self,
        rate: float,
        *,
        batch: int = 1,
        least_ms: int = 0,
        intervals_ms: Mapping[str, int] = INTERVALS_MS,
    ) -> None:
        """Create a plan without parcels, and a bucket with one token."""
        self.rate = rate
        self.batch = batch
        self.least_ms = least_ms
        self.intervals_ms = intervals_ms
        self.parcels: dict[str, Parcel] = {}
        self._due: list[tuple[int, str]] = []
        self._tokens, self._filled_at = 1.0, 0
        self._capacity = max(1.0, rate)
        self._pause_ms = self._paused_until = 0

    # ------------------------------------------------------------ live orders
    def put(self, asked: Asked, status: str, news_at: int, now: int, asked_at: int = 0) -> None:
        """Take a live parcel, or news of it; one whose status has no interval is dropped."""
        if status not in self.intervals_ms:
            self.drop(asked.number)
            return
        news_at = min(news_at, now)
        parcel = self.parcels.get(asked.number)
        if parcel is None:
            parcel = self.parcels[asked.number] = Parcel(asked, status, news_at, asked_at)
            self._schedule(parcel, now, is_first=True)
        elif (parcel.status, parcel.news_at) != (status, news_at):
            parcel.carrier, parcel.status, parcel.news_at = asked.carrier, status, news_at
            parcel.misses = parcel.failures = 0
            if not parcel.is_asked:
                self._schedule(parcel, now)

    def drop(self, number: str) -> None:
        """Forget a parcel that is no longer live."""
        self.parcels.pop(number, None)

    # ------------------------------------------------------------ requests
    def take(self, now: int) -> list[Asked]:
        """Parcels of the next request, which takes a token; empty if none is due or allowed now."""
        if now < self._paused_until or not self._has_due(now):
            return []
        self._fill(now)
        if self._tokens < 1:
            return []
        self._tokens -= 1
        taken: list[Asked] = []
        while len(taken) < self.batch and self._has_due(now, bool(taken)):
            parcel = self.parcels[heappop(self._due)[1]]
            parcel.is_asked, parcel.due_at = True, None
            taken.append(Asked(parcel.number, parcel.carrier))
        return taken

    def next_at(self, now: int) -> int | None:
        """When `take` may give something, in ms; None without a parcel that waits."""
        self._prune()
        if not self._due:
            return None
        self._fill(now)
        wait_ms = 0 if self._tokens >= 1 else -int(-(1 - self._tokens) * 1000 // self.rate)
        return max(self._due[0][0], self._paused_until, now + wait_ms)

    def answered(self, asked: Iterable[Asked], now: int, unknown: Iterable[str] = ()) -> None:
        """Note an answer: the account may go on, and each parcel has news until now."""
        missed = frozenset(unknown)
        self._pause_ms = 0
        for parcel in self._asked(asked):
            parcel.asked_at = now
            parcel.misses = parcel.misses + 1 if parcel.number in missed else 0
            parcel.failures = 0
            self._schedule(parcel, now)

    def failed(self, asked: Iterable[Asked], now: int, retry_after_ms: int = 0) -> None:
        """Note a request without a usable answer.

        The account pauses, at least for `retry_after_ms`, longer with each failure in sequence. Its
        parcels step back, so that one that the carrier always fails at can't hold up the others.
        """
        self.limited((), now, retry_after_ms)
        for parcel in self._asked(asked):
            back_ms = min(FIRST_RETRY_MS << min(parcel.failures, 8), LONGEST_PAUSE_MS)
            parcel.failures += 1
            self._at(parcel, now + back_ms)

    def limited(self, asked: Iterable[Asked], now: int, retry_after_ms: int = 0) -> None:
        """Note a request that was refused for its rate: the account pauses, nothing else."""
        if now >= self._paused_until:  # else one more that was under way
            doubled = max(2 * self._pause_ms, FIRST_PAUSE_MS, retry_after_ms)
            self._pause_ms = min(doubled, LONGEST_PAUSE_MS)
            self._paused_until = now + self._pause_ms
        for parcel in self._asked(asked):
            self._at(parcel, now)

    def returned(self, asked: Iterable[Asked], at: int) -> None:
        """Ask again at an instant: the answer was read, but its events could not be written."""
        for parcel in self._asked(asked):
            self._at(parcel, at)

    def oldest_news_ms(self, now: int) -> int:
        """Age of the oldest news of a parcel under way; 0 without such a parcel."""
        ages = (
            now - parcel.heard_at
            for parcel in self.parcels.values()
            if parcel.status in PROMISED and now - parcel.news_at < SILENT_MS
        )
        return max(ages, default=0)

    # ------------------------------------------------------------ scheduling
    def interval_ms(self, parcel: Parcel) -> int | None:
        """Interval after the last news of a parcel; None once it is given up."""
        silent_ms = parcel.heard_at - parcel.news_at
        if silent_ms >= GIVEN_UP_MS:
            return None
        days = max(0, (silent_ms - SILENT_MS) // DAY_MS + 1)
        plain_ms = self.intervals_ms[parcel.status]
        grown_ms = max(plain_ms, min(plain_ms << min(days + parcel.misses, 16), LONGEST_MS))
        jittered_ms = grown_ms * (1 - JITTER * share(parcel.number, parcel.heard_at))
        return max(round(jittered_ms), self.least_ms)

    def _schedule(self, parcel: Parcel, now: int, *, is_first: bool = False) -> None:
        interval_ms = self.interval_ms(parcel)
        if interval_ms is None:
            parcel.is_asked, parcel.due_at = False, None
            return
        due_at = parcel.heard_at + interval_ms
        if is_first and not parcel.asked_at and due_at < now:
            if now - parcel.news_at >= GIVEN_UP_MS:
                parcel.due_at = None
                return
            due_at = now + round(interval_ms * share(parcel.number, 0))
        self._at(parcel, due_at)

    def _at(self, parcel: Parcel, due_at: int) -> None:
        parcel.is_asked, parcel.due_at = False, due_at
        heappush(self._due, (due_at, parcel.number))

    def _asked(self, asked: Iterable[Asked]) -> Iterable[Parcel]:
        """Those of them that are still live."""
        found = (self.parcels.get(each.number) for each in asked)
        return (parcel for parcel in found if parcel is not None and parcel.is_asked)

    def _has_due(self, now: int, is_filling: bool = False) -> bool:  # noqa: FBT001, FBT002 - private
        """Return True if the first that waits may be asked for now."""
        self._prune()
        if not self._due:
            return False
        due_at, number = self._due[0]
        if due_at <= now:
            return True
        is_allowed = self.parcels[number].heard_at + self.least_ms <= now
        return is_filling and due_at <= now + AHEAD_MS and is_allowed

    def _prune(self) -> None:
        """Take away heads of the queue that were dropped or scheduled again."""
        while self._due:
            due_at, number = self._due[0]
            parcel = self.parcels.get(number)
            if parcel is not None and parcel.due_at == due_at:
                return
            heappop(self._due)

    def _fill(self, now: int) -> None:
        if self._filled_at:
            came = max(0, now - self._filled_at) * self.rate / 1000
            self._tokens = min(self._capacity, self._tokens + came)
        self._filled_at = now


def share(number: str, at: int) -> float:
    """A number from 0 up to 1 that is the same for the same parcel and instant."""
    return crc32(f"{number}/{at}".encode()) / 2**32
