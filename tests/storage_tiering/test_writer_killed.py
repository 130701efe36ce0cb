"""A writer that is killed again and again, anywhere, leaves nothing missing and nothing doubled."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.topics import ORDERS_EVENTS
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.memory import MemoryTier
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord, OrderRecord, Tier
from tests.support.tiers.doomed_writer import open_tier
from tests.support.tiers.log_file import busy_day, save
from tests.support.tiers.orders import LogMessage

ROOT = Path(__file__).resolve().parents[2]
KILLS = 7  # for each of three tiers: more than twenty points in all


def run_writer(arguments: list[str], last_step: int) -> int | None:
    """Number of steps to the end; None if it was killed on the way."""
    command = [sys.executable, "-m", "tests.support.tiers.doomed_writer", *arguments]
    ended = subprocess.run(
        [*command, str(last_step)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ended.returncode == -signal.SIGKILL:
        return None
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


def uninterrupted(messages: list[LogMessage]) -> MemoryTier:
    tier = MemoryTier()
    for message in messages:
        record = decode(message)
        if isinstance(record, OrderRecord):
            tier.write_orders([record])
        elif isinstance(record, EventRecord):
            tier.write_events([record])
    return tier


def assert_same(tier: Tier, expected: MemoryTier) -> None:
    for held in expected.orders.values():
        assert held.document is not None
        name = held.document.order_id
        found, wanted = tier.find("default", name), expected.find("default", name)
        assert found is not None
        assert wanted is not None
        assert found.document == wanted.document
        assert found.timeline == wanted.timeline
    counts, wanted_counts = tier.counts(), expected.counts()
    assert (counts.orders, counts.events) == (wanted_counts.orders, wanted_counts.events)


def location(name: str, server: EmbeddedRedis, folder: Path) -> str:
    return server.url if name == "redis" else str(folder)


@pytest.mark.parametrize("name", ["redis", "sqlite", "parquet"])
def test_nothing_is_missing_and_nothing_doubled(
    name: str, tmp_path: Path, rng: random.Random
) -> None:
    messages, log = busy_day(), tmp_path / "log"
    save(messages, log)
    with EmbeddedRedis() as calm, EmbeddedRedis() as hit:
        undisturbed = [name, location(name, calm, tmp_path / "calm"), str(log)]
        steps = run_writer([*undisturbed, str(tmp_path / "position of the calm one")], 0)
        assert steps is not None
        where = location(name, hit, tmp_path / "hit")
        arguments = [name, where, str(log), str(tmp_path / "position")]
        ends = [run_writer(arguments, rng.randrange(50, steps // 5)) for _ in range(KILLS)]
        assert ends.count(None) >= KILLS // 2, "hardly a run was killed"
        run_writer(arguments, 0)
        tier = open_tier(name, where)
        assert_same(tier, uninterrupted(messages))
        if isinstance(tier, ParquetTier):
            assert not list(tier.verify())
            assert_no_row_twice(Path(where))
        tier.close()


def assert_no_row_twice(root: Path) -> None:
    rows = [
        tuple(row.values())
        for path in (root / ORDERS_EVENTS).glob("*/*.parquet")
        for row in pq.read_table(path, columns=["tenant", "order_id", "event_hash"]).to_pylist()
    ]
    assert len(rows) == len(set(rows))
