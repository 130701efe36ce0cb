"""A real Redis is killed and started again while it is written to: nothing is missing."""

import random
import threading
from pathlib import Path

from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from storage_tiering.writer import Writer, WriterSettings
from tests.storage_tiering.test_writer_killed import assert_same, uninterrupted
from tests.support.tiers.log_file import LetterBox, busy_day
from tests.support.tiers.redis_servers import running
from tests.support.tiers.saboteur import Saboteur, Strikes

# From the reading of a batch to its commit is about this long.
PLAN = Strikes(kills=5, batch_messages=25, batch_s=0.01)


def test_nothing_is_missing_after_kills_amid_writes(tmp_path: Path, rng: random.Random) -> None:
    messages = busy_day()
    with running(tmp_path / "redis") as server:
        client = connect(server.address["url"])
        tier = RedisTier(client, HotSettings(prefix="killed:", safety_ttl_ms=None))
        reader = Saboteur(messages, tmp_path / "position", server, rng, PLAN)
        settings = WriterSettings(batch_messages=PLAN.batch_messages, max_wait_s=0.1)
        stop = threading.Event()
        writer = Writer(tier, reader, LetterBox(), stop=stop, settings=settings)
        while not reader.is_at_end:
            writer.step()
        for thread in reader.threads:
            thread.join()
        server.wait()
        stop.set()
        writer.run()
        assert len(reader.threads) == PLAN.kills
        assert_same(tier, uninterrupted(messages))
        tier.close()
