"""The hot tier: Redis, one hash per order, expired on the stream clock."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files

import msgspec
from redis import Redis

from schemas.instants import DAY_MS, HOUR_MS
from schemas.keys import order_key
from storage_tiering.hot.access import Access, connect, connect_cluster
from storage_tiering.hot.config_warnings import cautions, losses
from storage_tiering.hot.errors import execute
from storage_tiering.hot.keys import (
    PROGRESS_MEMBER,
    SLOTS,
    STALENESS_SCORE,
    Call,
    ScriptRecord,
    SlotKeys,
    event_entry,
    events_in,
    order_entry,
    script_calls,
    slot_of,
)
from storage_tiering.hot.marks import SlotMarks, staleness_in
from storage_tiering.hot.servers import Cluster, Single
from storage_tiering.hot.writing import Replicas, evaluation, redis_errors, send, sweeps
from storage_tiering.records import ACCEPTED, DOCUMENT
from storage_tiering.tier import (
    Counts,
    EventRecord,
    Found,
    OrderRecord,
    Partition,
    Stale,
    Staleness,
    Tier,
    by_time,
)

__all__ = ["Access", "HotSettings", "RedisTier", "connect", "connect_cluster"]

LOGGER = logging.getLogger("ordertide.storage_tiering")
PUT = files("storage_tiering.hot").joinpath("put.lua").read_text()
EVENTS = files("storage_tiering.hot").joinpath("events.lua").read_text()
SWEEP = files("storage_tiering.hot").joinpath("sweep.lua").read_text()


class HotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Retention: `keep_ms` of stream time, and the newest `events_kept` events of an order.

    `safety_ttl_ms` is wall time since the last write: it frees the memory when no writer is left
    to expire. None for recorded history, whose clock has nothing to do with Redis's.
    So many `replicas` of a server have to have a batch before it counts as written; a failover to
    one of them loses nothing then.
    """

    prefix: str = "ordertide:"
    keep_ms: int = 72 * HOUR_MS
    events_kept: int = 200
    safety_ttl_ms: int | None = 7 * DAY_MS
    replicas: int = 0
    replicas_timeout_ms: int = 2_000


