"""A flow that can't be run ends at once, with exit code 2 and one line with the reason."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from tests.support.engine import Engine
from tests.support.samples import END, some_orders


@pytest.fixture
def used(engine: Engine) -> Engine:
    """An engine that has run once."""
    engine.feed(some_orders(20, random.Random(1)))
    engine.tick(END)
    run(engine)
    return engine


def run(engine: Engine) -> None:
    engine.start()
    engine.wait_for_clock(END)
    engine.stop()


def refusal(engine: Engine, *options: str) -> str:
    """The one line that a run ends with; log lines (the broker client's) may come before it."""
    (engine.folder / "track.log").unlink(missing_ok=True)
    engine.start(*options)
    assert engine.exit_code() == 2, engine.output()[-2_000:]
    lines = [line for line in engine.output().splitlines() if line.startswith("ordertide: ")]
    assert len(lines) == 1, engine.output()[-2_000:]
    return lines[0]


def store(engine: Engine) -> Path:
    return engine.folder / "track" / "shards.sqlite"


def test_a_second_instance_is_refused(used: Engine) -> None:
    used.start()
    first = used.process
    used.wait_for_clock(END)
    assert "in use by process" in refusal(used)
    used.process = first
    used.stop()


def test_a_store_of_another_run_is_refused(used: Engine, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with EmbeddedBroker() as broker:
        other = Engine(broker, tmp_path / "other")
        other.tick(END)
        run(other)
        other.close()
    shutil.copy(store(other), store(used))
    assert "its state lies in store" in refusal(used)


def test_a_store_without_its_recovery_folder_is_refused(used: Engine) -> None:
    shutil.rmtree(used.folder / "track" / "recovery")
    assert "put the folder back" in refusal(used)


def test_a_recovery_folder_without_its_store_is_refused(used: Engine) -> None:
    store(used).unlink()
    assert "its state lies in store" in refusal(used)


def test_a_file_that_is_no_store_is_refused(used: Engine) -> None:
    store(used).write_bytes(b"not a database" * 1_000)
    assert "damaged" in refusal(used)


def test_a_damaged_blob_is_refused(used: Engine) -> None:
    with sqlite3.connect(store(used)) as database:
        database.execute("UPDATE blobs SET stored = substr(stored, 1, length(stored) - 9)")
    database.close()
    assert "restore the state and the recovery folder" in refusal(used)


def test_a_broken_rules_file_is_refused(engine: Engine, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("version = 1\n[[rule]]\nid = 3\n", "utf-8")
    engine.track["rules"] = str(rules)
    assert "rules.toml" in refusal(engine)


def test_a_broker_that_does_not_answer_is_refused(engine: Engine, broker: EmbeddedBroker) -> None:
    broker.go_down()
    assert "the broker is unavailable" in refusal(engine)


def test_a_position_that_the_broker_no_longer_holds_is_refused(used: Engine) -> None:
    with EmbeddedBroker() as younger:
        moved = Engine(younger, used.folder)
        assert "can't read on at offset" in refusal(moved)
        moved.close()


def recovery(engine: Engine) -> Path:
    return engine.folder / "track" / "recovery"


def garbage(folder: Path) -> None:
    (folder / "part-0.sqlite3").write_bytes(b"garbage" * 9_999)


def truncated(folder: Path) -> None:
    os.truncate(folder / "part-0.sqlite3", 5_000)


def emptied(folder: Path) -> None:
    os.truncate(folder / "part-0.sqlite3", 0)


def without_part(folder: Path) -> None:
    (folder / "part-0.sqlite3").unlink()


def without_second_part(folder: Path) -> None:
    with sqlite3.connect(folder / "part-0.sqlite3") as database:
        database.execute("UPDATE parts SET part_count = 2")
    database.close()


def with_a_folder_inside(folder: Path) -> None:
    (folder / "part-0.sqlite3").unlink()
    (folder / "part-0.sqlite3").mkdir()


def with_a_flipped_page(folder: Path) -> None:
    data = bytearray((folder / "part-0.sqlite3").read_bytes())
    for at in range(4_096, len(data), 64):
        data[at] ^= 0xFF
    (folder / "part-0.sqlite3").write_bytes(data)


def with_foreign_states(folder: Path) -> None:
    with sqlite3.connect(folder / "part-0.sqlite3") as database:
        database.execute("UPDATE snaps SET ser_change = x'80049503'")
    database.close()


def as_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


DAMAGES = [
    garbage,
    truncated,
    emptied,
    without_part,
    without_second_part,
    with_a_folder_inside,
    with_a_flipped_page,
    with_foreign_states,
    as_a_file,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_recovery_folder_is_refused(damage: Callable[[Path], None], used: Engine) -> None:
    assert used.folder.exists()
    with sqlite3.connect(recovery(used) / "part-0.sqlite3") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    damage(recovery(used))
    line = refusal(used)
    assert "/track/recovery" in line  # what is before it may hold a word that is masked
    assert "--begin-anew" in line
    assert "Traceback" not in used.output()
