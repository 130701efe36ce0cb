"""The clock of a partition of recorded history, guarded against odd values.

Recorded times come from outside: one `recorded_at` or tick of 2099 must not move a partition's
clock, or all its later events would arrive in 2099. But history has gaps: a quiet week is no fault.
So a value that is more than a day (`ahead_ms`) beyond the clock is a *claim*: the event keeps its
own arrival, and waits; the clock stays. A claim is

- confirmed, and the clock moves, once every other partition has come to within a day of where it
  begins, by its clock or by claims of its own; of a single partition, once a second message is
  there or beyond;
- refuted by the next message of its partition that is more than a day before it: history is written
  in the order of arrival.

So the arrival of an event is its own whether a claim was odd or not, and results stay a function of
the set of events. The shards lose nothing by the wait: their clock is the earliest partition's.
"""

from broker.clock import NO_WATERMARK, Claim, ClockState, Now, PartitionClock


class RecordedClock(PartitionClock):
    """A recorded clock with its claims, each more than `ahead_ms` beyond the one before."""

    def __init__(self, ahead_ms: int, now: Now, state: ClockState | None = None) -> None:
        """Create a watermark that resumes at `state`; `now` plays no part."""
        super().__init__("recorded", now, state)
        self._ahead_ms = ahead_ms
        self._claims = list(state.claims) if state else []
        self.refuted = 0

    @property
    def state(self) -> ClockState:
        """For a snapshot."""
        return ClockState(self._watermark, tuple(self._claims))

    @property
    def claimed(self) -> int:
        """Watermark of the partition if all its claims hold."""
        return self._claims[-1].end if self._claims else self._watermark

    @property
    def is_claiming(self) -> bool:
        """Return True while a claim waits to be confirmed."""
        return bool(self._claims)

    def saw(self, arrival_at: int) -> int:
        """Take note of an event that was read; gives its arrival as it counts."""
        self._refute(arrival_at)
        counted_at = arrival_at
        if arrival_at <= self.claimed + self._ahead_ms:
            counted_at = max(arrival_at, self.claimed + 1)
        self._take(counted_at - 1)
        return counted_at

    @property
    def _in_sequence_until(self) -> int:
        return NO_WATERMARK - 1 if self._claims else self._watermark + self._ahead_ms

    def tick(self, at: int) -> None:
        """Advance to `at` by a tick: everything up to `at` was written before it."""
        self._refute(at)
        self._take(max(at, self.claimed))

    def confirm(self, others: int | None) -> None:
        """Move the clock over what is confirmed.

        `others` is how far the others have come, the earliest of them; None: there is no other.
        """
        while self._claims and self._is_confirmed(self._claims[0], others):
            self._watermark = max(self._watermark, self._claims.pop(0).end)

    def _is_confirmed(self, claim: Claim, others: int | None) -> bool:
        if others is None:
            return claim.messages > 1 or len(self._claims) > 1
        return others >= claim.begin - self._ahead_ms

    def _refute(self, at: int) -> None:
        while self._claims and at < self._claims[-1].begin - self._ahead_ms:
            self.refuted += self._claims.pop().messages

    def _take(self, watermark: int) -> None:
        """Advance to `watermark`, as a message claims."""
        if watermark > self.claimed + self._ahead_ms:
            self._claims.append(Claim(watermark, watermark, 1))
        elif self._claims:
            last = self._claims[-1]
            self._claims[-1] = Claim(last.begin, max(last.end, watermark), last.messages + 1)
        else:
            self._watermark = max(self._watermark, watermark)
