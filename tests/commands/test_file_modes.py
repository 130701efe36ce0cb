"""Modes: with an umask of 000, whatever holds orders is readable by its owner only."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from commands.demo.settings import fresh_folder, write_settings
from dataflows.state.bytewax_recovery_files import write_recovery
from privacy.keys import FileKeyStore
from schemas.private_files import private_folder
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from telemetry.scrape_target import ScrapeTarget
from tests.support.engine import ROOT, Engine
from tests.support.tiers.orders import Log, accepted, document

T0 = 1_517_400_000_000
EVENT = {
    "event_id": "1",
    "source": "shop",
    "order_id": "o1",
    "status_code": "PENDING_PAYMENT",
    "timestamp": "2018-01-31T10:15:00Z",
    "personal": {"name": "Ann"},
}


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Paths that another user could read or enter, `folder` itself included."""
    found = [folder, *folder.rglob("*")]
    assert len(found) > 1
    return [f"{stat.filemode(p.stat().st_mode)} {p}" for p in found if p.stat().st_mode & 0o077]


def run(*arguments: object) -> None:
    command = [sys.executable, "run.py", *map(str, arguments)]
    ran = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_results_of_a_replay_are_its_owners(tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(EVENT) + "\n{}\n")
    run("replay", events, "--out", tmp_path / "deep" / "results")
    assert open_to_others(tmp_path / "deep") == []


def test_state_recovery_keys_and_exports_of_a_flow_are_its_owners(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    with EmbeddedBroker() as broker:
        engine = Engine(broker, tmp_path)
        engine.track["folder"] = str(flow / "track")
        engine.privacy = str(flow / "keys" / "keys.json")
        try:
            engine.start()
            engine.feed([EVENT])
            engine.tick(T0)
            engine.wait_for_clock(T0 - 60_000)
            engine.wait_for_barrier()
            assert open_to_others(flow) == []  # SQLite's logs are there while it runs
            run("state", "export", "--settings", tmp_path / "settings.toml", "--out", flow / "out")
            engine.stop()
        finally:
            engine.close()
    assert open_to_others(flow) == []
    assert {"keys.json", "master.key", "recovery", "shards.sqlite", "out"} <= {
        path.name for path in flow.rglob("*")
    }


def test_tiers_keys_recovery_and_the_demo_are_their_owners(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    log = Log()
    for tier in (
        SqliteTier(root / "tiers" / "warm"),
        ParquetTier(LocalFiles(root / "tiers" / "archive")),
    ):
        tier.write_orders(log.changes(document()))
        tier.write_events(log.events(accepted()))
        tier.flush(force=True)
        assert open_to_others(root) == []
        tier.close()
    FileKeyStore(root / "keys" / "keys.json").close()
    write_recovery(root / "recovery", {})
    fresh_folder(root / "demo")
    write_settings(root / "demo", "127.0.0.1:1", "redis://127.0.0.1:1/0")
    assert open_to_others(root) == []


def test_a_warm_tier_whose_folder_was_deleted_makes_it_anew_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "tiers" / "warm"
    tier, log = SqliteTier(folder), Log()
    shutil.rmtree(folder.parent)
    tier.write_orders(log.changes(document()))
    assert open_to_others(folder.parent) == []
    shutil.rmtree(folder.parent)
    tier.note({})
    assert open_to_others(folder.parent) == []
    tier.close()


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o750)
    private_folder(shared / "ours")
    private_folder(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o750
    assert open_to_others(shared / "ours" / "..")[0].startswith("drwxr-x---")


def test_prometheus_can_read_where_to_scrape_whatever_the_umask(tmp_path: Path) -> None:
    os.umask(0o077)
    target = ScrapeTarget(tmp_path / "targets", "track")
    target.put("127.0.0.1", 9000)
    assert stat.S_IMODE(target.path.stat().st_mode) == 0o644
    assert stat.S_IMODE(target.folder.stat().st_mode) == 0o755
    target.remove()
