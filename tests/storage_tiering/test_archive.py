"""The archive alone: chains of sealed files, two writers, damage, when a file is due."""

from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow.parquet as pq
import pytest

from schemas.errors import Busy, StateError
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.files import UNSEALED, LocalFiles
from storage_tiering.archive.manifest import Manifest
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from tests.support.tiers.archive_files import data_files, manifest_files
from tests.support.tiers.orders import START, Log, accepted, document

FIRST = "orders.events/orders.events-0-00000000000000000000"
DATA = "orders.events/arrival_day=2017-10-02/orders.events-0-00000000000000000000.parquet"
MANIFEST = "orders.events/_manifests/orders.events-0-00000000000000000000.json"
BY_HAND = ArchiveSettings(seal_rows=1_000_000, seal_age_s=None)


def archive(root: Path, settings: ArchiveSettings = BY_HAND) -> ParquetTier:
    return ParquetTier(LocalFiles(root), settings)


def manifests(root: Path, topic: str = ORDERS_EVENTS) -> list[Manifest]:
    paths = manifest_files(root, topic)
    return [msgspec.json.decode(path.read_bytes(), type=Manifest) for path in paths]


def spans(root: Path, topic: str = ORDERS_EVENTS) -> list[tuple[int, int, int]]:
    """(first offset, next offset, rows) of each file."""
    contents = [manifest.content for manifest in manifests(root, topic)]
    return [(each.first_offset, each.next_offset, each.rows) for each in contents]


def hashes(tier: ParquetTier, order_id: str = "e481f51c") -> list[str]:
    found = tier.find("default", order_id)
    assert found is not None
    return [event.event_hash for event in found.timeline]


def events(log: Log, *names: str) -> list:  # type: ignore[type-arg]  # records of events
    return log.events(*(accepted(event_id=name, at=START + int(name)) for name in names))


