"""Any sequence of stages, commits, crashes and resumes gives what an obvious model gives."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dataflows.state.store import Pointer
from tests.support.disks import Disk, MemoryDisk, SqliteDisk

SHARDS = st.sampled_from(["a", "b"])
KEYS = ["k1", "k2", "k3"]
BLOBS = st.binary(max_size=20) | st.binary(min_size=1, max_size=9).map(lambda part: part * 500)
RETIRED = st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=9), max_size=3)

# What a shard is at a pointer: its blobs from the last base on, and its retired orders.
State = tuple[list[bytes], dict[str, bytes]]
EMPTY: State = ([], {})


class ShardModel:
    """One shard: what it is now, what is staged, and the last three commits."""

    def __init__(self) -> None:
        self.now = EMPTY
        self.staged: list[tuple[Pointer, State]] = []
        self.commits: list[list[tuple[Pointer, State]]] = []

    def stage(
        self, pointer: Pointer, blob: bytes, *, base: bool, retired: dict[str, bytes | None]
    ) -> None:
        blobs = [blob] if base else [*self.now[0], blob]
        rows = {**self.now[1], **retired}
        self.now = (blobs, {key: value for key, value in rows.items() if value is not None})
        self.staged.append((pointer, self.now))

    def commit(self) -> None:
        if self.staged:
            self.commits = [*self.commits, self.staged][-3:]
            self.staged = []

    def resumable(self) -> list[tuple[Pointer | None, State]]:
        return [(None, EMPTY), *(point for commit in self.commits for point in commit)]

    def resume(self, pointer: Pointer | None, state: State) -> None:
        self.staged = []
        self.now = state
        until = pointer.sequence if pointer else -1
        cut = [[point for point in commit if point[0].sequence <= until] for commit in self.commits]
        self.commits = [commit for commit in cut if commit]


class StoreMachine(RuleBasedStateMachine):
    disk: Disk

    def make(self) -> Disk:
        return MemoryDisk()

    def __init__(self) -> None:
        super().__init__()
        self.disk = self.make()
        self.models = {shard: ShardModel() for shard in ("a", "b")}
        for shard in self.models:
            self.disk.store.open(shard, None)

    @rule(shard=SHARDS, blob=BLOBS, base=st.booleans(), retired=RETIRED)
    def stage(
        self, shard: str, blob: bytes, *, base: bool, retired: dict[str, bytes | None]
    ) -> None:
        model = self.models[shard]
        base = base or not model.now[0]
        pointer = self.disk.store.stage(shard, blob, base=base, retired=list(retired.items()))
        model.stage(pointer, blob, base=base, retired=retired)

    @rule()
    def commit(self) -> None:
        self.disk.store.commit()
        for model in self.models.values():
            model.commit()

    @rule(parts=st.lists(st.tuples(BLOBS, st.booleans(), RETIRED), min_size=1, max_size=5))
    def epochs(self, parts: list[tuple[bytes, bool, dict[str, bytes | None]]]) -> None:
        for blob, base, retired in parts:
            for shard in self.models:
                self.stage(shard=shard, blob=blob, base=base, retired=retired)
            self.commit()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.disk.crash()
        for shard in self.models:
            self.resume(shard, data)

    @rule(shard=SHARDS, data=st.data())
    def reopen(self, shard: str, data: st.DataObject) -> None:
        self.resume(shard, data)

    def resume(self, shard: str, data: st.DataObject) -> None:
        model = self.models[shard]
        points = model.resumable()
        chosen = data.draw(st.integers(0, len(points) - 1), label=f"{shard} resumes at")
        pointer, state = points[-1 - chosen]  # shrinks towards the latest
        assert self.disk.store.open(shard, pointer) == state[0]
        model.resume(pointer, state)

    @invariant()
    def the_retired_table_is_what_the_model_says(self) -> None:
        for shard, model in self.models.items():
            _, retired = model.now
            assert list(self.disk.store.retired_keys(shard)) == sorted(retired)
            assert {key: self.disk.store.retired(shard, key) for key in KEYS} == {
                key: retired.get(key) for key in KEYS
            }

    def teardown(self) -> None:
        self.disk.store.close()


class SqliteMachine(StoreMachine):
    def make(self) -> Disk:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteDisk(Path(self.folder.name) / "s.sqlite")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemoryStoreEqualsTheModel = StoreMachine.TestCase
TestMemoryStoreEqualsTheModel.settings = settings(max_examples=60, stateful_step_count=40)
TestSqliteStoreEqualsTheModel = SqliteMachine.TestCase
TestSqliteStoreEqualsTheModel.settings = settings(max_examples=20, stateful_step_count=30)
