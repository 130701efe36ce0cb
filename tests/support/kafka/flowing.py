"""Events that flow into a topic, and a clock that reads along and is watched."""

import threading
import time
from collections.abc import Callable
from typing import Self

from broker.clock import IdleAdvance, PartitionClock
from broker.connect import Connection
from broker.consume import Message, PartitionReader
from broker.end_offsets import EndOffsets
from broker.produce import Producer
from tests.support.waiting import wait_until

PATIENCE_S = 60.0


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


class Flow:
    """Writes numbers, one about every two milliseconds, between `with` and its end."""

    def __init__(self, kafka: Connection, topic: str, first: int = 0) -> None:
        self.count = first
        self._topic = topic
        self._producer = Producer(kafka)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self._producer.flush(PATIENCE_S)
        self._producer.close()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            self._producer.send(self._topic, b"key", b"%d" % self.count, partition=0)
            self.count += 1


class Watched:
    """A clock on partition 0 without any margin; notes every event that it had overtaken."""

    def __init__(self, kafka: Connection, topic: str) -> None:
        self.reader = PartitionReader(kafka, topic, 0, None)
        self.clock = PartitionClock("broker", wall_clock)
        self._ends = EndOffsets(kafka)
        self.proof = IdleAdvance(
            self.clock,
            lambda: self._ends.ask(topic, 0, timeout_s=1.0),
            wall_clock,
            margin_ms=0,
            every_ms=20,
        )
        self.seen: list[Message] = []
        self.overtaken: list[tuple[int, int]] = []  # offset, by how many ms

    def step(self) -> None:
        for message in self.reader.read(timeout_s=0.005):
            if message.timestamp_ms <= self.clock.watermark:
                self.overtaken.append((message.offset, self.clock.watermark - message.timestamp_ms))
            self.clock.saw(message.timestamp_ms)
            self.seen.append(message)
        self.proof.step(self.reader.position)

    def step_until(self, is_so: Callable[[], bool]) -> None:
        def has_become_so() -> bool:
            if is_so():
                return True
            self.step()
            return False

        wait_until(has_become_so, "what is watched for", pause_s=0)

    def step_for(self, time_s: float) -> None:
        until = time.monotonic() + time_s
        self.step_until(lambda: time.monotonic() >= until)

    def carry_to(self, at: int) -> None:
        """Until the clock is at `at` or later."""
        self.step_until(lambda: self.clock.watermark >= at)

    def numbers(self) -> list[int]:
        return [int(message.value or b"") for message in self.seen]

    def close(self) -> None:
        self.reader.close()
        self._ends.close()