def test_a_file_says_where_its_rows_are_from(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    tier.expire(START + 60_000)
    tier.write_events(Log(partition=5).events(accepted("b"), accepted("a"), accepted("订单")))
    tier.flush(force=True)
    (manifest,) = manifests(tmp_path)
    content = manifest.content
    assert content.name == "orders.events/orders.events-5-00000000000000000000"
    assert (content.topic, content.partition) == (ORDERS_EVENTS, 5)
    assert (content.first_offset, content.next_offset, content.rows) == (0, 3, 3)
    assert (content.min_key, content.max_key) == ("a", "订单")
    assert content.watermark == START + 60_000


def test_rows_are_plain_columns_sorted_by_order(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    log = Log()
    tier.write_events(log.events(accepted("b"), accepted("a", at=START + 1), accepted("a", "0")))
    tier.write_orders(log.changes(document("b"), document("a", updated_at=START + 1)))
    tier.flush(force=True)
    table = pq.read_table(tmp_path / DATA)
    assert table.column("order_id").to_pylist() == ["a", "a", "b"]
    row = table.to_pylist()[2]
    assert row["source_name"] == "shop"
    assert row["event_at"].isoformat() == "2017-10-02T10:56:33+00:00"
    assert (row["origin_topic"], row["origin_partition"], row["origin_offset"]) == ("events", 3, 7)
    assert msgspec.json.decode(row["event_json"])["说明"] == "已支付"
    (changes,) = data_files(tmp_path, ORDERS_CHANGES)
    changed = pq.read_table(changes).to_pylist()
    assert [row["order_id"] for row in changed] == ["a", "b"]
    assert msgspec.json.decode(changed[1]["order_json"])["order_id"] == "b"


def test_a_writer_goes_on_behind_the_last_file_whatever_it_is_given_again(tmp_path: Path) -> None:
    log = Log()
    records = events(log, "1", "2", "3", "4", "5")
    first = archive(tmp_path)
    first.write_events(records[:3])
    first.flush(force=True)
    second = archive(tmp_path)
    assert second.resume_offset(ORDERS_EVENTS, 0) == 3
    second.write_events(records[1:])
    second.flush(force=True)
    assert spans(tmp_path) == [(0, 3, 3), (3, 5, 2)]
    assert not list(second.verify())


def test_what_is_sealed_is_not_collected_again(tmp_path: Path) -> None:
    records = events(Log(), "1", "2", "3")
    first, second = archive(tmp_path), archive(tmp_path)
    first.write_events(records)
    first.flush(force=True)
    for tier in (first, second):
        tier.write_events(records)
        assert tier.flush(), "nothing waits to be sealed"


def test_a_partition_without_files_starts_wherever_the_group_is(tmp_path: Path) -> None:
    assert archive(tmp_path).resume_offset(ORDERS_EVENTS, 0) is None


def test_of_two_writers_with_one_partition_the_second_to_seal_goes_on_behind_the_first(
    tmp_path: Path,
) -> None:
    log = Log()
    log_orders = log.changes(document())
    records = events(log, "1", "2", "3", "4", "5")
    old, new = archive(tmp_path), archive(tmp_path)
    old.write_events(records[:2])  # it has lost the partition and hasn't noticed yet
    new.write_orders(log_orders)
    new.write_events(records[:4])
    new.flush(force=True)
    old.write_events(records[2:])
    old.flush(force=True)
    assert spans(tmp_path) == [(0, 4, 4), (4, 5, 1)]
    assert len(hashes(old)) == 5
    assert not list(old.verify())


def test_the_loser_with_nothing_beyond_seals_nothing(tmp_path: Path) -> None:
    records = events(Log(), "1", "2", "3")
    loser, winner = archive(tmp_path), archive(tmp_path)
    loser.write_events(records[:2])
    winner.write_events(records)
    winner.flush(force=True)
    assert loser.flush(force=True)
    assert spans(tmp_path) == [(0, 3, 3)]


def test_what_the_dataflow_wrote_again_is_not_sealed_again(tmp_path: Path) -> None:
    log = Log()
    tier = archive(tmp_path)
    tier.write_events(events(log, "1", "2", "3"))
    tier.flush(force=True)
    tier.write_events(events(log, "2", "3", "4"))
    tier.flush(force=True)
    assert spans(tmp_path) == [(0, 3, 3), (3, 6, 1)]


def test_records_that_leave_no_row_are_part_of_the_range(tmp_path: Path) -> None:
    log = Log()
    tier = archive(tmp_path)
    retired = log.retirement("other")
    tier.write_orders([retired, *log.changes(document(), document()), log.retirement("e481f51c")])
    tier.flush(force=True)
    assert spans(tmp_path, ORDERS_CHANGES) == [(0, 4, 1)]


def test_a_lost_manifest_is_made_from_the_file(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    log = Log()
    tier.write_orders(log.changes(document()))
    tier.write_events(log.events(accepted()))
    tier.flush(force=True)
    (before,) = manifests(tmp_path)
    (tmp_path / MANIFEST).unlink()
    assert archive(tmp_path).resume_offset(ORDERS_EVENTS, 0) == 1
    (again,) = manifests(tmp_path)
    assert (again.content, again.blocks) == (before.content, before.blocks)


def test_half_a_file_that_a_kill_left_is_no_data(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    (tmp_path / UNSEALED / "orders.events-0-00000000000000000000.parquet").write_bytes(b"PAR1")
    assert tier.resume_offset(ORDERS_EVENTS, 0) is None
    assert tier.counts().events == 0


@pytest.mark.parametrize("damage", ["a bit", "the end"])
def test_a_damaged_file_is_named_by_look_ups_and_by_verify(tmp_path: Path, damage: str) -> None:
    tier = archive(tmp_path)
    log = Log()
    tier.write_orders(log.changes(document()))
    tier.write_events(log.events(accepted()))
    tier.flush(force=True)
    path = tmp_path / DATA
    data = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(0).column(11)
    data[chunk.data_page_offset + chunk.total_compressed_size - 10] ^= 1  # in the values
    path.write_bytes(data if damage == "a bit" else data[:-20])
    expected = f"archive manifest {FIRST}: checksum differs; put a good copy"
    with pytest.raises(StateError, match=expected):
        tier.find("default", "e481f51c")
    (complaint,) = archive(tmp_path).verify()
    assert str(complaint).startswith(expected)
    assert "offsets 0 to 0 of orders.events [0]" in str(complaint)


def test_a_file_that_is_missing_breaks_the_chain(tmp_path: Path) -> None:
    log = Log()
    tier = archive(tmp_path)
    for name in ("1", "2", "3"):
        tier.write_events(events(log, name))
        tier.flush(force=True)
    for path in (tmp_path / ORDERS_EVENTS).glob("*/*1.*"):
        path.unlink()
    (complaint,) = archive(tmp_path).verify()
    assert "starts at 2, but the file before it ends before 1" in str(complaint)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    tier.write_events(Log().events(accepted()))
    tier.flush(force=True)
    (tmp_path / MANIFEST).write_bytes(b"{")
    with pytest.raises(StateError, match=f"archive manifest {FIRST}: .*remove it"):
        archive(tmp_path).counts()


def test_a_file_is_due_by_rows(tmp_path: Path) -> None:
    tier = archive(tmp_path, ArchiveSettings(seal_rows=3, seal_age_s=None))
    log = Log()
    tier.write_events(events(log, "1", "2"))
    assert not tier.flush()
    tier.write_orders(log.changes(document()))
    assert tier.flush()
    assert spans(tmp_path) == [(0, 2, 2)]


def test_a_file_is_due_by_age(tmp_path: Path) -> None:
    now_s = [100.0]
    settings = ArchiveSettings(seal_age_s=60.0)
    tier = ParquetTier(LocalFiles(tmp_path), settings, now_s=lambda: now_s[0])
    log = Log()
    for name in ("1", "2"):
        tier.write_events(events(log, name))
        now_s[0] += 59.0
        assert not tier.flush()
        now_s[0] += 1.0
        assert tier.flush()
    assert spans(tmp_path) == [(0, 1, 1), (1, 2, 1)]


def test_a_file_is_due_by_stream_time(tmp_path: Path) -> None:
    tier = archive(tmp_path, ArchiveSettings(seal_age_s=None, seal_stream_age_ms=3_600_000))
    tier.expire(START)
    tier.write_events(Log().events(accepted()))
    tier.expire(START + 3_599_999)
    assert not tier.flush()
    tier.expire(START + 3_600_000)
    assert tier.flush()


def test_with_nothing_collected_all_is_durable(tmp_path: Path) -> None:
    assert archive(tmp_path).flush()


def test_a_look_up_reads_only_files_that_may_hold_the_order(tmp_path: Path) -> None:
    class Opened(LocalFiles):
        """Files that record which data files were opened."""

        names: list[str]

        def open(self, name: str) -> BinaryIO:
            self.names.append(name)
            return super().open(name)

    log = Log()
    tier = archive(tmp_path)
    for n in range(20):
        tier.write_orders(log.changes(document(f"order-{n}"), document(f"z{n}"), document(f"a{n}")))
        tier.flush(force=True)
    files = Opened(tmp_path)
    files.names, noted = [], list[None]()
    tier = ParquetTier(files, BY_HAND)
    tier.on_opened(lambda: noted.append(None))
    found = tier.find("default", "order-7")
    assert found is not None
    opened = [name for name in files.names if name.endswith(".parquet")]
    assert len(opened) == len(noted) <= 3


def test_a_full_disk_is_busy_and_nothing_is_lost(tmp_path: Path) -> None:
    class FullDisk(LocalFiles):
        """Takes so many files, then it is full."""

        room = 0

        def seal(self, name: str, data: bytes | Path) -> bool:
            if self.room == 0:
                raise Busy("no space left on device", 5.0)
            self.room -= 1
            return super().seal(name, data)

    files = FullDisk(tmp_path)
    tier = ParquetTier(files, BY_HAND)
    log = Log()
    tier.write_orders(log.changes(document()))
    tier.write_events(events(log, "1", "2"))
    for room in (0, 1, 1):
        files.room = room
        with pytest.raises(Busy):
            tier.flush(force=True)
    files.room = 10
    assert tier.flush(force=True)
    assert len(hashes(archive(tmp_path))) == 2
    assert not list(archive(tmp_path).verify())


def test_an_archive_of_the_first_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    old = tmp_path / ORDERS_EVENTS
    old.mkdir()
    (old / "orders.events-0-00000000000000000000.parquet").write_bytes(b"PAR1")
    remedy = r"format 1, this version reads format 2; .* set \[archive\] folder to a new one"
    tier = archive(tmp_path)
    for ask in (tier.counts, tier.staleness, lambda: list(tier.verify())):
        with pytest.raises(StateError, match=remedy):
            ask()


def test_a_manifest_of_a_later_format_is_refused(tmp_path: Path) -> None:
    tier = archive(tmp_path)
    tier.write_events(Log().events(accepted()))
    tier.flush(force=True)
    (manifest,) = manifests(tmp_path)
    later = msgspec.structs.replace(
        manifest, content=msgspec.structs.replace(manifest.content, format=3)
    )
    later = msgspec.structs.replace(later, manifest_checksum=later.own_checksum())
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(later))
    with pytest.raises(StateError, match="format 3, this version reads format 2"):
        archive(tmp_path).counts()
