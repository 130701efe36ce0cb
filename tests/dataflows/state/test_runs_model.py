"""Whatever members commit, copy and lose: a run resumes at the last epoch that all committed."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.remote.records import Run
from dataflows.state.remote.run_start import Plan, begin_run, join_run
from dataflows.state.states import EVENTS, decode_state
from tests.support.disks import SHARDS, NotingStore, objects_of, state_files_in
from tests.support.s3 import S3

NAMES = ("a", "b", "c", "d")
HOSTS = 3


class Epoch(NamedTuple):
    """The shards that change (with a base or not), and who makes a copy after it."""

    changes: dict[str, bool]
    copied_by: int | None


class Life(NamedTuple):
    """A run: its members on two hosts, its epochs, and how many committed one more that is lost."""

    members: int
    hosts: tuple[int, int]
    epochs: list[Epoch]
    beyond: int


EPOCHS = st.builds(
    Epoch, st.dictionaries(st.sampled_from(NAMES), st.booleans()), st.none() | st.integers(0, 2)
)
LIVES = st.lists(
    st.builds(
        Life,
        st.integers(1, 3),
        st.tuples(st.integers(0, HOSTS - 1), st.integers(0, HOSTS - 1)),
        st.lists(EPOCHS, max_size=6),
        st.integers(0, 2),
    ),
    min_size=2,
    max_size=6,
)


class Flow:
    """Actions of all members of a run, and the expected content of each shard."""

    def __init__(self, folder: Path, s3: S3) -> None:
        self.folder = folder
        self.objects = objects_of(s3.settings())
        self.held: dict[str, list[bytes]] = {name: [] for name in NAMES}
        self.number = 0

    def begin(self, life: Life) -> list[NotingStore]:
        """A run, with its first member on one host and the others on another."""
        first, second = (self.folder / f"host-{number}" for number in life.hosts)
        run = begin_run(self.objects, state_files_in(first), Plan(life.members))
        if second != first:
            join_run(self.objects, state_files_in(second), run)
        return [
            self.member(second if member else first, run, member) for member in range(life.members)
        ]

    def member(self, folder: Path, run: Run, member: int) -> NotingStore:
        """One that opens its shards as bytewax would let it, and finds what it should."""
        rows = read_recovery(folder / "recovery").taken
        states = [decode_state(row.state) for row in rows if row.state and row.step != EVENTS]
        pointers = {state.name: state.pointer for state in states}
        store = NotingStore(state_files_in(folder).path, self.objects, SHARDS, run, member)
        for name in shards_of(member, run.members):
            assert store.open(name, pointers.get(name)) == self.held[name]
            assert len(list(store.retired_keys(name))) == len(self.held[name])
        return store

    def stage(self, store: NotingStore, name: str, *, base: bool) -> list[bytes]:
        """Stage what comes next in a shard; what it holds then."""
        self.number += 1
        blob = b"%d" % self.number
        base = base or not self.held[name]
        gone = [(key, None) for key in store.retired_keys(name)] if base else []
        store.stage(name, blob, base=base, retired=[*gone, (blob.decode(), blob)])
        return [blob] if base else [*self.held[name], blob]

    def epoch(self, stores: list[NotingStore], epoch: Epoch, committing: int) -> None:
        """An epoch that the first `committing` members commit; it counts if that is all."""
        found = dict(self.held)
        for store in stores:
            store.note(EVENTS, f"task-{store.member:02}", b"", store.batches + 1)
            for name in shards_of(store.member, len(stores)):
                if name in epoch.changes:
                    found[name] = self.stage(store, name, base=epoch.changes[name])
        for store in stores[:committing]:
            store.commit()
        if committing == len(stores):
            self.held = found

    def live(self, life: Life) -> None:
        """A run from its beginning to its being killed."""
        stores = self.begin(life)
        for epoch in life.epochs:
            self.epoch(stores, epoch, len(stores))
            if epoch.copied_by is not None and epoch.copied_by < len(stores):
                store = stores[epoch.copied_by]
                store.checkpoints.make(list(store.chains))
        everything = Epoch(dict.fromkeys(NAMES, False), None)
        self.epoch(stores, everything, min(life.beyond, len(stores) - 1))
        for store in stores:
            store.close()


def shards_of(member: int, members: int) -> tuple[str, ...]:
    """Which shards live in a member."""
    return NAMES[member::members]


@pytest.mark.timeout(300)
@settings(max_examples=12)
@given(lives=LIVES)
def test_every_run_goes_on_from_what_all_members_had_committed(s3: S3, lives: list[Life]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flow = Flow(Path(folder), s3)
        for life in lives:
            flow.live(life)
        for store in flow.begin(Life(1, (0, 0), [], 0)):
            store.close()
