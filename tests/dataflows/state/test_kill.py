"""kill -9: what was committed is there, and what was not is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import Pointer
from schemas.errors import StateError
from tests.support.committer import SHARDS, content

ROOT = Path(__file__).resolve().parents[3]


def killed_after(path: Path, lines: int) -> list[str]:
    """Output of a committing process until it was killed, at a line's end or a little later."""
    command = [sys.executable, "-m", "tests.support.committer", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        return [*printed, *process.stdout.readlines()]


def last(printed: list[str], word: str) -> tuple[int, list[Pointer]]:
    """(epoch, pointers) of the last line that begins with `word`."""
    _, epoch, *names = next(line for line in reversed(printed) if line.startswith(word)).split()
    parts = [name.split("/") for name in names]
    return int(epoch), [Pointer(store, run, int(number)) for store, run, number in parts]


@pytest.mark.parametrize("lines", [2, 3, 8, 21, 40, 61])
def test_a_kill_loses_nothing_committed_and_keeps_nothing_else(lines: int, tmp_path: Path) -> None:
    path = tmp_path / "shards.sqlite"
    printed = killed_after(path, lines)
    epoch, pointers = last(printed, "committed")
    latest, staged = last(printed, "staged")
    store = SqliteShardStore(path, 64)
    try:
        if latest > epoch and store.inspect().sequence >= staged[-1].sequence:
            epoch, pointers = latest, staged  # killed after its commit, before it could report it
        for shard, pointer in zip(SHARDS, pointers, strict=True):
            first = epoch - (epoch - 1) % 10
            expected = [content(shard, number) for number in range(first, epoch + 1)]
            assert store.open(shard, pointer) == expected
            assert store.retired(shard, "latest") == b"%d" % epoch
            assert len(list(store.retired_keys(shard))) == epoch + 1
        if latest > epoch:
            with pytest.raises(StateError, match="doesn't hold it"):
                store.open(SHARDS[0], staged[0])
    finally:
        store.close()
