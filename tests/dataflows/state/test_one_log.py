"""A bucket that an older version wrote: one log, bytewax's recovery files in every commit."""

from pathlib import Path

import pytest
import zstandard

from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.bytewax_recovery_files import write_recovery
from dataflows.state.local.reader import StateReader
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.remote.checkpoints import parts
from dataflows.state.remote.log import Journal
from dataflows.state.remote.one_log import OldEnd, OldEntry, OldOwner, log_name, look
from dataflows.state.remote.records import Change, sealed
from dataflows.state.remote.run_start import Plan, begin_run, fetch_state
from dataflows.state.states import TRACK, StepState, decode_state, encode_state
from dataflows.state.store import Pointer
from tests.support.disks import SHARDS, NotingStore, journal_of, place_in
from tests.support.s3 import S3


class OldFlow:
    """Flow of an older version: a shard `a`, a commit an epoch."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self.journal = journal
        self.store = SqliteShardStore(folder / "shards.sqlite", SHARDS)
        self.store.open("a", None)
        self.previous = -1
        self.put("store", OldOwner(1, self.store.meta.store, SHARDS))

    def put(self, name: str, content: OldOwner | OldEntry | OldEnd) -> None:
        assert self.journal.create(name, sealed(name, content))

    def commit(self, blob: bytes) -> Pointer:
        pointer = self.store.stage("a", blob, base=blob == b"base", cold=[(blob.decode(), blob)])
        state = encode_state(StepState("a", pointer, {}))
        write_recovery(self.folder / "recovery", {(TRACK, "a"): state})
        file = (self.folder / "recovery" / "part-0.sqlite3").read_bytes()
        change = Change(
            "a",
            self.previous,
            [(*blob,) for blob in self.store.staged.blobs["a"]],
            [(*row,) for row in self.store.staged.rows["a"]],
        )
        self.store.commit()
        number = self.store.meta.commits
        pointers = {"part-0.sqlite3": zstandard.compress(file)}
        entry = OldEntry(
            1,
            self.store.meta.store,
            number,
            self.store.run,
            "old",
            self.store.sequence,
            [change],
            pointers,
        )
        self.put(log_name(number), entry)
        self.previous = pointer.sequence
        return pointer

    def copy(self) -> None:
        reader = StateReader(self.store.path)
        folder = f"copies/{reader.meta.commits:012}-first"
        [part] = parts(reader, ["a"])
        reader.close()
        assert self.journal.create(f"{folder}/000000", sealed(f"{folder}/000000", part))
        meta = self.store.meta
        end = OldEnd(1, meta.store, 1, 100, self.store.sequence, meta.commits, "first")
        self.put(f"{folder}/end", end)


@pytest.fixture
def old(s3: S3, tmp_path: Path) -> OldFlow:
    return OldFlow(tmp_path / "old", journal_of(s3.settings()))


def resumed(folder: Path, journal: Journal) -> tuple[NotingStore, list[bytes]]:
    place = place_in(folder)
    run = begin_run(journal, place, Plan(1))
    [row] = read_recovery(place.recovery).taken
    store = NotingStore(place.path, journal, SHARDS, run)
    return store, store.open("a", decode_state(row.state or b"").pointer)


@pytest.mark.parametrize("host", ["old", "new"])
@pytest.mark.parametrize("copied_after", [0, 2, 4])
def test_a_bucket_of_an_older_version_goes_on_and_is_ended_for_it(
    copied_after: int, host: str, old: OldFlow, tmp_path: Path
) -> None:
    blobs = [b"base", b"one", b"two", b"three"]
    for number, blob in enumerate(blobs, start=1):
        old.commit(blob)
        if number == copied_after:
            old.copy()
            old.journal.remove([log_name(before) for before in range(1, number)])
    old.store.close()
    store, found = resumed(tmp_path / host, old.journal)
    assert found == blobs
    assert store.cold("a", "two") == b"two"
    store.stage("a", b"four", base=False)
    store.commit()
    store.close()
    assert old.journal.names("log") == [log_name(5)], "which an older version refuses"
    store, found = resumed(tmp_path / "third", old.journal)
    assert found == [*blobs, b"four"]
    store.close()


def test_an_old_bucket_can_be_looked_at_without_a_change(old: OldFlow, tmp_path: Path) -> None:
    old.commit(b"base")
    old.commit(b"one")
    old.store.close()
    assert fetch_state(old.journal, place_in(tmp_path / "looked-at")) == 2
    assert look(old.journal).last == 2
    assert old.journal.owner() is None
