"""Sealing on HDFS: a name is given once, and only to a complete file."""

import threading
from pathlib import Path

import duckdb
import msgspec
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hdfs import InsecureClient
from hdfs_native.fsspec import HdfsFileSystem

from schemas.errors import StateError
from storage_tiering.archive import hdfs
from storage_tiering.archive.files import UNSEALED, FileMissing
from storage_tiering.archive.hdfs import HdfsFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from tests.support.tiers.hdfs_places import hdfs_place
from tests.support.tiers.hdfs_servers import read, unsealed
from tests.support.tiers.orders import Log, accepted

pytestmark = pytest.mark.stack
LARGE = b"x" * 3_000_000


def test_a_sealed_file_is_listed_and_read() -> None:
    files = HdfsFiles(hdfs_place())
    assert files.list("topic", ".json") == []
    assert files.seal("topic/b.json", b"two")
    assert files.seal("topic/a.json", LARGE)
    assert files.list("topic", ".json") == ["topic/a.json", "topic/b.json"]
    assert files.list("topic", ".parquet") == []
    assert read(files, "topic/a.json") == LARGE
    with files.open("topic/a.json") as file:
        file.seek(-5, 2)
        assert (file.read(), file.tell()) == (b"xxxxx", len(LARGE))


def test_a_name_is_given_once_and_nothing_is_left_of_the_loser() -> None:
    place = hdfs_place()
    assert HdfsFiles(place).seal("topic/a", b"first")
    assert not HdfsFiles(place).seal("topic/a", b"second")
    assert read(HdfsFiles(place), "topic/a") == b"first"
    assert unsealed(place) == []


def test_of_many_who_seal_one_name_at_once_one_wins() -> None:
    place = hdfs_place()
    won: list[bytes] = []
    gate = threading.Barrier(6)

    def race(number: int) -> None:
        data = bytes([number]) * 1_000
        files = HdfsFiles(place)
        gate.wait()
        if files.seal("topic/a", data):
            won.append(data)

    racers = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    (winner,) = won
    assert read(HdfsFiles(place), "topic/a") == winner


def test_a_folder_of_the_same_name_is_never_moved_into() -> None:
    place = hdfs_place()
    client = InsecureClient(f"http://{place.web[0]}", user=place.user)
    client.makedirs(f"{place.root}/topic/a")
    with pytest.raises(StateError, match="must both be directories; check the archive's folder"):
        HdfsFiles(place).seal("topic/a", b"one")
    assert client.list(f"{place.root}/topic/a") == []


def test_what_a_kill_left_is_never_listed_and_goes_after_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = hdfs_place()
    client = InsecureClient(f"http://{place.web[0]}", user=place.user)
    client.write(f"{place.root}/{UNSEALED}/half", data=b"half a fi")
    assert HdfsFiles(place).list("topic", "") == []
    HdfsFiles(place).seal("topic/a", b"one")
    assert unsealed(place) == ["half"], "its writer may be at work"
    monkeypatch.setattr(hdfs, "STALE_AFTER_S", -60.0)  # as if a day had passed
    HdfsFiles(place).seal("topic/b", b"two")
    assert unsealed(place) == []


def test_a_removed_file_is_gone_and_removing_it_again_is_nothing() -> None:
    files = HdfsFiles(hdfs_place())
    files.seal("topic/a.json", b"one")
    files.remove("topic/a.json")
    files.remove("topic/a.json")
    assert files.list("topic", ".json") == []


def test_a_missing_file_is_named() -> None:
    with pytest.raises(StateError, match=r"archive topic/a\.json: File does not exist"):
        HdfsFiles(hdfs_place()).open("topic/a.json")


def test_a_user_without_rights_is_told_so() -> None:
    place = hdfs_place()
    HdfsFiles(place).seal("topic/a", b"one")
    stranger = HdfsFiles(msgspec.structs.replace(place, user="stranger"))
    with pytest.raises(StateError, match="AccessControlException: Permission denied"):
        stranger.seal("topic/b", b"two")


def test_the_archive_is_one_dataset_for_others() -> None:
    place, log = hdfs_place(), Log()
    tier = ParquetTier(HdfsFiles(place), ArchiveSettings(seal_age_s=None))
    tier.write_events(log.events(*(accepted(f"o{n}", f"e{n}") for n in range(20))))
    assert tier.flush(force=True)
    host, port = place.rpc[0].split(":")
    filesystem = HdfsFileSystem(host, int(port))
    folder = f"{place.root}/orders.events"
    assert pq.read_table(folder, filesystem=filesystem).num_rows == 20
    events = ds.dataset(folder, filesystem=filesystem, partitioning="hive")
    assert events.count_rows(filter=ds.field("order_id") == "o7") == 1
    assert events.count_rows(filter=ds.field("arrival_day") == "2017-10-02") == 20
    with duckdb.connect() as connection:
        connection.register_filesystem(filesystem)
        counted = connection.execute(
            "SELECT arrival_day::VARCHAR, count(*) FROM read_parquet(?) GROUP BY ALL",
            [f"hdfs://{folder}/*/*.parquet"],
        )
        assert counted.fetchall() == [("2017-10-02", 20)]


def test_all_files_below_a_folder_are_listed_with_their_ages() -> None:
    files = HdfsFiles(hdfs_place())
    assert (files.walk("topic"), files.ages_s("topic")) == ([], {})
    for name in ("topic/a", "topic/day=1/b", "topic/_hidden/c"):
        assert files.seal(name, b"one")
    assert files.walk("topic") == ["topic/_hidden/c", "topic/a", "topic/day=1/b"]
    assert files.list("topic", "") == ["topic/a"], "folders are no files"
    (age_s,) = files.ages_s("topic").values()
    assert -60 < age_s < 60


def test_a_file_is_moved_once_and_never_over_another() -> None:
    files = HdfsFiles(hdfs_place())
    files.seal("topic/a", b"one")
    files.seal("topic/b", b"two")
    files.move("topic/a", "topic/day=1/c")
    files.move("topic/a", "topic/day=1/c")  # done again
    files.move("topic/b", "topic/day=1/c")
    assert files.walk("topic") == ["topic/b", "topic/day=1/c"]
    assert read(files, "topic/day=1/c") == b"one"
    with pytest.raises(FileMissing):
        files.open("topic/a")


def test_a_local_file_is_uploaded_as_it_is(tmp_path: Path) -> None:
    files, path = HdfsFiles(hdfs_place()), tmp_path / "large"
    path.write_bytes(LARGE)
    assert files.seal("topic/a", path)
    assert read(files, "topic/a") == LARGE


def test_of_two_namenodes_the_one_that_answers_is_used() -> None:
    place = hdfs_place()
    dead = "127.0.0.1:1"
    two = msgspec.structs.replace(place, web=[dead, *place.web], rpc=[dead, *place.rpc])
    assert HdfsFiles(two).seal("topic/a", b"one")
    assert read(HdfsFiles(two), "topic/a") == b"one"
