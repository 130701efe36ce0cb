"""Sealing on a local disk: a name is given once, and only to a complete file."""

import os
from pathlib import Path

import pytest

from schemas.errors import StateError
from storage_tiering.archive.files import STALE_AFTER_S, UNSEALED, FileMissing, LocalFiles


def read(files: LocalFiles, name: str) -> bytes:
    with files.open(name) as file:
        return file.read()


def test_a_sealed_file_is_listed_and_read(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    assert files.seal("topic/b.json", b"two")
    assert files.seal("topic/a.json", b"one")
    assert files.list("topic", ".json") == ["topic/a.json", "topic/b.json"]
    assert files.list("topic", ".parquet") == []
    assert read(files, "topic/a.json") == b"one"


def test_a_name_is_given_once(tmp_path: Path) -> None:
    assert LocalFiles(tmp_path).seal("topic/a", b"first")
    assert not LocalFiles(tmp_path).seal("topic/a", b"second")
    assert read(LocalFiles(tmp_path), "topic/a") == b"first"


def test_nothing_is_left_of_a_sealing_that_ended(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.seal("topic/a", b"first")
    files.seal("topic/a", b"second")
    assert not list((tmp_path / UNSEALED).iterdir())


def test_what_a_kill_left_is_never_listed_and_goes_after_a_day(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    fresh, stale = tmp_path / UNSEALED / "fresh", tmp_path / UNSEALED / "stale"
    for path in (fresh, stale):
        path.write_bytes(b"half a fi")
    long_ago = stale.stat().st_mtime - STALE_AFTER_S - 1
    os.utime(stale, (long_ago, long_ago))
    assert files.list(UNSEALED, ".parquet") == []
    LocalFiles(tmp_path)
    assert fresh.exists(), "its writer may be at work"
    assert not stale.exists()


def test_a_removed_file_is_gone_and_removing_it_again_is_nothing(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.seal("topic/a.json", b"one")
    files.remove("topic/a.json")
    files.remove("topic/a.json")
    assert files.list("topic", ".json") == []


def test_all_files_below_a_folder_are_listed_with_their_ages(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    assert (files.walk("topic"), files.ages_s("topic")) == ([], {})
    for name in ("topic/a", "topic/day=1/b", "topic/_hidden/c"):
        assert files.seal(name, b"one")
    assert files.walk("topic") == ["topic/_hidden/c", "topic/a", "topic/day=1/b"]
    assert files.list("topic", "") == ["topic/a"], "folders are no files"
    (age_s,) = files.ages_s("topic").values()
    assert -60 < age_s < 60


def test_a_file_is_moved_once_and_never_over_another(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.seal("topic/a", b"one")
    files.seal("topic/b", b"two")
    files.move("topic/a", "topic/a")
    files.move("topic/a", "topic/day=1/c")
    files.move("topic/a", "topic/day=1/c")  # done again
    files.move("topic/b", "topic/day=1/c")
    assert files.walk("topic") == ["topic/b", "topic/day=1/c"]
    assert read(files, "topic/day=1/c") == b"one"
    with pytest.raises(FileMissing):
        files.open("topic/a")


def test_a_move_that_a_kill_has_left_half_done_is_completed(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.seal("topic/a", b"one")
    files.seal("topic/day=1/b", b"of another")
    os.link(tmp_path / "topic/a", tmp_path / "topic/day=1/c")
    files.move("topic/a", "topic/day=1/c")
    assert files.walk("topic") == ["topic/day=1/b", "topic/day=1/c"]


def test_a_local_file_is_sealed_as_it_is(tmp_path: Path) -> None:
    files, path = LocalFiles(tmp_path / "archive"), tmp_path / "large"
    path.write_bytes(b"x" * 3_000_000)
    assert files.seal("topic/a", path)
    assert read(files, "topic/a") == path.read_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"archive topic/a\.json: No such file"):
        LocalFiles(tmp_path).open("topic/a.json")
