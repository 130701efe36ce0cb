"""`ordertide act` whose clock runs fast, and that kills itself at a point of its outbox.

    ORDERTIDE_HURRY='{"speed": 200, …}' python -m benchmarks.hurried_act act --settings FILE

Retries, pauses and giving up count by the worker's clock, so that back-offs of seconds take
milliseconds and three days take minutes. The time-out of a request is real and set short. A point
is a write of the outbox (`insert`, `begin`, `published`, or the state that a result brings) and
`before` or `after` its commit: at the n-th transaction with that write the process is killed.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from commands.act import worker
from commands.main import main
from sinks.actions.channels import http_receiver
from sinks.actions.outbox import Arrival, Outbox, Result, Task

VARIABLE = "ORDERTIDE_HURRY"
WRITES = ("insert", "begin", "failed", "done", "dead", "published")
POINTS = tuple(f"{when} {write}" for write in WRITES for when in ("before", "after"))


class Hurry(msgspec.Struct, frozen=True, kw_only=True):
    """Speed of the clock since `began_at` (ms), the time-out of a request, and the point."""

    speed: int
    began_at: int
    timeout_s: float
    point: str = ""
    times: int = 1

    def now_ms(self) -> int:
        """The fast clock, in ms."""
        return self.began_at + (time.time_ns() // 1_000_000 - self.began_at) * self.speed


class DoomedOutbox(Outbox):
    """An outbox whose process is killed at the point."""

    hurry: ClassVar[Hurry]
    wrote: frozenset[str] = frozenset()
    passed = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.wrote = frozenset()
        with super().transaction():
            yield
            self.die_at("before")
        self.die_at("after")

    def insert(self, arrivals: Iterable[Arrival], accepted_at: int, orders_at: int) -> int:
        count = super().insert(arrivals, accepted_at, orders_at)
        if count:
            self.wrote |= {"insert"}
        return count

    def begin(self, tasks: Iterable[Task]) -> None:
        begun = [*tasks]
        super().begin(begun)
        if begun:
            self.wrote |= {"begin"}

    def settle(self, results: Sequence[Result]) -> None:
        super().settle(results)
        self.wrote |= {result.state for result in results}

    def published(self, tasks: Iterable[Task]) -> None:
        super().published(tasks)
        self.wrote |= {"published"}

    def die_at(self, when: str) -> None:
        """Kill the process if this is the point."""
        if self.hurry.point in {f"{when} {write}" for write in self.wrote}:
            self.passed += 1
            if self.passed == self.hurry.times:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    DoomedOutbox.hurry = msgspec.json.decode(os.environ[VARIABLE], type=Hurry)
    vars(worker).update(now_ms=DoomedOutbox.hurry.now_ms, Outbox=DoomedOutbox)
    http_receiver.TIMEOUT_S = DoomedOutbox.hurry.timeout_s
    main()
