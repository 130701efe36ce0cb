"""Shards with any number of live orders in a store, as epochs go by."""

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from benchmarks.core import ENTRY_BYTES, Core, history_of, short_lived
from benchmarks.events import LIVE_EVENTS, START_AT, Traffic, order_id
from dataflows.core.fact import Fact
from dataflows.core.questions import Answers, Registration, number_key
from dataflows.core.resolve import Resolver
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.shard import Shard
from dataflows.core.snapshots import decode_snapshot, encode_snapshot
from dataflows.definition_files import read_rules
from dataflows.state.local.sqlite import SqliteShardStore
from dataflows.state.store import Pointer
from dataflows.track import NUMBER_SHARDS
from schemas.instants import DAY_MS
from schemas.keys import order_key

TEMPLATES = 4_000
ALL = (*NUMBER_SHARDS, *SHARDS)

encode = msgspec.msgpack.Encoder().encode


class Epoch(NamedTuple):
    """The end of one epoch; `bases` were written in it, `base_bytes` as encoded."""

    wall_s: float
    cpu_s: float
    commit_s: float
    bases: int
    base_bytes: int


class Population:
    """All shards and resolver shards with their store, filled."""

    def __init__(self, store: SqliteShardStore, orders: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.epochs = 0
        self.store = store
        table = short_lived()
        rules = read_rules(None, table)
        grown = Core()
        grown.fill(Traffic(TEMPLATES, seed, is_staggered=False))
        templates = [
            data
            for shard in grown.shards
            for data in shard.orders().values()
            if len(history_of(data)) == LIVE_EVENTS * ENTRY_BYTES  # a stuck parcel has had fewer
        ]
        self.shards = [Shard(table, rules, {}) for _ in SHARDS]
        self.resolvers = [Resolver() for _ in SHARDS]
        parts: list[list[tuple[str, bytes | None]]] = [[] for _ in SHARDS]
        for serial in range(orders):
            key = order_key("default", order_id(serial))
            parts[shard_of(key)].append((key, self.own(templates[serial % len(templates)])))
            self.register(serial)
        for shard, part, like in zip(self.shards, parts, grown.shards, strict=True):
            shard.publish(documents=False)
            base = decode_snapshot(like.snapshot(base=True))
            shard.restore([encode_snapshot(replace(base, orders=part, pending=[]))])
        self.keys = [[key for key, _ in part] for part in parts]
        self.orders = orders
        self.watermark = grown.watermark
        self.status = table.index["IN_TRANSIT"]
        self.pointers: dict[str, Pointer] = {}

    def own(self, data: bytes) -> bytes:
        """A copy of an order with hashes of its own: what repeats would be squeezed away."""
        mine = bytearray(data)
        fresh = self.rng.randbytes(8 * LIVE_EVENTS)
        for entry in range(LIVE_EVENTS):  # the history is at the end; none is shorter
            at = len(mine) - entry * ENTRY_BYTES - 8
            mine[at : at + 8] = fresh[entry * 8 : entry * 8 + 8]
        return bytes(mine)

    def scan(self, key: str) -> Fact:
        """A scan of an order's parcel that arrives now."""
        now, event_hash = self.watermark, self.rng.getrandbits(64)
        return Fact(
            key, now, now, self.status, "", "carrier:sf", f"{event_hash:x}", event_hash, raw=b"{}"
        )

    def register(self, serial: int, day: int = 0) -> None:
        """Register the two numbers of an order by an event that many days after the start."""
        at = START_AT + day * DAY_MS
        for carrier, key in numbers_of(serial):
            registration = Registration(key, order_id(serial), carrier, at, at)
            resolver = self.resolvers[shard_of(key)]
            resolver.offer([registration], [])
            resolver.register_through(at, Answers())

    def change(self, count: int) -> None:
        """Scan parcels of `count` orders drawn at random, and change a fifth as many numbers."""
        self.epochs += 1
        self.watermark += 1
        shares: list[list[Fact]] = [[] for _ in SHARDS]
        for _ in range(count):
            number = self.rng.randrange(len(SHARDS))
            keys = self.keys[number]
            shares[number].append(self.scan(keys[int(self.rng.random() * len(keys))]))
        for shard, share in zip(self.shards, shares, strict=True):
            shard.offer(share)
            shard.advance(self.watermark)
        for _ in range(count // 10):
            self.register(int(self.rng.random() * self.orders), day=self.epochs)

    def end_epoch(self) -> Epoch:
        """Stage every shard, then commit."""
        wall, cpu = time.perf_counter(), time.process_time()
        sizes = [size for size in self.staged() if size]
        staged = time.perf_counter()
        self.store.commit()
        ended = time.perf_counter()
        cpu_s = time.process_time() - cpu
        return Epoch(ended - wall, cpu_s, ended - staged, len(sizes), sum(sizes))

    def staged(self) -> Iterator[int]:
        """Stage every shard: the bytes of its base as encoded, 0 for a delta."""
        shards: list[Resolver | Shard] = [*self.resolvers, *self.shards]
        for name, shard in zip(ALL, shards, strict=True):
            base = self.store.wants_base(name)
            made = shard.snapshot(base=base)
            blob = made if isinstance(made, bytes) else encode(made)
            self.pointers[name] = self.store.stage(name, blob, base=base)
            yield len(blob) if base else 0

    def first(self) -> Epoch:
        """The first bases of all."""
        for name in ALL:
            self.store.open(name, None)
        return self.end_epoch()


def numbers_of(serial: int) -> list[tuple[str, str]]:
    """(carrier, key) of the two numbers of an order: its waybill and the ERP's."""
    waybill = number_key("default", "waybill", f"SF{serial:012d}")
    return [("sf", waybill), ("", number_key("default", "erp", f"SO-{serial:09d}"))]
