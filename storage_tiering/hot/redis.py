"""The hot tier: Redis, one hash per order, expired on the stream clock."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from schemas.instants import DAY_MS, HOUR_MS
from schemas.keys import order_key
from storage_tiering.hot.answers import answers
from storage_tiering.hot.layout import (
    RECORDS_PER_SCRIPT,
    SLOTS,
    Entry,
    SlotKeys,
    event_entry,
    events_in,
    order_entry,
    script_calls,
    slot_of,
)
from storage_tiering.records import ACCEPTED, DOCUMENT
from storage_tiering.tier import Counts, EventRecord, Found, OrderRecord, Tier, by_time

PUT = files("storage_tiering.hot").joinpath("put.lua").read_text()
EVENTS = files("storage_tiering.hot").joinpath("events.lua").read_text()
SWEEP = files("storage_tiering.hot").joinpath("sweep.lua").read_text()


class HotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much is kept: `keep_ms` of stream time, the newest events of an order.

    `safety_ttl_ms` is wall time since the last write: it frees the memory when no writer is left
    to expire. None for recorded history, whose clock has nothing to do with Redis's.
    """

    prefix: str = "ordertide:"
    keep_ms: int = 72 * HOUR_MS
    events_kept: int = 200
    safety_ttl_ms: int | None = 7 * DAY_MS


def connect(url: str, *, timeout_s: float = 5.0) -> "Redis":
    """A client that says no soon instead of trying for long: who writes knows how to wait."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),  # once: a connection may have been closed while idle
    )


class RedisTier(Tier):
    """Orders in Redis or a Redis Cluster, each found in one round trip."""

    name = "hot"

    def __init__(self, client: "Redis | RedisCluster", settings: HotSettings | None = None) -> None:
        self.client = client
        self.settings = settings or HotSettings()
        self._progress = f"{self.settings.prefix}progress"
        self._slots = [SlotKeys(self.settings.prefix, slot) for slot in range(SLOTS)]

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        self._run(PUT, (self._ttl_ms,), map(order_entry, batch))

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        self._run(EVENTS, (self._ttl_ms, self.settings.events_kept), map(event_entry, batch))

    def flush(self, *, force: bool = False) -> bool:
        return True

    def find(self, tenant: str, order_id: str) -> Found | None:
        key = order_key(tenant, order_id)
        with answers(), self.client.pipeline(transaction=False) as pipe:
            pipe.zscore(self._progress, "through")  # first, so that it never says too much
            pipe.hgetall(self._slots[slot_of(key)].order(key))
            through, fields = pipe.execute()
        if b"document" not in fields:
            return None
        return Found(
            document=DOCUMENT.decode(fields[b"document"]),
            timeline=by_time([ACCEPTED.decode(data) for data in events_in(fields)]),
            through=None if through is None else int(through),
        )

    def expire(self, through_ms: int) -> None:
        limit_ms = through_ms - self.settings.keep_ms
        indexes = [(slot, index) for slot in self._slots for index in (slot.changed, slot.loose)]
        with answers(), self.client.pipeline(transaction=False) as pipe:
            for _, index in indexes:
                pipe.zrangebyscore(index, "-inf", limit_ms)
            outdated = pipe.execute()
            for (slot, index), members in zip(indexes, outdated, strict=True):
                self._sweep(slot, index, limit_ms, members)
            pipe.zadd(self._progress, {"through": through_ms}, gt=True)
            pipe.execute()

    def counts(self) -> Counts:
        orders = events = size_bytes = 0
        for slot in self._slots:
            for has_document, fields, used_bytes in self._measure(slot):
                orders += has_document
                events += fields - 2 * has_document
                size_bytes += used_bytes
        return Counts(orders=orders, events=events, size_bytes=size_bytes)

    def close(self) -> None:
        self.client.close()

    @property
    def _ttl_ms(self) -> int:
        return self.settings.safety_ttl_ms or 0

    def _run(self, script: str, settings: tuple[int, ...], entries: Iterable[Entry]) -> None:
        with answers(), self.client.pipeline(transaction=False) as pipe:
            for number, called in script_calls(entries):
                slot = self._slots[number]
                keys = [slot.changed, slot.loose, *(slot.order(entry.key) for entry in called)]
                arguments = [argument for entry in called for argument in entry.arguments]
                pipe.eval(script, len(keys), *keys, *settings, *arguments)
            pipe.execute()

    def _sweep(self, slot: SlotKeys, index: str, limit_ms: int, members: list[bytes]) -> None:
        for start in range(0, len(members), RECORDS_PER_SCRIPT):
            part = members[start : start + RECORDS_PER_SCRIPT]
            keys = [index, *(slot.order(member.decode()) for member in part)]
            with self.client.pipeline(transaction=False) as pipe:
                pipe.eval(SWEEP, len(keys), *keys, limit_ms, *part)
                pipe.execute()

    def _measure(self, slot: SlotKeys) -> Iterator[tuple[bool, int, int]]:
        """(has a document, number of fields, bytes) of every order of a slot."""
        with answers(), self.client.pipeline(transaction=False) as pipe:
            pipe.zrange(slot.changed, 0, -1)
            pipe.zrange(slot.loose, 0, -1)
            changed, loose = pipe.execute()
            for member in [*changed, *loose]:
                pipe.hlen(slot.order(member.decode()))
                pipe.memory_usage(slot.order(member.decode()))
            answered = pipe.execute()
        for number, (fields, used_bytes) in enumerate(
            zip(answered[::2], answered[1::2], strict=True)
        ):
            if fields:  # else the safety TTL has taken it
                yield number < len(changed), fields, used_bytes
