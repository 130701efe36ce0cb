"""Folder of a replay's results: nothing in it that nobody needs, and none after a failure."""

import json
from pathlib import Path

import pytest

from tests.support.recording import PAID, ordertide

PERSONAL = {**PAID, "customer_id": "c1", "personal": {"name": "Ada"}}
KEYS = {"keys.json", "master.key"}


def replayed(folder: Path, *events: object) -> str:
    """Output of a replay into `results`."""
    file = folder / "events.ndjson"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    ran = ordertide("replay", file, "--out", folder / "results")
    assert ran.code == 0, ran
    return ran.out + ran.err


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_there_are_keys_only_where_something_was_sealed(tmp_path: Path) -> None:
    replayed(tmp_path, PAID)
    assert not names(tmp_path / "results") & {*KEYS, "keys.json.lock"}
    replayed(tmp_path, PERSONAL)
    assert names(tmp_path / "results") >= KEYS
    replayed(tmp_path, PAID)
    assert names(tmp_path / "results") >= KEYS, "keys of an earlier replay stay"


@pytest.mark.parametrize("files", [["nowhere.ndjson"], ["folder"]])
def test_a_failed_replay_leaves_no_empty_folder(tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / name for name in files]
    ran = ordertide("replay", *paths, "--out", tmp_path / "results")
    assert ran.code == 2
    assert not (tmp_path / "results").exists()


def test_a_failed_replay_leaves_a_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert ordertide("replay", tmp_path / "nowhere", "--out", tmp_path / "results").code == 2
    assert (tmp_path / "results").is_dir()


def test_the_first_reasons_are_shown_when_all_was_rejected(tmp_path: Path) -> None:
    no_code = {name: value for name, value in PAID.items() if name != "status_code"}
    said = replayed(tmp_path, no_code, no_code, {**PAID, "status_code": "PAYD"})
    assert "3 rejected: see" in said
    assert "events.ndjson:1: " in said
    assert "events.ndjson:2: " not in said, "one of each code is enough"
    assert "events.ndjson:3: unknown_status: " in said
    assert "events.ndjson:" not in replayed(tmp_path, PAID, no_code)


def test_one_is_no_plural(tmp_path: Path) -> None:
    said = replayed(tmp_path, PAID)
    assert said.startswith("1 event, 1 order, ")
    assert replayed(tmp_path, PAID, {**PAID, "order_id": "o2"}).startswith("2 events, 2 orders, ")
