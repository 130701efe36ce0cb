"""A real Redis is killed and started again while it is written to: nothing is missing."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.redis import Redis
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.writer import Writer, WriterSettings
from tests.storage_tiering.test_writer_killed import assert_same, uninterrupted
from tests.support.tiers.log_file import LetterBox, LogReader, busy_day
from tests.support.tiers.orders import LogMessage
from tests.support.tiers.redis_servers import running

KILLS = 5
BATCH = 25
# From the reading of a batch to its commit is about this long.
BATCH_S = 0.01


class Saboteur(LogReader):
    """A reader after whose chosen reads the server is killed: while that batch is written."""

    def __init__(
        self, log: Sequence[LogMessage], position: Path, server: Redis, rng: random.Random
    ) -> None:
        super().__init__(log, position)
        self.server = server
        self.rng = rng
        self.reads_left = sorted(rng.sample(range(2, len(log) // BATCH), KILLS), reverse=True)
        self.reads = 0
        self.threads: list[threading.Timer] = []
        self.striking = threading.Lock()  # reads may follow each other faster than strikes

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        self.reads += 1
        if self.reads_left and self.reads >= self.reads_left[-1] and not self.is_paused:
            self.reads_left.pop()
            self.threads.append(threading.Timer(self.rng.uniform(0, BATCH_S), self.strike))
            self.threads[-1].start()
        return super().read(max_messages, timeout_s)

    def strike(self) -> None:
        with self.striking:
            self.server.kill()
            self.server.start()


def test_nothing_is_missing_after_kills_amid_writes(tmp_path: Path, rng: random.Random) -> None:
    messages = busy_day()
    with running(tmp_path / "redis") as server:
        client = connect(server.address["url"])
        tier = RedisTier(client, HotSettings(prefix="killed:", safety_ttl_ms=None))
        reader = Saboteur(messages, tmp_path / "position", server, rng)
        settings = WriterSettings(batch_messages=BATCH, max_wait_s=0.1)
        stop = threading.Event()
        writer = Writer(tier, reader, LetterBox(), stop=stop, settings=settings)
        while not reader.is_at_end:
            writer.step()
        for thread in reader.threads:
            thread.join()
        server.wait()
        stop.set()
        writer.run()
        assert len(reader.threads) == KILLS
        assert_same(tier, uninterrupted(messages))
        tier.close()
