"""Compaction: a day's small files become one; killed at any point, no row is lost or doubled."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hdfs_native.fsspec import HdfsFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.instants import DAY_MS, HOUR_MS
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.chain import SegmentChains
from storage_tiering.archive.compaction import CompactionSettings
from storage_tiering.archive.files import ArchiveFiles, LocalFiles
from storage_tiering.archive.hdfs import HdfsFiles
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.merging import merged
from storage_tiering.archive.names import DATA, MANIFESTS, REPLACED, STAGED, Span
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.memory import MemoryTier
from storage_tiering.rebuild import from_archive
from storage_tiering.records import Message
from storage_tiering.tier import EventRecord, OrderRecord
from tests.support.tiers.archive_files import (
    data_files,
    flip,
    manifest_files,
    manifest_of,
    rows_of,
)
from tests.support.tiers.doomed_files import DoomedFiles, Killed
from tests.support.tiers.hdfs_places import hdfs_place
from tests.support.tiers.orders import START, Log, accepted, document

BY_HAND = ArchiveSettings(seal_rows=1_000_000, seal_age_s=None)
TOPICS = (ORDERS_CHANGES, ORDERS_EVENTS)
AT_ONCE = CompactionSettings(keep_s=-60.0)
CHANGES = 18  # of the files, by one merge in each topic: five each, then four removals each
# Each kind of change in one topic or the other, and a run that is not killed.
KILLS_ON_HDFS = (0, 2, 4, 6, 8, 10, 12, 15, 17, CHANGES)
ORDERS = [f"o{number}" for number in range(3)]


class Archive:
    """An archive, and what was written into it."""

    def __init__(self, files: ArchiveFiles, partitions: int = 1) -> None:
        self.files = files
        self.logs = [Log(partition) for partition in range(partitions)]
        self.orders: list[OrderRecord] = []
        self.events: list[EventRecord] = []
        self.version = 0

    def fill(self, days: int = 2, rounds: int = 3) -> None:
        """So many files a day, topic and partition; every order changes in each."""
        tier = ParquetTier(self.files, BY_HAND)
        for number in range(days * rounds):
            self.version += 1
            at = START + number // rounds * DAY_MS + number % rounds * HOUR_MS
            for log in self.logs:
                names = [f"{name}-{log.partition}" for name in ORDERS]
                orders = log.changes(*(document(name, self.version, at) for name in names))
                events = log.events(*(accepted(name, f"e{number}", at) for name in names))
                tier.write_orders(orders)
                tier.write_events(events)
                self.orders += orders
                self.events += events
            tier.expire(at)
            tier.flush(force=True)

    def open(self) -> ParquetTier:
        return ParquetTier(self.files, BY_HAND)

    def compact(
        self, files: ArchiveFiles | None = None, wanted: CompactionSettings = AT_ONCE
    ) -> int:
        """Everything that `ordertide archive compact` does; how many merges were made."""
        compaction = ParquetTier(files or self.files, BY_HAND).compaction(wanted)
        compaction.settle()
        done = list(compaction.run(compaction.plan()))
        compaction.forget_replaced()
        return sum(each.size_bytes is not None for each in done)

    def assert_whole(self) -> None:
        """Look-ups, verify, offsets and rebuilds find every record once."""
        tier = self.open()
        assert [str(damage) for damage in tier.verify()] == []
        for log in self.logs:
            for name in ORDERS:
                found = tier.find("default", f"{name}-{log.partition}")
                assert found is not None
                assert (found.document.version, found.stale) == (self.version, None)
                assert len(found.timeline) == self.version
        written = Counter((each.key, each.version) for each in self.orders)
        assert Counter((each.key, each.version) for each in tier.all_orders(0)) == written
        again = Counter((each.key, each.event.event_hash) for each in tier.all_events(0))
        assert again == Counter((each.key, each.event.event_hash) for each in self.events)
        places = [each.position for each in self.orders]
        places += [each.position for each in self.events]
        ends = {(place.topic, place.partition): place.offset + 1 for place in places}
        assert tier.offsets() == ends
        for (topic, partition), end in ends.items():
            assert tier.resume_offset(topic, partition) == end

    def assert_seen_once(self, seen: Callable[[str], list[dict[str, object]]]) -> None:
        """A reader of the folder sees every row once."""
        orders = [(row["order_id"], row["order_version"]) for row in seen(ORDERS_CHANGES)]
        assert sorted(orders) == sorted((each.key, each.version) for each in self.orders)
        events = [(row["order_id"], row["event_hash"]) for row in seen(ORDERS_EVENTS)]
        assert sorted(events) == sorted((each.key, each.event.event_hash) for each in self.events)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(LocalFiles(tmp_path))


def test_the_small_files_of_a_day_that_has_ended_become_one_a_partition(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path), partitions=2)
    archive.fill(days=3)
    assert archive.compact() == 8, "two days of two partitions and topics"
    for topic in TOPICS:
        days = Counter(path.parent.name for path in data_files(tmp_path, topic))
        assert sorted(days.values()) == [2, 2, 6]
    archive.assert_whole()
    archive.assert_seen_once(lambda topic: rows_of(tmp_path, topic))
    assert archive.compact() == 0, "nothing is left to merge"


def test_the_day_that_still_gets_files_is_left_alone(archive: Archive) -> None:
    archive.fill(days=1)
    assert archive.compact() == 0
    tier = archive.open()
    tier.expire(START + DAY_MS)  # all of the day was written, and the stream goes on
    at = START + 4 * HOUR_MS
    tier.write_events(archive.logs[0].events(accepted("o9", "e9", at)))
    tier.flush(force=True)
    assert archive.compact() == 1, "of events; of orders no file knows the clock"


def test_files_that_come_for_a_merged_day_are_merged_with_it(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill(days=2)
    archive.compact()
    tier, (log,) = archive.open(), archive.logs
    for number in range(2):  # a partition that had lagged behind
        events = log.events(accepted("late", f"l{number}", START + DAY_MS + number))
        tier.write_events(events)
        tier.flush(force=True)
        archive.events += events
    far = log.events(accepted("far", "f", START + 2 * DAY_MS))
    tier.write_events(far)
    tier.flush(force=True)
    archive.events += far
    assert archive.compact() == 1
    names = [path.stem for path in data_files(tmp_path, ORDERS_EVENTS)]
    assert names == [
        "orders.events-0-00000000000000000020",
        "orders.events-0-merged-000000001",
        "orders.events-0-merged-000000002",
    ]
    archive.assert_seen_once(lambda topic: rows_of(tmp_path, topic))
    assert not list(archive.open().verify())


def test_merges_stay_below_the_size_and_large_files_stay_as_they_are(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill(days=2, rounds=6)
    sizes = [path.stat().st_size for path in data_files(tmp_path, ORDERS_EVENTS)]
    archive.compact(wanted=CompactionSettings(most_bytes=3 * max(sizes), keep_s=-60.0))
    assert ["merged" in path.stem for path in data_files(tmp_path, ORDERS_EVENTS)].count(True) == 2
    archive.assert_whole()
    assert archive.compact(wanted=CompactionSettings(small_bytes=1)) == 0


def test_killed_at_any_operation_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path / "filled"))
    archive.fill(rounds=2)
    for last in range(1_000):
        root = tmp_path / str(last)
        shutil.copytree(tmp_path / "filled", root)
        archive.files = LocalFiles(root)
        files = DoomedFiles(LocalFiles(root), last)
        try:
            archive.compact(files)
        except Killed:
            archive.assert_whole()
            archive.compact()
        assert not [*(root / ORDERS_EVENTS / REPLACED).glob("*")]
        archive.assert_whole()
        archive.assert_seen_once(lambda topic, root=root: rows_of(root, topic))  # type: ignore[misc]  # the default is what binds it
        if not files.was_killed:
            break
    else:
        pytest.fail("it was never complete")
    assert last == CHANGES


def test_a_writer_killed_at_any_operation_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for last in range(1_000):
        root = tmp_path / str(last)
        archive = Archive(LocalFiles(root))
        archive.fill(days=1, rounds=1)
        ats = (START + 13 * HOUR_MS, START + 13 * HOUR_MS + 1, START + 14 * HOUR_MS)  # midnight
        events = archive.logs[0].events(
            *(accepted("o0-0", f"m{number}", at) for number, at in enumerate(ats))
        )
        archive.events += events
        files = DoomedFiles(LocalFiles(root), last)
        try:
            tier = ParquetTier(files, BY_HAND)
            tier.write_events(events)
            tier.flush(force=True)
        except Killed:
            assert not list(archive.open().verify())
        tier = archive.open()
        tier.write_events(events)
        tier.flush(force=True)
        tier.settle()
        assert not list(archive.open().verify())
        archive.assert_seen_once(lambda topic, root=root: rows_of(root, topic))  # type: ignore[misc]  # the default is what binds it
        assert not [*(root / ORDERS_EVENTS / STAGED).glob("*.none")]
        if not files.was_killed:
            break
    else:
        pytest.fail("it was never complete")
    assert last > 8


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_killed_at_any_change_on_hdfs_no_row_is_lost_or_doubled() -> None:
    for last in KILLS_ON_HDFS:
        place = hdfs_place()
        place = msgspec.structs.replace(place, root=f"{place.root}/{last}")
        archive = Archive(HdfsFiles(place))
        archive.fill(rounds=2)
        files = DoomedFiles(HdfsFiles(place), last)
        try:
            archive.compact(files)
        except Killed:
            archive.assert_whole()
            archive.compact()
        archive.assert_whole()
        host, port = place.rpc[0].split(":")
        filesystem = HdfsFileSystem(host, int(port))

        def seen(topic: str, root: str = place.root) -> list[dict[str, object]]:
            dataset = ds.dataset(f"{root}/{topic}", filesystem=filesystem, partitioning="hive")  # noqa: B023 - called at once
            found: list[dict[str, object]] = dataset.to_table().to_pylist()
            return found

        archive.assert_seen_once(seen)
        assert files.was_killed == (last < CHANGES)


def test_replaced_files_are_kept_for_those_who_hold_their_manifests(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    chains = SegmentChains(archive.files)  # of a look-up that is under way
    manifests = chains.survey(ORDERS_EVENTS).manifests
    archive.compact(wanted=CompactionSettings())
    replaced = sorted((tmp_path / ORDERS_EVENTS / REPLACED).iterdir())
    assert [path.name for path in replaced] == [m.content.name.split("/")[1] for m in manifests[:3]]
    for manifest in manifests:
        assert chains.is_whole(manifest)
    archive.compact()
    assert not list((tmp_path / ORDERS_EVENTS / REPLACED).iterdir())
    assert len(manifest_files(tmp_path, ORDERS_EVENTS)) == 4
    archive.assert_whole()


def test_of_two_that_compact_at_once_one_merges_and_nothing_is_doubled(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill(days=3)
    one, other = (archive.open().compaction(CompactionSettings()) for _ in range(2))
    plans = one.plan(), other.plan()
    assert all(each.size_bytes for each in one.run(plans[0]))
    lost = list(other.run(plans[1]))
    assert [each.size_bytes for each in lost] == [None, None], "the first of each partition"
    assert lost[0].damage is None
    archive.assert_whole()
    archive.assert_seen_once(lambda topic: rows_of(tmp_path, topic))


def test_a_damaged_file_is_not_merged_and_is_named(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    path = data_files(tmp_path, ORDERS_EVENTS)[1]
    flip(path)
    compaction = archive.open().compaction(CompactionSettings())
    done = list(compaction.run(compaction.plan()))
    assert [each.size_bytes is None for each in done] == [False, True]
    assert path.stem in str(done[1].damage)
    (damage,) = archive.open().verify()
    assert path.stem in str(damage)


@pytest.mark.parametrize("what", ["data", "manifest", "both", "lost"])
def test_damage_to_a_merged_file_is_named_and_repaired_by_what_it_was_made_of(
    tmp_path: Path, what: str
) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    archive.compact(wanted=CompactionSettings())
    path = data_files(tmp_path, ORDERS_EVENTS)[-1]
    assert "merged" in path.stem
    if what in ("data", "both"):
        flip(path)
    if what in ("manifest", "both"):
        flip(manifest_of(path))
    if what == "lost":
        path.unlink()
    with pytest.raises(Damage, match="-merged-000000001"):
        archive.open().find("default", "o0-0")
    tier = archive.open()
    assert "-merged-000000001" in str(next(tier.verify()))
    done = list(tier.repair(nothing_left).run(list(tier.verify())))
    assert {each.did for each in done} == {"repaired"}
    archive.assert_whole()
    archive.assert_seen_once(lambda topic: rows_of(tmp_path, topic))


def nothing_left(_: Span) -> Iterator[Message]:
    raise AssertionError("the topic is not needed")


def test_uploads_that_no_manifest_names_go_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    archive.files.seal(f"{ORDERS_EVENTS}/{STAGED}/half.0", b"of a kill")
    archive.compact()
    assert [*(tmp_path / ORDERS_EVENTS / STAGED).iterdir()], "its writer may be at work"
    monkeypatch.setattr("storage_tiering.archive.chain.STALE_AFTER_S", -60.0)
    archive.compact()
    assert not [*(tmp_path / ORDERS_EVENTS / STAGED).iterdir()]
    archive.assert_whole()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), min_size=1)),
    st.integers(1, 400),
)
def test_a_merge_sort_gives_every_row_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int]]], run_bytes: int
) -> None:
    fields: list[tuple[str, pa.DataType]] = [("order_id", pa.string()), ("number", pa.int64())]
    schema = pa.schema(fields)
    given_batches = [
        pa.RecordBatch.from_pylist([{"order_id": k, "number": n} for k, n in rows], schema)
        for rows in batches
    ]
    spill = tmp_path_factory.mktemp("spill")
    tables = merged(given_batches, ("order_id", "number"), spill, run_bytes)
    rows = [(row["order_id"], row["number"]) for table in tables for row in table.to_pylist()]
    assert rows == sorted(row for rows in batches for row in rows)


def test_a_merged_file_is_sorted_so_that_a_look_up_reads_one_row_group(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    archive.compact()
    path = data_files(tmp_path, ORDERS_EVENTS)[-1]
    assert path.name.endswith(f"-merged-000000001{DATA}")
    assert manifest_of(path).parent.name == MANIFESTS
    table = pq.ParquetFile(path).read()
    keys = [(row["order_id"], row["arrival_at"]) for row in table.to_pylist()]
    assert keys == sorted(keys)


def test_a_writer_that_is_given_everything_again_seals_nothing(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    archive.compact()
    before = [data_files(tmp_path, topic) for topic in TOPICS]
    tier = archive.open()
    tier.write_orders(archive.orders)
    tier.write_events(archive.events)
    assert tier.flush(force=True)
    assert [data_files(tmp_path, topic) for topic in TOPICS] == before


def test_a_tier_is_rebuilt_from_merged_files(tmp_path: Path) -> None:
    archive = Archive(LocalFiles(tmp_path))
    archive.fill()
    archive.compact()
    tier = MemoryTier()
    counts = from_archive(tier, archive.open(), 0)
    assert counts == (len(archive.orders), len(archive.events))
    for name in ORDERS:
        found, right = (
            tier.find("default", f"{name}-0"),
            archive.open().find("default", f"{name}-0"),
        )
        assert found is not None
        assert right is not None
        assert (found.document, found.timeline) == (right.document, right.timeline)
