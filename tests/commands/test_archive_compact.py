"""`ordertide archive compact`, and the compaction beside the archive's writer."""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.main import cli
from commands.wiring.archive_compaction import WriterCompaction, compacting
from schemas.errors import Stopped
from schemas.instants import DAY_MS, HOUR_MS
from schemas.settings.model import Settings, read_settings
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.opening import open_archive, open_compaction
from storage_tiering.tier import Partition
from tests.support.tiers.archive_files import data_files, flip, manifest_files
from tests.support.tiers.orders import START, Log, accepted, document
from tests.support.waiting import wait_until

FILES_A_DAY = 4


class Place:
    """Settings of an archive with some files a day and topic, of which the first two have ended."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.root = folder / "archive"
        self.path = folder / "ordertide.toml"
        self.path.write_text(f'[archive]\nfolder = "{self.root}"\n{more}', "utf-8")
        self.settings: Settings = read_settings(self.path)
        tier, log = open_archive(self.settings), Log()
        for number in range(3 * FILES_A_DAY):
            at = START + number // FILES_A_DAY * DAY_MS + number % FILES_A_DAY * HOUR_MS
            tier.write_orders(log.changes(document("o1", number + 1, at)))
            tier.write_events(log.events(accepted("o1", str(number), at)))
            tier.flush(force=True)
        tier.close()

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            cli, ["archive", "compact", "--settings", str(self.path), *arguments]
        )

    def stems(self, topic: str = ORDERS_EVENTS) -> Sequence[str]:
        return [path.stem for path in data_files(self.root, topic) if "merged" in path.stem]

    def is_whole(self) -> bool:
        return not list(open_archive(self.settings).verify())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_command_merges_what_is_due_and_says_so(place: Place) -> None:
    result = place.run()
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("merged: orders.changes [0] 2017-10-02: 4 files, 4 rows, ")
    assert " KiB became " in lines[0]
    assert len(place.stems()) == len(place.stems(ORDERS_CHANGES)) == 2
    assert place.is_whole()
    again = place.run()
    assert (again.exit_code, again.output) == (0, "nothing to merge\n")


def test_a_plan_changes_nothing(place: Place) -> None:
    result = place.run("--plan")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "4 merges due"
    assert "orders.events [0] 2017-10-03: 4 files, 4 rows, " in result.output
    assert place.stems() == []


def test_a_damaged_file_is_named_and_the_exit_code_is_one(place: Place) -> None:
    path = data_files(place.root, ORDERS_EVENTS)[0]
    flip(path)
    result = place.run()
    assert result.exit_code == 1
    assert (
        f"not merged: orders.events [0] 2017-10-02: 4 files: archive manifest {ORDERS_EVENTS}/"
        in (result.output)
    )
    assert "archive verify --repair" in result.output
    assert len(place.stems(ORDERS_CHANGES)) == 2, "the other topic is merged"


def test_merged_files_go_when_they_were_kept_long_enough(tmp_path: Path) -> None:
    place = Place(tmp_path, 'keep_replaced = "0s"\n')
    assert len(manifest_files(place.root, ORDERS_EVENTS)) == 12
    result = place.run()
    assert result.output.splitlines()[-1] == "16 files that had been merged earlier deleted"
    assert len(manifest_files(place.root, ORDERS_EVENTS)) == 2 + FILES_A_DAY
    assert place.is_whole()


def test_an_interrupted_merge_leaves_nothing_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def interrupt(rows: int) -> None:
        if rows:
            assert list(scratch.iterdir())
            raise KeyboardInterrupt

    compaction = open_compaction(place.settings)
    with pytest.raises(KeyboardInterrupt):
        list(compaction.run(compaction.plan(), interrupt))
    assert list(scratch.iterdir()) == []
    assert place.stems() == []
    assert place.is_whole()


def test_the_help_has_examples() -> None:
    result = CliRunner().invoke(cli, ["archive", "compact", "--help"])
    assert "ordertide archive compact --plan --settings ordertide.toml" in result.output


def test_a_writer_merges_files_of_its_own_partitions(place: Place) -> None:
    owned: list[Partition] = [(ORDERS_CHANGES, 0), (ORDERS_EVENTS, 1)]
    WriterCompaction(open_compaction(place.settings), lambda: owned).step()
    assert (len(place.stems(ORDERS_CHANGES)), len(place.stems())) == (2, 0)
    assert place.is_whole()


def test_a_writer_that_stops_ends_a_merge_at_once(place: Place) -> None:
    compaction = WriterCompaction(open_compaction(place.settings), lambda: [(ORDERS_CHANGES, 0)])
    compaction.stop()
    with pytest.raises(Stopped):
        compaction.step()
    assert place.stems(ORDERS_CHANGES) == []
    assert place.is_whole()


def test_a_writer_compacts_in_the_background_until_it_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.wiring.archive_compaction.FIRST_AFTER_S", 0.0)
    with compacting(place.settings, lambda: [(ORDERS_EVENTS, 0)]):
        wait_until(lambda: len(place.stems()) == 2, "the merges")
    assert "compaction" not in {thread.name for thread in threading.enumerate()}


def test_a_writer_compacts_nothing_where_the_settings_say_so(tmp_path: Path) -> None:
    place = Place(tmp_path, "compact = false\n")
    with compacting(place.settings, lambda: [(ORDERS_EVENTS, 0)]):
        assert "compaction" not in {thread.name for thread in threading.enumerate()}
