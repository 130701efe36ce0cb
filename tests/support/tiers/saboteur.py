"""A reader during whose batches a real server is killed and started again."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.support.tiers.log_file import LogReader
from tests.support.tiers.orders import LogMessage


class Server(Protocol):
    """A server of one's own that can be killed."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


class Strikes(NamedTuple):
    """Number of kills, and the batches amid which they come: their messages and duration."""

    kills: int
    batch_messages: int
    batch_s: float


class Saboteur(LogReader):
    """A reader after whose chosen reads the server is killed: while that batch is written."""

    def __init__(
        self,
        log: Sequence[LogMessage],
        position: Path,
        server: Server,
        rng: random.Random,
        plan: Strikes,
    ) -> None:
        super().__init__(log, position)
        self.server = server
        self.rng = rng
        self.plan = plan
        reads = range(2, len(log) // plan.batch_messages)
        self.reads_left = sorted(rng.sample(reads, plan.kills), reverse=True)
        self.reads = 0
        self.threads: list[threading.Timer] = []
        self.striking = threading.Lock()  # reads may follow each other faster than strikes

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        self.reads += not self.is_paused
        if self.reads_left and self.reads >= self.reads_left[-1] and not self.is_paused:
            self.reads_left.pop()
            delay_s = self.rng.uniform(0, self.plan.batch_s)
            self.threads.append(threading.Timer(delay_s, self.strike))
            self.threads[-1].start()
        return super().read(max_messages, timeout_s)

    def strike(self) -> None:
        """Kill the server and start it again."""
        with self.striking:
            self.server.kill()
            self.server.start()
