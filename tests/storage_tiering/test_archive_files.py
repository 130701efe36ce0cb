"""Sealing on a local disk: a name is given once, and only to a complete file."""

import os
from pathlib import Path

import pytest

from schemas.errors import StateError
from storage_tiering.archive.files import STALE_AFTER_S, UNSEALED, LocalFiles


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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"archive topic/a\.json: No such file"):
        LocalFiles(tmp_path).open("topic/a.json")
