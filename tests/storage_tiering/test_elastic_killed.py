"""A real Elasticsearch is killed and started again while it is written to: nothing is missing."""

import random
import threading
from pathlib import Path

import pytest

from deploy.stack.elasticsearch import Elasticsearch
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.writer import Writer, WriterSettings
from tests.storage_tiering.test_writer_killed import assert_same, uninterrupted
from tests.support.tiers.elastic_places import install, need_elasticsearch
from tests.support.tiers.log_file import LetterBox, busy_day
from tests.support.tiers.saboteur import Saboteur, Strikes

# A restart takes 4 s, on a busy machine 15. From the reading of a batch to its commit: 50 ms.
PLAN = Strikes(kills=2, batch_messages=25, batch_s=0.05)


@pytest.mark.timeout(300)
def test_nothing_is_missing_after_kills_amid_writes(tmp_path: Path, rng: random.Random) -> None:
    need_elasticsearch()
    messages = busy_day()
    with Elasticsearch(tmp_path / "elasticsearch", heap_mb=256) as server:
        url = server.address["url"]
        install(url, "killed")
        tier = ElasticTier(connect(url), "killed")
        reader = Saboteur(messages, tmp_path / "position", server, rng, PLAN)
        settings = WriterSettings(batch_messages=PLAN.batch_messages, max_wait_s=0.2)
        stop = threading.Event()
        letters = LetterBox()
        writer = Writer(tier, reader, letters, stop=stop, settings=settings)
        while not reader.is_at_end or any(thread.is_alive() for thread in reader.threads):
            writer.step()
        server.wait()
        stop.set()
        writer.run()
        assert len(reader.threads) == PLAN.kills
        assert not letters.letters
        assert reader.committed == len(messages)
        assert_same(tier, uninterrupted(messages))
        tier.close()
