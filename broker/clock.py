"""Watermark of a partition: the instant up to which everything that arrived has been read.

Theory of operation: the watermark
----------------------------------
A watermark T says: every event with arrival ≤ T has been read, and applied where a shard has taken
T. Deadlines fire when it passes them, so it decides what is late: one that is too early means false
alerts, one that stands still means none. Nothing in dataflows/core reads a clock; this is its time.

*Arrival* is the broker's append time, one clock for all senders; in recorded history it is
`recorded_at`. A partition's watermark comes from two sources:

1. *Reading.* An event with arrival A moves it to A - 1: another event may carry A as well. It never
   goes back: an event whose own arrival lies behind it arrives in the ms after it (`saw`). An
   arrival over 10 s ahead of broker time moves nothing, it is from a broken clock.
2. *Idle advance*, at the end of the partition. If the position has reached the end offset that was
   requested at broker time R, then nothing can still arrive with an append time before R, less a
   margin for the skew between brokers (`proved`). `EndOffsets.ask` guarantees that what was
   appended by then lies before that end. No answer, no progress: a broker outage holds the
   watermark, and a metric shows it. (`_PARTITION_EOF` proves nothing: it fires once, and a dead
   broker never withdraws it.) Recorded history has no present: ticks in the topic do it there.

Broker time is `broker.broker_time`: the append times of our own heartbeats, carried on by the
host's steady clock. The host's wall clock takes no part.

From partitions to shards (dataflows/watermarks.py), always the minimum:

    partition → source task   the earliest of its partitions
    source task → shard       the earliest of the eight source tasks, on whatever worker they are

A batch carries the watermark of the epochs *before* it, and bytewax processes epochs in order on
every worker. So a shard adopts a watermark only after all events read before it, also those that
took the detour over the resolver. (Measured: applied at once, a tick overtook an event 244 times in
800; at the barrier, never.) A partition that is added later begins at the greatest watermark that
was known, so that no shard's goes back (dataflows/watermarks.py).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Literal

import msgspec
from confluent_kafka import KafkaException

from broker.broker_time import steady_ms
from broker.connect import LOGGER
from broker.end_offsets import Unsettled
from broker.errors import PASSING, worded
from broker.outage import OUTAGE
from broker.stall_detector import Stuck

ClockKind = Literal["broker", "recorded"]
Now = Callable[[], int]
Proven = Callable[[], int | None]

NO_WATERMARK = -1
AHEAD_MS = 10_000
MARGIN_MS = 500
ASK_EVERY_MS = 500
FAR_AT = 1 << 62  # later than any arrival


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """Messages of recorded history far beyond the clock: `begin` to `end` in ms, and how many."""

    begin: int
    end: int
    messages: int


class ClockState(msgspec.Struct, frozen=True):
    """Snapshot of a watermark: `watermark`, an instant in ms; -1 before the first event."""

    watermark: int = NO_WATERMARK
    claims: tuple[Claim, ...] = ()


class PartitionClock:
    """A clock that only goes forward.

    `kind` `broker`: moved by arrivals (the broker's append times) and by proof. `recorded`: moved
    by the arrivals that the events carry (`recorded_at`) and by ticks; `now` plays no part.
    `now` gives broker time in ms.
    """

    def __init__(self, kind: ClockKind, now: Now, state: ClockState | None = None) -> None:
        self.kind: ClockKind = kind
        self._now = now
        self._watermark = (state or ClockState()).watermark
        # Append times up to here are plausible; broker time is read only for a later one.
        self._believable_until = NO_WATERMARK

    @property
    def watermark(self) -> int:
        """Every event with arrival up to this instant has been read; -1: nothing is known."""
        return self._watermark

    @property
    def state(self) -> ClockState:
        """For a snapshot."""
        return ClockState(self._watermark)

    @property
    def claimed(self) -> int:
        """The same, with what `broker.recorded_clock` waits to see confirmed."""
        return self._watermark

    def saw(self, arrival_at: int) -> int:
        """Take note of an event that was read; gives its arrival as it counts.

        That is never behind the clock: an event whose own arrival is (create times of several
        producers aren't in order) arrives in the ms after it. Another event may carry the same
        ms, so it proves no more than the ms before. A time more than 10 s ahead of now comes from
        a broken clock: the event arrives now and moves nothing.
        """
        earliest = self._watermark + 1
        if self.kind == "broker" and self._is_ahead(arrival_at):
            return max(self._now(), earliest)
        counted_at = max(arrival_at, earliest)
        self._watermark = counted_at - 1
        return counted_at

    def saw_all(self, arrivals: Iterable[int]) -> list[int]:
        """As `saw` for each of some, in their sequence."""
        watermark, in_sequence_until = self._watermark, self._in_sequence_until
        counted_at: list[int] = []
        for arrival_at in arrivals:
            if arrival_at <= in_sequence_until:
                watermark = max(watermark, arrival_at - 1)
                counted_at.append(watermark + 1)
            else:
                self._watermark = watermark
                counted_at.append(self.saw(arrival_at))
                watermark, in_sequence_until = self._watermark, self._in_sequence_until
        self._watermark = watermark
        return counted_at

    @property
    def _in_sequence_until(self) -> int:
        """An arrival up to here is only put in sequence; `saw` judges a later one."""
        return self._believable_until if self.kind == "broker" else FAR_AT

    def tick(self, at: int) -> None:
        """Advance to `at` by a tick: everything up to `at` was written before it.

        A tick never advances a watermark of kind `broker`.
        """
        if self.kind == "recorded":
            self._watermark = max(self._watermark, at)

    def proved(
        self, request_at: int, position: int, end_offset: int, margin_ms: int = MARGIN_MS
    ) -> None:
        """Advance by an end offset requested at `request_at`; `position` is the next to be read.

        At the end, everything with an append time before the request has been read; `margin_ms`
        is for skew between the brokers' clocks. Recorded history knows no such proof.
        """
        if self.kind == "broker" and position >= end_offset:
            self._watermark = max(self._watermark, request_at - 1 - margin_ms)

    def _is_ahead(self, arrival_at: int) -> bool:
        if arrival_at <= self._believable_until:
            return False
        self._believable_until = self._now() + AHEAD_MS
        return arrival_at > self._believable_until


class IdleAdvance:
    """Idle advance: moves the watermark of a partition at its end, by one request at a time.

    `ask` is `EndOffsets.ask` for the partition, `name` its name in messages. `now` gives broker
    time in ms, None before the first heartbeat: then nothing is proven. `steady` paces the
    requests. Nothing here waits.
    """

    def __init__(
        self,
        clock: PartitionClock,
        ask: Callable[[], Future[int]],
        now: Proven,
        margin_ms: int = MARGIN_MS,
        every_ms: int = ASK_EVERY_MS,
        name: str = "clock",
        steady: Now = steady_ms,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._now = now
        self._margin_ms = margin_ms
        self._every_ms = every_ms
        self._name = name
        self._steady = steady
        self._asked_at: int | None = None  # broker time
        self._asked_ms: int | None = None  # steady clock
        self._answer: Future[int] | None = None
        self._stuck = Stuck(name, steady)
        self._refused: set[str] = set()

    def step(self, position: int) -> None:
        """Use an answer that has come, and send the next request when it is due.

        `position`: everything before it has been read and passed to the watermark. Call it after
        every read, also after one without messages.
        """
        if self._answer is not None and self._answer.done():
            self._use(self._answer, position)
        if self._answer is None and self._is_time():
            # Before the request: what is appended later isn't covered.
            self._asked_at, self._asked_ms = self._now(), self._steady()
            self._answer = self._ask()

    def _use(self, answer: Future[int], position: int) -> None:
        failed = answer.exception()
        if isinstance(failed, Unsettled | KafkaException):
            self._hold(failed)
            self._answer = None
            return
        end_offset = answer.result()
        if position >= end_offset:
            if self._asked_at is not None:
                self._clock.proved(self._asked_at, position, end_offset, self._margin_ms)
            self._answer = None  # otherwise it is kept: the proof holds when the end is reached
            self._stuck.moved(position)
        elif self._asked_ms is not None and self._stuck.is_stuck(
            position, end_offset, self._asked_ms
        ):
            self._answer = None

    def _hold(self, failed: Unsettled | KafkaException) -> None:
        if isinstance(failed, Unsettled):
            return  # what is to come carries the clock on
        error = failed.args[0]
        if error.name() in PASSING:
            OUTAGE.failed(
                f"{self._name}: the end offset is unknown, the clock holds: {worded(failed)}"
            )
        elif error.name() not in self._refused:
            self._refused.add(error.name())
            LOGGER.warning(
                "%s: the end offset is unavailable, the clock holds: %s", self._name, worded(failed)
            )

    def _is_time(self) -> bool:
        return self._asked_ms is None or self._steady() - self._asked_ms >= self._every_ms
