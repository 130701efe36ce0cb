"""Faults of a file alone: a second process, damage, a full disk, another layout."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from commands.wiring.track_metrics import size_bytes
from dataflows.state.local.schema import LAYOUT, set_limit
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import Pointer, StoreFull
from schemas.errors import StateError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "shards.sqlite"


@pytest.fixture
def written(path: Path) -> tuple[Path, Pointer]:
    """A file with a base, a delta and two rows of retired orders, and the pointer to them."""
    store = SqliteShardStore(path, 64)
    store.open("s07", None)
    store.stage("s07", b"base " * 1_000, base=True, retired=[("order-1", b"one")])
    pointer = store.stage("s07", b"delta", base=False, retired=[("order-2", b"two")])
    store.commit()
    store.close()
    return path, pointer


def change(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()


def opened(path: Path, pointer: Pointer) -> list[bytes]:
    store = SqliteShardStore(path, 64)
    try:
        return store.open("s07", pointer)
    finally:
        store.close()


def test_a_second_opener_is_told_which_process_has_the_file(path: Path) -> None:
    store = SqliteShardStore(path, 64)
    with pytest.raises(StateError, match=f"shards.sqlite: in use by process {os.getpid()}; stop"):
        SqliteShardStore(path, 64)
    store.close()
    SqliteShardStore(path, 64).close()


def test_only_its_owner_can_read_the_file(path: Path) -> None:
    SqliteShardStore(path, 64).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_number_of_shards_is_refused(path: Path) -> None:
    SqliteShardStore(path, 64).close()
    with pytest.raises(StateError, match="made for 64 shards, not 32; set shards = 64, or rebuild"):
        SqliteShardStore(path, 32)
    SqliteShardStore(path, 64).close()  # a refused opener releases the lock


def test_another_layout_is_refused(path: Path) -> None:
    SqliteShardStore(path, 64).close()
    change(path, "UPDATE meta SET value = 9 WHERE name = 'layout'")
    with pytest.raises(StateError, match=f"has layout 9, this version reads layout {LAYOUT}"):
        SqliteShardStore(path, 64)


def test_a_foreign_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    change(path, "CREATE TABLE accounts (id)")
    with pytest.raises(StateError, match="not a state file of ordertide"):
        SqliteShardStore(path, 64)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a shopping list" * 1_000)
    with pytest.raises(StateError, match="damaged, file is not a database; restore"):
        SqliteShardStore(path, 64)


@pytest.mark.parametrize(
    ("change_to", "says"),
    [
        ("stored = CAST(stored || x'00' AS BLOB)", "checksum differs"),
        ("stored = x'0000'", "cut off after 2 bytes"),
        (
            "stored = CAST(x'09' || substr(stored, 2) AS BLOB)",
            "stored in format 9, this version reads",
        ),
        ("run = 'other'", "doesn't hold it as written by run"),
    ],
)
def test_a_damaged_blob_is_named_with_the_way_out(
    written: tuple[Path, Pointer], change_to: str, says: str
) -> None:
    path, pointer = written
    change(path, f"UPDATE blobs SET {change_to} WHERE sequence = 2")  # noqa: S608 - a literal above
    with pytest.raises(StateError, match=rf"shard s07, \w+ 2: .*({says}).*restore the state"):
        opened(path, pointer)


def test_a_damaged_row_of_the_retired_table_is_named(written: tuple[Path, Pointer]) -> None:
    path, pointer = written
    change(path, "UPDATE retired SET stored = (SELECT stored FROM retired WHERE key = 'order-2')")
    store = SqliteShardStore(path, 64)
    store.open("s07", pointer)
    assert store.retired("s07", "order-2") == b"two"
    with pytest.raises(StateError, match="s07, retired row order-1 of blob 1: checksum differs"):
        store.retired("s07", "order-1")
    store.close()


def test_a_damaged_page_is_said_to_be_damage(written: tuple[Path, Pointer]) -> None:
    path, pointer = written
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StateError, match=r"shards.sqlite: damaged, .*; restore"):
        opened(path, pointer)


def test_a_full_disk_leaves_everything_staged_until_there_is_room(path: Path) -> None:
    store = SqliteShardStore(path, 64, max_size_bytes=400_000)
    store.open("s07", None)
    store.stage("s07", b"base", base=True)
    store.commit()
    pointer = store.stage("s07", os.urandom(1_000_000), base=False, retired=[("order", b"x")])
    for _ in range(2):
        with pytest.raises(StoreFull, match=r"no room left .* nothing is lost"):
            store.commit()
        assert store.retired("s07", "order") == b"x"
    assert [held.latest for held in store.inspect().held] == [1]
    set_limit(store.database, None)
    store.commit()
    store.close()
    assert [len(blob) for blob in opened(path, pointer)] == [4, 1_000_000]


def test_the_file_does_not_grow_with_the_number_of_commits(path: Path) -> None:
    sizes, pointer = [], None
    for _ in range(3):
        store = SqliteShardStore(path, 64)
        store.open("s07", pointer)
        for _ in range(100):
            blob, base = os.urandom(5_000), store.wants_base("s07")
            pointer = store.stage("s07", blob, base=base, retired=[("order", b"x")])
            store.commit()
        store.close()  # folds the log into the file
        sizes.append(path.stat().st_size)
    assert sizes[2] < 2 * sizes[1]
    assert len(opened_rows(path, "blobs")) < 50
    assert len(opened_rows(path, "retired")) == 3


def opened_rows(path: Path, table: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a literal
    database.close()
    return rows


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteShardStore(path, 64)
    store.open("s07", None)
    store.stage("s07", b"", base=True)
    store.close()
    with pytest.raises(StateError, match="closed database"):
        store.commit()


def test_the_size_that_is_measured_counts_the_log_too(tmp_path: Path) -> None:
    path = tmp_path / "shards.sqlite"
    assert size_bytes(path) == 0
    store = SqliteShardStore(path, 64)
    store.open("a", None)
    store.stage("a", os.urandom(500_000), base=True)
    store.commit()
    assert size_bytes(path) > 500_000 > path.stat().st_size  # no checkpoint yet
    assert size_bytes(path) == store.inspect().size_bytes
    store.close()
