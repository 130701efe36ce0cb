"""Frames: damage is seen wherever it is, and what older versions wrote can still be read."""

import gzip
import sqlite3
from pathlib import Path

import pytest

from commands.state.packed_order import fault_of
from dataflows.core.fold import opened
from dataflows.core.numbers import Mapping, hash_of
from dataflows.core.packing import unpack
from dataflows.core.resolve import Resolver, number_key
from dataflows.core.routing import SHARDS
from dataflows.definition_files import read_lifecycle
from dataflows.state.local.chain import Link
from dataflows.state.local.frame import FORMAT, UPGRADES, Place, Upgrade, frame, squeeze, unframe
from dataflows.state.local.reader import StateReader
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import Pointer
from dataflows.steps import decode_resolver, decode_snapshot
from dataflows.track import NUMBER_SHARDS
from schemas.errors import StateError
from schemas.instants import DAY_MS

STORED = Path(__file__).parent / "stored"
SHARD = SHARDS[7]
PLACE = Place("0123456789abcdef", SHARD, 17, "42caf699")
NUMBERS = NUMBER_SHARDS[7]
HELD = {1: 12, 2: 16, 3: 16}  # blobs and rows of the cold in the file of a version; numbers since 2
LONG, SHORT = b"order " * 1_000, b"an order"


def stored_by(version: int, folder: Path) -> Path:
    """A file as a version wrote it: a base, three deltas and a cold of eight orders.

    Since version 2 with the numbers of these epochs; see the test of them.
    """
    path = folder / "shards.sqlite"
    path.write_bytes(gzip.decompress((STORED / f"version-{version}.sqlite.gz").read_bytes()))
    return path


def pointers(path: Path, shard: str = SHARD) -> list[Pointer]:
    reader = StateReader(path)
    found = [
        Pointer(reader.meta.store, link.run, link.sequence) for link in reader.held(shard).links
    ]
    reader.close()
    return found


@pytest.mark.parametrize("blob", [LONG, SHORT])
def test_every_flipped_bit_is_seen(blob: bytes) -> None:
    stored = frame(*squeeze(blob), PLACE)
    assert unframe(stored, PLACE) == blob
    for bit in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StateError, match=f"shard {SHARD}, blob 17: "):
            unframe(bytes(flipped), PLACE)


@pytest.mark.parametrize(
    "other",
    [
        PLACE._replace(store="fedcba9876543210"),
        PLACE._replace(shard=SHARDS[8]),
        PLACE._replace(sequence=18),
        PLACE._replace(name="other"),
    ],
)
def test_a_whole_blob_in_a_wrong_place_is_damage(other: Place) -> None:
    with pytest.raises(StateError, match="checksum differs"):
        unframe(frame(*squeeze(LONG), PLACE), other)


def test_there_is_a_way_from_every_version_to_this_one() -> None:
    assert set(UPGRADES) == set(range(1, FORMAT))
    assert {path.name for path in STORED.iterdir()} == {
        f"version-{version}.sqlite.gz" for version in range(1, FORMAT)
    }


def test_versions_are_brought_up_one_by_one() -> None:
    def said(text: bytes) -> Upgrade:
        return lambda _, blob: blob + text

    upgrades = {FORMAT: said(b", then"), FORMAT + 1: said(b", at last")}
    stored = frame(*squeeze(SHORT), PLACE)
    found = unframe(stored, PLACE, upgrades, FORMAT + 2)
    assert found == SHORT + b", then, at last"


@pytest.mark.parametrize("version", [0, FORMAT + 1, 255])
def test_a_version_from_nowhere_is_refused_with_the_way_out(version: int) -> None:
    stored = bytes((version,)) + frame(*squeeze(LONG), PLACE)[1:]
    with pytest.raises(StateError, match=f"stored in format {version}, .* use the version that"):
        unframe(stored, PLACE)


def test_a_version_with_a_gap_behind_it_is_refused() -> None:
    with pytest.raises(StateError, match=f"this version reads format {FORMAT + 2}"):
        unframe(frame(*squeeze(LONG), PLACE), PLACE, {FORMAT + 1: UPGRADES[1]}, FORMAT + 2)


