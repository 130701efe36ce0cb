"""Runs of several members in a bucket: what counts of their logs, and who may still write."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from dataflows.state.bytewax_recovery import read_recovery
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.remote.log import TakenOver
from dataflows.state.remote.records import Run
from dataflows.state.remote.run_start import Plan, begin_run, create_run, fetch_state, join_run
from dataflows.state.states import EVENTS, decode_state
from dataflows.state.store import Pointer
from schemas.settings.model import StateSettings
from tests.support.disks import SHARDS, NotingStore, objects_of, state_files_in
from tests.support.s3 import S3


class Hosts:
    """Hosts, each a folder, with members of runs in one bucket; member m has the shard `m`."""

    def __init__(self, folder: Path, settings: StateSettings) -> None:
        self.folder = folder
        self.objects = objects_of(settings)
        self.open: list[SqliteShardStore] = []

    def begin(self, host: str, members: int) -> Run:
        return begin_run(
            self.objects, state_files_in(self.folder / host), Plan(members, hosts=members)
        )

    def join(self, host: str, run: Run) -> None:
        join_run(self.objects, state_files_in(self.folder / host), run)

    def member(self, host: str, run: Run, member: int) -> NotingStore:
        """A member whose shard resumes where bytewax would let it."""
        path = self.folder / host / "shards.sqlite"
        store = NotingStore(path, self.objects, SHARDS, run, member)
        self.open.append(store)
        store.open(str(member), self.pointers(host).get(str(member)))
        return store

    def pointers(self, host: str) -> dict[str, Pointer]:
        rows = read_recovery(self.folder / host / "recovery").taken
        states = [decode_state(row.state) for row in rows if row.state and row.step != EVENTS]
        return {state.name: state.pointer for state in states}

    def held(self, host: str, shards: int) -> list[list[bytes]]:
        """Blobs that a flow on this host would get for each shard."""
        store = SqliteShardStore(self.folder / host / "shards.sqlite", SHARDS, member=0)
        pointers = self.pointers(host)
        found = [store.open(str(shard), pointers.get(str(shard))) for shard in range(shards)]
        store.close()
        return found


@pytest.fixture
def hosts(s3: S3, tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path, s3.settings())
    yield made
    for store in made.open:
        store.close()


def epoch(store: NotingStore, blob: bytes, *, base: bool = False) -> None:
    """One epoch of a member: something changed in its shard."""
    store.stage(str(store.member), blob, base=base, retired=[(blob.decode(), blob)])
    store.commit()


def two(hosts: Hosts) -> tuple[NotingStore, NotingStore]:
    """Two members on two hosts, after two epochs."""
    run = hosts.begin("a", 2)
    hosts.join("b", run)
    stores = hosts.member("a", run, 0), hosts.member("b", run, 1)
    for store in stores:
        epoch(store, b"base", base=True)
    for store in stores:
        epoch(store, b"one")
    return stores


@pytest.mark.parametrize("next_host", ["a", "b", "c"])
def test_a_run_goes_on_from_the_last_epoch_that_all_have_committed(
    hosts: Hosts, next_host: str
) -> None:
    first, _ = two(hosts)
    epoch(first, b"beyond")
    run = hosts.begin(next_host, 1)
    assert run.committed_lengths == [2, 2]
    assert hosts.held(next_host, 2) == [[b"base", b"one"]] * 2
    store = hosts.member(next_host, run, 0)
    assert store.retired("0", "one") == b"one"
    assert store.retired("0", "beyond") is None


def test_before_a_common_epoch_a_run_goes_on_from_the_beginning(hosts: Hosts) -> None:
    run = hosts.begin("a", 2)
    epoch(hosts.member("a", run, 0), b"base", base=True)
    run = hosts.begin("b", 1)
    assert run.committed_lengths == [0, 0]
    assert hosts.pointers("b") == {}
    assert hosts.held("b", 2) == [[], []]


def test_an_epoch_in_which_a_member_changes_nothing_counts_all_the_same(hosts: Hosts) -> None:
    first, second = two(hosts)
    for number in range(5):
        epoch(first, b"%d" % number)
        second.note(EVENTS, "task-00", b"", first.batches)
        second.commit()
    hosts.begin("c", 1)
    deltas = [b"%d" % number for number in range(5)]
    assert hosts.held("c", 2) == [[b"base", b"one", *deltas], [b"base", b"one"]]


@pytest.mark.parametrize("which", [0, 1])
def test_no_member_of_an_earlier_run_can_commit(hosts: Hosts, which: int) -> None:
    stores = two(hosts)
    hosts.begin("c", 2)
    with pytest.raises(TakenOver, match="another process"):
        epoch(stores[which], b"late")


def test_a_host_that_was_away_for_runs_catches_up(hosts: Hosts) -> None:
    two(hosts)
    for host in "cdc":
        run = hosts.begin(host, 2)
        for member in range(2):
            epoch(hosts.member(host, run, member), host.encode())
    run = hosts.begin("a", 2)
    hosts.join("b", run)
    expected = [[b"base", b"one", b"c", b"d", b"c"]] * 2
    assert hosts.held("a", 2) == expected
    assert hosts.held("b", 2) == expected


@pytest.mark.parametrize("next_host", ["a", "b", "c"])
def test_once_all_members_have_copies_nothing_before_their_run_is_needed(
    hosts: Hosts, next_host: str
) -> None:
    two(hosts)
    run = hosts.begin("d", 2)
    stores = [hosts.member("d", run, member) for member in range(2)]
    for number in range(8):
        for store in stores:
            epoch(store, b"%d" % number)
            if number == 5:
                store.checkpoints.make([str(store.member)])
    assert hosts.objects.runs() == [2]
    assert hosts.objects.numbers(2, 0) == [4, 5, 6, 7, 8]
    run = hosts.begin(next_host, 1)
    assert run.committed_lengths == [8, 8]
    deltas = [b"%d" % number for number in range(8)]
    assert hosts.held(next_host, 2) == [[b"base", b"one", *deltas]] * 2


def test_one_copy_of_two_lets_only_its_own_log_go(hosts: Hosts) -> None:
    first, second = two(hosts)
    for number in range(6):
        epoch(first, b"%d" % number)
        epoch(second, b"%d" % number)
    first.checkpoints.make(["0"])
    assert hosts.objects.numbers(1, 0) == [6, 7, 8]
    assert len(hosts.objects.numbers(1, 1)) == 8
    hosts.begin("c", 1)
    deltas = [b"%d" % number for number in range(6)]
    assert hosts.held("c", 2) == [[b"base", b"one", *deltas]] * 2


def test_of_two_that_begin_the_same_run_one_is_told(hosts: Hosts) -> None:
    two(hosts)
    run = hosts.begin("c", 1)
    with pytest.raises(TakenOver, match="run 2 or a later one"):
        create_run(hosts.objects, structs.replace(run, token="another"))


def test_a_state_is_fetched_as_of_the_last_common_epoch_while_the_run_goes_on(
    hosts: Hosts, tmp_path: Path
) -> None:
    first, second = two(hosts)
    epoch(first, b"beyond")
    assert fetch_state(hosts.objects, state_files_in(tmp_path / "looked-at")) == 2
    assert hosts.held("looked-at", 2) == [[b"base", b"one"]] * 2
    epoch(second, b"beyond")
