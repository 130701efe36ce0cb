"""A real Elasticsearch is killed and started again while it is written to: nothing is missing."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.stack.elasticsearch import Elasticsearch
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.writer import Writer, WriterSettings
from tests.storage_tiering.test_writer_killed import assert_same, uninterrupted
from tests.support.tiers.elastic_places import install, need_elasticsearch
from tests.support.tiers.log_file import LetterBox, LogReader, busy_day
from tests.support.tiers.orders import LogMessage

KILLS = 2  # a restart takes 4 s, on a busy machine 15
BATCH = 25
# From the reading of a batch to its commit is about this long.
BATCH_S = 0.05


class Saboteur(LogReader):
    """A reader after whose chosen reads the server is killed: while that batch is written."""

    def __init__(
        self, log: Sequence[LogMessage], position: Path, server: Elasticsearch, rng: random.Random
    ) -> None:
        super().__init__(log, position)
        self.server = server
        self.rng = rng
        self.reads_left = sorted(rng.sample(range(2, len(log) // BATCH), KILLS), reverse=True)
        self.reads = 0
        self.threads: list[threading.Timer] = []
        self.striking = threading.Lock()

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        self.reads += not self.is_paused
        if self.reads_left and self.reads >= self.reads_left[-1] and not self.is_paused:
            self.reads_left.pop()
            self.threads.append(threading.Timer(self.rng.uniform(0, BATCH_S), self.strike))
            self.threads[-1].start()
        return super().read(max_messages, timeout_s)

    def strike(self) -> None:
        with self.striking:
            self.server.kill()
            self.server.start()


@pytest.mark.timeout(300)
def test_nothing_is_missing_after_kills_amid_writes(tmp_path: Path, rng: random.Random) -> None:
    need_elasticsearch()
    messages = busy_day()
    with Elasticsearch(tmp_path / "elasticsearch", heap_mb=256) as server:
        url = server.address["url"]
        install(url, "killed")
        tier = ElasticTier(connect(url), "killed")
        reader = Saboteur(messages, tmp_path / "position", server, rng)
        settings = WriterSettings(batch_messages=BATCH, max_wait_s=0.2)
        stop = threading.Event()
        letters = LetterBox()
        writer = Writer(tier, reader, letters, stop=stop, settings=settings)
        while not reader.is_at_end or any(thread.is_alive() for thread in reader.threads):
            writer.step()
        server.wait()
        stop.set()
        writer.run()
        assert len(reader.threads) == KILLS
        assert not letters.letters
        assert reader.committed == len(messages)
        assert_same(tier, uninterrupted(messages))
        tier.close()
