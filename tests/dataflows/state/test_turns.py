"""Bases are spread: an epoch writes a few, none waits for ever, and every chain ends."""

import random
from pathlib import Path

import pytest

from dataflows.core.routing import SHARDS
from dataflows.state.local.base_scheduler import BASES_BYTES, BaseTurns
from dataflows.state.local.memory import MemoryShardStore
from dataflows.track import NUMBER_SHARDS
from tests.support.disks import MemoryDisk, SqliteDisk

ALL = (*NUMBER_SHARDS, *SHARDS)
LARGE = BASES_BYTES // 2 + 1  # two don't fit into one epoch


def granted(turns: BaseTurns, asking: tuple[str, ...], size_bytes: int) -> list[str]:
    """Shards that request a base and may write it; each of them writes."""
    found = [shard for shard in asking if turns.ask(shard, size_bytes)]
    for shard in found:
        turns.wrote(shard, size_bytes)
    turns.end_epoch()
    return found


def test_of_128_shards_that_want_a_base_at_once_one_large_one_is_written_an_epoch() -> None:
    turns = BaseTurns()
    epochs = [granted(turns, ALL, LARGE) for _ in ALL]
    assert [len(found) for found in epochs] == [1] * 128
    assert {found[0] for found in epochs} == set(ALL)


def test_an_epoch_writes_as_many_small_bases_as_fit() -> None:
    turns = BaseTurns()
    epochs = [granted(turns, ALL, BASES_BYTES // 20) for _ in range(7)]
    assert [len(found) for found in epochs] == [20] * 7
    assert {shard for found in epochs for shard in found} == set(ALL)


def test_a_base_larger_than_all_room_is_written_all_the_same() -> None:
    turns = BaseTurns()
    assert granted(turns, ("a", "b"), 10 * BASES_BYTES) == ["a"]
    assert granted(turns, ("a", "b"), 10 * BASES_BYTES) == ["b"]


def test_shards_that_ask_first_in_every_epoch_do_not_push_others_back() -> None:
    turns = BaseTurns()
    asking = ("early", "middle", "late")
    found = [granted(turns, asking, LARGE)[0] for _ in range(9)]
    assert {shard: found.count(shard) for shard in asking} == dict.fromkeys(asking, 3)


def test_an_idle_shard_holds_its_turn_for_two_commits_and_no_longer() -> None:
    turns = BaseTurns()
    turns.ask("busy", LARGE)
    turns.ask("idle", LARGE)
    turns.wrote("busy", LARGE)
    turns.end_epoch()  # now it is the idle one's turn
    assert not turns.ask("busy", LARGE)
    turns.end_epoch()
    assert not turns.ask("busy", LARGE)
    turns.end_epoch()
    assert turns.ask("busy", LARGE)


def test_a_second_commit_in_an_epoch_takes_nobodys_turn() -> None:
    turns = BaseTurns()
    assert turns.ask("a", LARGE)
    assert not turns.ask("b", LARGE)
    turns.wrote("a", LARGE)
    turns.end_epoch()
    turns.end_epoch()  # of another worker's sink in the same process
    assert turns.ask("b", LARGE)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_shards_that_grow_alike_never_write_their_bases_together(kind: str, tmp_path: Path) -> None:
    disk = MemoryDisk() if kind == "memory" else SqliteDisk(tmp_path / "s.sqlite")
    store = disk.store
    shards = [f"s{number}" for number in range(32)]
    incompressible = random.Random(7).randbytes(400_000)
    for shard in shards:
        store.open(shard, None)
        store.stage(shard, incompressible, base=True)
    store.commit()
    bases = []
    for _ in range(40):
        wanted = [store.wants_base(shard) for shard in shards]
        for shard, base in zip(shards, wanted, strict=True):
            store.stage(shard, incompressible if base else incompressible[:100_000], base=base)
        store.commit()
        bases.append(sum(wanted))
    fit = BASES_BYTES // 400_000
    assert max(bases) <= fit + 2  # a base is estimated by its deltas, which have outgrown it
    assert sum(bases) > 3 * len(shards)
    store.close()


def test_the_chain_of_a_shard_ends_while_all_others_want_a_base_too() -> None:
    store = MemoryShardStore(64)
    shards, base_blob, delta_blob = ALL[:32], b"x" * LARGE, b"x" * (LARGE // 16)
    for shard in shards:
        store.open(shard, None)
        store.stage(shard, base_blob, base=True)
    store.commit()
    deltas, longest = dict.fromkeys(shards, 0), 0
    for _ in range(3 * len(shards)):
        for shard in shards:
            base = store.wants_base(shard)
            deltas[shard] = 0 if base else deltas[shard] + 1
            store.stage(shard, base_blob if base else delta_blob, base=base)
        store.commit()
        longest = max(longest, *deltas.values())
    assert longest <= len(shards) + 2 * 16
