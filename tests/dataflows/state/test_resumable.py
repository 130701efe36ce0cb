"""Whatever was staged, committed and killed: each of the last three pointers can be resumed at."""

import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import Pointer

SHARDS = ("a", "b", "c")
KEYS = ("k1", "k2")

# An epoch: which shards change, whether each requests a base or forces one, what it puts in the
# retired; and how it ends: committed, killed before the commit, or killed after it.
EPOCHS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from(SHARDS),
            st.tuples(
                st.booleans(),
                st.integers(0, 3_000),
                st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=3)),
            ),
        ),
        st.sampled_from(["commit", "commit", "commit", "kill", "commit and kill"]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=25,
)


class ResumePoint(NamedTuple):
    """A committed pointer, and what a resume at it has to give."""

    pointer: Pointer
    blobs: list[bytes]
    retired: dict[str, bytes]


class Flow:
    """User of the store: it resumes all shards at their pointers of one commit or another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteShardStore(path, 64)
        self.points: dict[str, deque[ResumePoint]] = {shard: deque(maxlen=3) for shard in SHARDS}
        self.staged: dict[str, ResumePoint] = {}
        self.number = 0
        for shard in SHARDS:
            self.store.open(shard, None)

    def stage(
        self, shard: str, size: int, retired: dict[str, bytes | None], *, forced: bool
    ) -> None:
        last = self.points[shard][-1] if self.points[shard] else None
        self.number += 1
        blob = b"%d " % self.number * (size + 1)
        base = self.store.wants_base(shard) or forced
        pointer = self.store.stage(shard, blob, base=base, retired=list(retired.items()))
        before = last.blobs if last and not base else []
        rows = {**(last.retired if last else {}), **retired}
        kept = {key: value for key, value in rows.items() if value is not None}
        self.staged[shard] = ResumePoint(pointer, [*before, blob], kept)

    def commit(self) -> None:
        self.store.commit()
        for shard, point in self.staged.items():
            self.points[shard].append(point)
        self.staged = {}

    def kill(self, back: int) -> None:
        """Lose what isn't committed, and resume each shard `back` commits before its last."""
        self.store.close()
        self.store = SqliteShardStore(self.path, 64)
        self.staged = {}
        for shard, points in self.points.items():
            for _ in range(min(back, len(points) - 1)):
                points.pop()
            self.store.open(shard, points[-1].pointer if points else None)

    def check(self) -> None:
        """Resume a copy of the file at every pointer that is kept."""
        for shard, points in self.points.items():
            for point in points:
                with tempfile.TemporaryDirectory() as folder:
                    copy = Path(folder) / "s.sqlite"
                    for file in self.path.parent.glob(f"{self.path.name}*"):
                        shutil.copy(file, copy.with_name(file.name))
                    store = SqliteShardStore(copy, 64)
                    assert store.open(shard, point.pointer) == point.blobs
                    assert {
                        key: store.retired(shard, key) for key in store.retired_keys(shard)
                    } == (point.retired)
                    store.close()


@settings(max_examples=40)
@given(epochs=EPOCHS)
def test_each_of_the_last_three_pointers_can_be_resumed_at(
    epochs: list[tuple[dict[str, tuple[bool, int, dict[str, bytes | None]]], str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        flow = Flow(Path(folder) / "s.sqlite")
        for changes, end, back in epochs:
            for shard, (forced, size, retired) in changes.items():
                flow.stage(shard, size, retired, forced=forced)
            if end != "kill":
                flow.commit()
            if end != "commit":
                flow.kill(back)
        flow.check()
        flow.store.close()