@pytest.mark.parametrize("version", range(1, FORMAT))
def test_a_file_of_an_older_version_is_resumed(version: int, tmp_path: Path) -> None:
    path = stored_by(version, tmp_path)
    store = SqliteShardStore(path, len(SHARDS))
    snapshots = [decode_snapshot(blob) for blob in store.open(SHARD, pointers(path)[-1])]
    assert [len(part.orders) for part in snapshots] == [8, 8, 14, 13]
    cold = [store.cold(SHARD, key) for key in store.cold_keys(SHARD)]
    assert [unpack("", data).entries for data in cold if data] == [11] * 8
    store.close()


@pytest.mark.parametrize("version", range(1, FORMAT))
def test_orders_of_an_older_version_are_what_their_history_says(
    version: int, tmp_path: Path
) -> None:
    path, table = stored_by(version, tmp_path), read_lifecycle()
    store = SqliteShardStore(path, len(SHARDS))
    snapshots = [decode_snapshot(blob) for blob in store.open(SHARD, pointers(path)[-1])]
    live = [found for part in snapshots for found in part.orders]
    cold = [(key, store.cold(SHARD, key)) for key in store.cold_keys(SHARD)]
    store.close()
    for key, data in [(key, data) for key, data in live + cold if data]:
        assert fault_of(key, data, table) is None
        order = opened(key, data, table)
        seen = order.firsts.get(table.index["PENDING_PAYMENT"])
        assert seen == 0, "created by its first entry"
        assert order.extras.get(seen, {}).keys() >= {"promised_at"}


@pytest.mark.parametrize("version", range(1, FORMAT))
def test_what_follows_in_a_file_of_an_older_version_is_of_this_one(
    version: int, tmp_path: Path
) -> None:
    path = stored_by(version, tmp_path)
    store = SqliteShardStore(path, len(SHARDS))
    before = store.open(SHARD, pointers(path)[-1])
    pointer = store.stage(SHARD, LONG, base=False, cold=[("order", SHORT)])
    store.commit()
    store.close()
    reader = StateReader(path)
    assert reader.versions() == {version: HELD[version], FORMAT: 2}
    reader.close()
    store = SqliteShardStore(path, len(SHARDS))
    assert store.open(SHARD, pointer) == [*before, LONG]
    store.close()


@pytest.mark.parametrize("version", range(1, FORMAT))
def test_damage_to_a_blob_of_an_older_version_is_seen(version: int, tmp_path: Path) -> None:
    path = stored_by(version, tmp_path)
    database = sqlite3.connect(path)
    (stored,) = database.execute("SELECT stored FROM blobs WHERE sequence = 1").fetchone()
    flipped = bytearray(stored)
    flipped[len(stored) // 2] ^= 1
    with database:
        database.execute("UPDATE blobs SET stored = ? WHERE sequence = 1", (bytes(flipped),))
    database.close()
    reader = StateReader(path)
    link: Link = reader.held(SHARD).links[0]
    with pytest.raises(StateError, match=f"shard {SHARD}, blob 1: checksum differs"):
        reader.blob(SHARD, link)
    reader.close()


@pytest.mark.parametrize("version", range(2, FORMAT))
def test_numbers_of_an_older_version_lead_to_the_same_orders(version: int, tmp_path: Path) -> None:
    """Ten numbers, two orders of one of them, changes in each delta; of X1 and X2 one waits yet."""
    store = SqliteShardStore(stored_by(version, tmp_path), len(SHARDS))
    blobs = store.open(NUMBERS, pointers(store.path, NUMBERS)[-1])
    store.close()
    resolver = Resolver()
    resolver.restore(map(decode_resolver, blobs))
    assert len(resolver.numbers) == 10
    began_at, day = 1_775_000_000_000, 20_543
    later_at = began_at + 2 * DAY_MS
    assert known(resolver, "waybill", "SF1") == [
        Mapping("order-1", "sf", began_at + 1_000, began_at + 1_500, day, day),
        Mapping("order-1b", "sf", later_at, later_at, day + 2, day + 2),
    ]
    assert known(resolver, "waybill", "SF3") == [
        Mapping("order-3", "sf", began_at + 3_000, began_at + 3_500, day + 5, day + 5)
    ]
    assert [found.order_id for found in known(resolver, "erp", "SO-1")] == ["order-1"]
    waiting = resolver.waiting[number_key("default", "waybill", "X2")]
    assert [asked.fact.at for asked in waiting] == [began_at + DAY_MS, later_at]
    assert resolver.waiting_count == 2
    assert resolver.through == began_at + 3 * DAY_MS


def known(resolver: Resolver, kind: str, number: str) -> list[Mapping]:
    return resolver.numbers.get(hash_of(number_key("default", kind, number)))