class RedisTier(Tier):
    """Orders in Redis or a Redis Cluster, each found in one round trip."""

    name = "hot"
    keeps_retired = False

    def __init__(self, client: "Redis | Cluster", settings: HotSettings | None = None) -> None:
        self.servers = client if isinstance(client, Cluster) else Single(client)
        self.settings = settings or HotSettings()
        self._replicas = Replicas(self.settings.replicas, self.settings.replicas_timeout_ms)
        self._slots = [SlotKeys(self.settings.prefix, slot) for slot in range(SLOTS)]
        self._marks = SlotMarks(self.servers, self._slots, self._replicas)
        self._noted_watermark: int | None = None
        self._is_looked_at = False

    def write_orders(self, batch: Sequence[OrderRecord]) -> None:
        settings = (self._ttl_ms, self._marks.member)
        self._run(PUT, settings, map(order_entry, batch))

    def write_events(self, batch: Sequence[EventRecord]) -> None:
        settings = (self._ttl_ms, self.settings.events_kept, self._marks.member)
        self._run(EVENTS, settings, map(event_entry, batch))

    def flush(self, *, force: bool = False) -> bool:
        return True

    def find(self, tenant: str, order_id: str) -> Found | None:
        (found,) = self.find_many([(tenant, order_id)])
        if isinstance(found, Stale):
            raise found
        return found

    def find_many(self, names: Sequence[tuple[str, str]]) -> list[Found | Stale | None]:
        keys = [order_key(tenant, order_id) for tenant, order_id in names]
        with redis_errors(self.servers), self.servers.pipeline() as pipe:
            for key in keys:
                slot = self._slots[slot_of(key)]
                # Both before the order, so that they never claim too much.
                pipe.zscore(slot.progress, PROGRESS_MEMBER)
                pipe.zrangebyscore(slot.progress, STALENESS_SCORE, STALENESS_SCORE)
                pipe.hgetall(slot.order(key))
            answered = iter(execute(pipe))
        return [found_in(*three) for three in zip(answered, answered, answered, strict=True)]

    def offsets(self) -> Mapping[Partition, int]:
        return self._marks.held()

    def note(self, offsets: Mapping[Partition, int]) -> None:
        self._marks.note(offsets)

    def reconcile(self) -> Mapping[Partition, int]:
        return self._marks.held()

    def forget_progress(self) -> None:
        self._marks.forget()

    def staleness(self) -> Staleness | None:
        return self._marks.staleness()

    def set_staleness(self, staleness: Staleness | None) -> None:
        self._marks.set_staleness(staleness)

    def expire(self, watermark_ms: int) -> None:
        limit_ms = watermark_ms - self.settings.keep_ms
        indexes = [(slot, index) for slot in self._slots for index in (slot.changed, slot.loose)]
        with redis_errors(self.servers), self.servers.pipeline() as pipe:
            for slot, index in indexes:
                pipe.zscore(slot.progress, PROGRESS_MEMBER)
                pipe.zrangebyscore(index, "-inf", limit_ms)
            answered = execute(pipe)
        for loss in losses(self._noted_watermark, answered[::4]):
            LOGGER.error("%s", loss)
        for (slot, index), members in zip(indexes, answered[1::2], strict=True):
            send(self.servers, sweeps(SWEEP, slot, index, limit_ms, members), self._replicas)
        self._note(watermark_ms)

    def counts(self) -> Counts:
        orders = events = size_bytes = 0
        for slot in self._slots:
            for has_document, fields, used_bytes in self._measure(slot):
                orders += has_document
                events += fields - 2 * has_document
                size_bytes += used_bytes
        return Counts(orders=orders, events=events, size_bytes=size_bytes)

    def size_bytes(self) -> int:
        with redis_errors(self.servers):
            used = [server.info("memory")["used_memory"] for server in self.servers.primaries()]
        return sum(used)

    def close(self) -> None:
        self.servers.close()

    @property
    def _ttl_ms(self) -> int:
        return self.settings.safety_ttl_ms or 0

    def _run(
        self, script: str, settings: tuple[int | str, ...], entries: Iterable[ScriptRecord]
    ) -> None:
        self._look_once()
        calls = []
        written = []
        for number, called in script_calls(entries):
            slot = self._slots[number]
            written.append(number)
            keys = [
                slot.changed,
                slot.loose,
                slot.progress,
                *(slot.order(entry.key) for entry in called),
            ]
            arguments = [argument for entry in called for argument in entry.arguments]
            calls.append(evaluation(script, keys, (*settings, *arguments)))
        send(self.servers, calls, self._replicas)
        for number in written:
            self._marks.wrote(number)

    def _look_once(self) -> None:
        """Warn, before the first write, of what may lose orders."""
        if not self._is_looked_at:
            with redis_errors(self.servers):
                for caution in cautions(self.servers.primaries()):
                    LOGGER.warning("%s", caution)
            self._is_looked_at = True

    def _note(self, watermark_ms: int) -> None:
        """Raise the freshness of every slot; it never decreases."""
        notes = [
            Call(slot.progress, ("ZADD", slot.progress, "GT", watermark_ms, PROGRESS_MEMBER))
            for slot in self._slots
        ]
        send(self.servers, notes, self._replicas)
        self._noted_watermark = max(watermark_ms, self._noted_watermark or watermark_ms)

    def _measure(self, slot: SlotKeys) -> Iterator[tuple[bool, int, int]]:
        """(has a document, number of fields, bytes) of every order of a slot."""
        with redis_errors(self.servers), self.servers.pipeline() as pipe:
            pipe.zrange(slot.changed, 0, -1)
            pipe.zrange(slot.loose, 0, -1)
            changed, loose = execute(pipe)
            for member in [*changed, *loose]:
                pipe.hlen(slot.order(member.decode()))
                pipe.memory_usage(slot.order(member.decode()))
            answered = execute(pipe)
        for number, (fields, used_bytes) in enumerate(
            zip(answered[::2], answered[1::2], strict=True)
        ):
            if fields:  # else the safety TTL has taken it
                yield number < len(changed), fields, used_bytes


def found_in(
    watermark: float | None, staleness: Sequence[bytes], fields: dict[bytes, bytes]
) -> Found | Stale | None:
    """An order of a slot with this progress."""
    stale = str(staleness_in(staleness[0])) if staleness else None
    if b"document" not in fields:
        return Stale(stale) if stale else None
    return Found(
        document=DOCUMENT.decode(fields[b"document"]),
        timeline=by_time([ACCEPTED.decode(data) for data in events_in(fields)]),
        watermark=None if watermark is None or stale else int(watermark),
        stale=stale,
    )
