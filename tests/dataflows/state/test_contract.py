"""Contract of shard stores, run against each of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataflows.state.local.chain import MAX_DELTAS, SMALL_BYTES
from dataflows.state.store import Pointer, ShardStore
from schemas.errors import StateError
from tests.support.disks import BucketDisk, Disk, MemoryDisk, SqliteDisk
from tests.support.s3 import S3


@pytest.fixture(params=["memory", "sqlite", "bucket", "bucket, next host"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, s3: S3) -> Iterator[Disk]:
    made = disk_of(request.param, tmp_path, s3)
    yield made
    made.store.close()


def disk_of(kind: str, folder: Path, s3: S3) -> Disk:
    match kind:
        case "memory":
            return MemoryDisk()
        case "sqlite":
            return SqliteDisk(folder / "s.sqlite")
        case _:
            return BucketDisk(folder, s3.settings(), elsewhere=kind != "bucket")


def started(disk: Disk, *shards: str) -> ShardStore:
    for shard in shards:
        assert disk.store.open(shard, None) == []
    return disk.store


def committed(store: ShardStore, shard: str, *blobs: bytes) -> list[Pointer]:
    """Commit each blob by itself, the first as a base if one is requested."""
    pointers = []
    for blob in blobs:
        pointers.append(store.stage(shard, blob, base=store.wants_base(shard)))
        store.commit()
    return pointers


def test_a_resume_gives_the_base_and_the_deltas_up_to_its_pointer(disk: Disk) -> None:
    pointers = committed(started(disk, "a"), "a", b"base", b"one", b"two")
    assert disk.crash().open("a", pointers[1]) == [b"base", b"one"]


def test_an_old_base_is_not_given_back(disk: Disk) -> None:
    store = started(disk, "a")
    committed(store, "a", b"base", b"one")
    pointer = store.stage("a", b"again", base=True)
    store.commit()
    assert disk.crash().open("a", pointer) == [b"again"]


def test_what_was_not_committed_never_happened(disk: Disk) -> None:
    store = started(disk, "a")
    [kept] = committed(store, "a", b"base")
    lost = store.stage("a", b"lost", base=False, retired=[("order", b"retired")])
    store = disk.crash()
    with pytest.raises(StateError, match=f"shard a, sequence {lost.sequence}: .*run"):
        store.open("a", lost)
    assert store.open("a", kept) == [b"base"]
    assert store.retired("a", "order") is None


def test_rows_beyond_the_pointer_go(disk: Disk) -> None:
    store = started(disk, "a")
    [first] = committed(store, "a", b"base")
    late = store.stage("a", b"late", base=False, retired=[("order", b"retired")])
    store.commit()
    store = disk.crash()
    store.open("a", first)
    assert store.retired("a", "order") is None
    store.open("b", None)
    committed(store, "b", b"base")  # until a commit a crash may bring them back
    store = disk.crash()
    with pytest.raises(StateError, match="doesn't hold it"):
        store.open("a", late)


def test_a_number_given_again_by_another_run_is_told_apart(disk: Disk) -> None:
    store = started(disk, "a")
    [first] = committed(store, "a", b"base")
    lost = store.stage("a", b"lost", base=False)
    store = disk.crash()
    store.open("a", first)
    again = store.stage("a", b"other", base=False)
    store.commit()
    assert again != lost
    store = disk.crash()
    with pytest.raises(StateError, match=f"run {lost.run}"):
        store.open("a", lost)
    assert store.open("a", again) == [b"base", b"other"]


def test_the_last_three_commits_can_be_resumed_at_and_no_older_one(disk: Disk) -> None:
    pointers = committed(started(disk, "a"), "a", b"base", b"one", b"two", b"three")
    with pytest.raises(StateError, match=r"no longer kept .* resume from a newer"):
        disk.crash().open("a", pointers[0])
    assert disk.crash().open("a", pointers[1]) == [b"base", b"one"]


def test_a_resume_does_not_bring_back_what_had_gone(disk: Disk) -> None:
    pointers = committed(started(disk, "a"), "a", b"base", b"one", b"two", b"three", b"four")
    disk.crash().open("a", pointers[3])
    with pytest.raises(StateError, match="no longer kept"):
        disk.crash().open("a", pointers[1])


def test_an_idle_shard_keeps_its_pointer_however_often_others_commit(disk: Disk) -> None:
    store = started(disk, "a", "b")
    [idle] = committed(store, "a", b"idle")
    committed(store, "b", *[b"busy"] * 10)
    assert disk.crash().open("a", idle) == [b"idle"]


def test_a_fresh_start_leaves_nothing_of_the_shard_and_all_of_the_others(disk: Disk) -> None:
    store = started(disk, "a", "b")
    store.stage("a", b"a", base=True, retired=[("order", b"1")])
    kept = store.stage("b", b"b", base=True, retired=[("order", b"2")])
    store.commit()
    store = disk.crash()
    assert store.open("a", None) == []
    assert store.open("b", kept) == [b"b"]
    assert (store.retired("a", "order"), store.retired("b", "order")) == (None, b"2")
    assert store.wants_base("a")


def test_the_retired_table_shows_what_is_staged(disk: Disk) -> None:
    store = started(disk, "a")
    store.stage("a", b"", base=True, retired=[("x", b"1"), ("y", b"2")])
    store.commit()
    store.stage("a", b"", base=False, retired=[("x", None), ("z", b"3")])
    assert [store.retired("a", key) for key in "xyz"] == [None, b"2", b"3"]
    assert list(store.retired_keys("a")) == ["y", "z"]


def test_a_resume_at_an_older_pointer_sees_the_retired_table_as_it_was_then(disk: Disk) -> None:
    store = started(disk, "a")
    pointers = []
    for value in (b"first", b"second", None):
        pointers.append(store.stage("a", b"", base=True, retired=[("order", value)]))
        store.commit()
    for pointer, value in reversed(list(zip(pointers, (b"first", b"second", None), strict=True))):
        store = disk.crash()
        store.open("a", pointer)
        assert store.retired("a", "order") == value


def test_versions_of_the_retired_table_that_no_resume_can_see_go(disk: Disk) -> None:
    store = started(disk, "a")
    for number in range(10):
        store.stage("a", b"", base=True, retired=[("order", b"%d" % number)])
        store.commit()
    assert store.inspect().held[0].retired_rows == 3


def test_the_keys_of_a_large_retired_table_come_sorted_and_whole(disk: Disk) -> None:
    store = started(disk, "a")
    keys = [f"order-{number:05}" for number in range(2_500)]
    store.stage("a", b"", base=True, retired=[(key, b"x") for key in reversed(keys)])
    store.commit()
    store.stage("a", b"", base=False, retired=[("order-00999", None), ("order-99999", b"x")])
    expected = [key for key in keys if key != "order-00999"] + ["order-99999"]
    assert list(store.retired_keys("a")) == expected


def test_a_base_is_wanted_at_first_and_when_the_deltas_have_outgrown_it(disk: Disk) -> None:
    store = started(disk, "a")
    assert store.wants_base("a")
    store.stage("a", bytes(range(256)), base=True)
    assert not store.wants_base("a")
    pieces = 0
    while not store.wants_base("a"):
        pieces += 1
        store.stage("a", b"x" * 500, base=False)
    assert 0.5 * SMALL_BYTES / 628 <= pieces <= 1.5 * SMALL_BYTES / 500 + 1
    store.stage("a", b"", base=True)
    assert not store.wants_base("a")


def test_a_resumed_shard_remembers_how_long_its_chain_is(disk: Disk) -> None:
    store = started(disk, "a")
    store.stage("a", b"base", base=True)
    pointer = None
    while not store.wants_base("a"):
        pointer = store.stage("a", b"", base=False)
    store.commit()
    store = disk.crash()
    assert len(store.open("a", pointer)) <= MAX_DELTAS
    assert store.wants_base("a")


def test_a_delta_without_a_base_is_refused(disk: Disk) -> None:
    with pytest.raises(StateError, match="shard a: a delta without a base"):
        started(disk, "a").stage("a", b"", base=False)


def test_a_shard_that_is_not_open_is_refused(disk: Disk) -> None:
    with pytest.raises(StateError, match=r"shard a: not open .* open it first"):
        disk.store.stage("a", b"", base=True)


def test_a_pointer_of_another_store_is_refused(disk: Disk) -> None:
    started(disk, "a")
    foreign = Pointer("0123456789abcdef", "run", 1)
    with pytest.raises(StateError, match="shard a: its state lies in store 0123456789abcdef"):
        disk.store.open("a", foreign)


def test_a_commit_of_nothing_changes_nothing(disk: Disk) -> None:
    store = started(disk, "a")
    pointers = committed(store, "a", b"base", b"one", b"two")
    for _ in range(5):
        store.commit()
    assert disk.crash().open("a", pointers[0]) == [b"base"]


def test_the_summary_says_what_is_held(disk: Disk) -> None:
    store = started(disk, "a", "b")
    committed(store, "b", b"base", b"one")
    committed(store, "a", b"base")
    summary = store.inspect()
    assert (summary.shards, summary.sequence) == (4, 3)
    assert [(held.shard, held.oldest, held.latest, held.blobs) for held in summary.held] == [
        ("a", 3, 3, 1),
        ("b", 1, 2, 2),
    ]


def test_threads_stage_while_one_commits(disk: Disk) -> None:
    shards = [f"s{number}" for number in range(8)]
    store = started(disk, *shards)

    def work(shard: str) -> Pointer:
        pointer = store.stage(shard, f"{shard} 0".encode(), base=True)
        for number in range(1, 30):
            key, value = f"order-{number}", f"{shard} {number}".encode()
            pointer = store.stage(shard, value, base=False, retired=[(key, value)])
            assert store.retired(shard, key) == value
            if shard == "s0":
                store.commit()
        return pointer

    with ThreadPoolExecutor(len(shards)) as pool:
        pointers = dict(zip(shards, pool.map(work, shards), strict=True))
    store.commit()
    store = disk.crash()
    for shard, pointer in pointers.items():
        expected = [f"{shard} {number}".encode() for number in range(30)]
        assert store.open(shard, pointer) == expected
        assert len(list(store.retired_keys(shard))) == 29
