"""When messages are written: at once on a recorded clock, when they are due on a live one."""

from bisect import bisect_right
from collections.abc import Callable
from operator import itemgetter
from threading import Event
from typing import Protocol

from loadgen.output import Output
from loadgen.stream import Emission

LONGEST_SLEEP_S = 0.1
arrival = itemgetter(0)


class Pace(Protocol):
    """Writes slices in time."""

    def write(self, messages: list[Emission], until: int) -> None:
        """Write a slice that ends before `until`."""
        ...

    def end(self, messages: list[Emission], end_at: int) -> None:
        """Write what arrives at the very end."""
        ...

    def report(self) -> dict[str, int]:
        """Figures of the pace: see docs/scale.md."""
        ...


class Recorded:
    """As fast as possible; ticks advance the watermark of the recording."""

    def __init__(self, output: Output, tick_every_ms: int, begins_at: int) -> None:
        """Create the pace; the first tick comes `tick_every_ms` after `begins_at`."""
        self.output = output
        self.tick_every_ms = tick_every_ms
        self.ticked_at = begins_at
        self.ticks = 0

    def write(self, messages: list[Emission], until: int) -> None:
        self.output.write(messages, 0)
        if until - self.ticked_at >= self.tick_every_ms:
            self.tick(until - 1)

    def end(self, messages: list[Emission], end_at: int) -> None:
        self.output.write(messages, 0)
        self.tick(end_at)

    def tick(self, at: int) -> None:
        """Everything up to `at` has been written."""
        self.ticks += self.output.tick(at)
        self.ticked_at = at

    def report(self) -> dict[str, int]:
        return {"ticks": self.ticks}


class Live:
    """Open loop: each message when it is due, whether or not those before it were taken in time.

    The history is written as fast as possible; with the start the stream's clock is set to now.
    """

    def __init__(self, output: Output, start_at: int, now: Callable[[], int], stop: Event) -> None:
        """Create the pace; `now` gives ms; `stop` ends the waiting."""
        self.output = output
        self.start_at = start_at
        self.now = now
        self.stop = stop
        self.shift_ms = now() - start_at
        self.has_started = False
        self.gap_ms = 0
        self.behind_ms = 0

    def write(self, messages: list[Emission], until: int) -> None:
        if until <= self.start_at:
            self.output.write(messages, self.shift_ms)
            return
        if not self.has_started:
            self.has_started, shift_ms = True, self.shift_ms
            self.shift_ms = self.now() - self.start_at
            self.gap_ms = self.shift_ms - shift_ms
        messages = [self.kept(sent) for sent in messages]
        while messages:
            due = bisect_right(messages, self.now() - self.shift_ms, key=arrival)
            if self.stop.is_set():
                due = len(messages)  # what is made belongs to the counts
            if due:
                self.behind_ms = max(self.behind_ms, self.late_by(messages[0]))
                self.output.write(messages[:due], self.shift_ms)
                messages = messages[due:]
            else:
                self.stop.wait(min(-self.late_by(messages[0]) / 1000, LONGEST_SLEEP_S))

    def kept(self, sent: Emission) -> Emission:
        """A message; if it is of the history and arrives after the start, with its time then."""
        if sent[3] >= self.start_at:
            return sent
        arrival_at, serial, step, at, chance = sent
        return arrival_at, serial, step, at - self.gap_ms, chance

    def late_by(self, message: Emission) -> int:
        """Lateness of a message, ms; negative before it is due."""
        return self.now() - self.shift_ms - message[0]

    def end(self, messages: list[Emission], end_at: int) -> None:
        self.output.write([self.kept(sent) for sent in messages], self.shift_ms)

    def report(self) -> dict[str, int]:
        return {"started_at": self.start_at + self.shift_ms, "behind_ms": self.behind_ms}
