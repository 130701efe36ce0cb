"""Commits epochs for ever and reports each in a line: the process that test_kill.py kills."""

import sys
from pathlib import Path

from dataflows.state.local.sqlite import SqliteShardStore

SHARDS = ("s1", "s2", "s3")


def content(shard: str, epoch: int) -> bytes:
    return f"{shard} in epoch {epoch}; ".encode() * (epoch * 7 % 200 + 1)


def main(path: Path) -> None:
    store = SqliteShardStore(path, 64)
    for shard in SHARDS:
        store.open(shard, None)
    epoch = 0
    while True:
        epoch += 1
        pointers = [
            store.stage(
                shard,
                content(shard, epoch),
                base=epoch % 10 == 1,
                retired=[(f"order-{epoch}", content(shard, epoch)), ("latest", b"%d" % epoch)],
            )
            for shard in SHARDS
        ]
        names = " ".join(f"{each.store}/{each.run}/{each.sequence}" for each in pointers)
        print(f"staged {epoch} {names}", flush=True)
        store.commit()
        print(f"committed {epoch} {names}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
