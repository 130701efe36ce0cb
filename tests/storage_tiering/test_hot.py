"""The hot tier alone: newest events, the safety TTL, atomic sweeps, Redis's errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from schemas.errors import Busy, SettingsError, StateError
from storage_tiering.hot.embedded import EmbeddedRedis
from storage_tiering.hot.keys import SLOTS, SlotKeys, slot_of
from storage_tiering.hot.redis import SWEEP, HotSettings, RedisTier, connect
from tests.support.tiers.orders import HOT_KEEP_MS, START, Log, accepted, document

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator["Redis"]:
    connected = connect(server.url)
    yield connected
    connected.close()


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"{tmp_path.name}:"


@pytest.fixture
def tier(client: "Redis", prefix: str) -> RedisTier:
    return RedisTier(client, HotSettings(prefix=prefix, events_kept=3))


def order_name(prefix: str, order_id: str = "e481f51c") -> str:
    return SlotKeys(prefix, slot_of(order_id)).order(order_id)


def test_of_a_long_timeline_the_newest_events_stay(tier: RedisTier) -> None:
    log = Log()
    events = [accepted(event_id=str(n), at=START + n) for n in range(6)]
    tier.write_orders(log.changes(document()))
    tier.write_events(log.events(*events))
    tier.write_events(log.events(*events[:2]))  # read again: too old to come back
    found = tier.find("default", "e481f51c")
    assert found is not None
    assert found.timeline == events[3:]


def test_a_live_order_has_a_generous_wall_clock_limit(
    tier: RedisTier, client: "Redis", prefix: str
) -> None:
    tier.write_orders(Log().changes(document()))
    assert client.pttl(order_name(prefix)) > HOT_KEEP_MS


def test_recorded_history_has_no_wall_clock_limit(client: "Redis", prefix: str) -> None:
    tier = RedisTier(client, HotSettings(prefix=prefix, safety_ttl_ms=None))
    log = Log()
    tier.write_orders(log.changes(document()))
    tier.write_events(log.events(accepted()))
    assert client.ttl(order_name(prefix)) == -1


def test_an_order_that_the_wall_clock_took_is_not_counted(
    tier: RedisTier, client: "Redis", prefix: str
) -> None:
    tier.write_orders(Log().changes(document()))
    client.delete(order_name(prefix))
    assert tier.counts().orders == 0


def test_an_order_that_changed_after_it_was_listed_is_not_swept(
    tier: RedisTier, client: "Redis", prefix: str
) -> None:
    tier.write_orders(Log().changes(document(updated_at=START + HOUR_MS)))
    slot = SlotKeys(prefix, slot_of("e481f51c"))
    client.eval(SWEEP, 2, slot.changed, slot.order("e481f51c"), START, "e481f51c")
    assert tier.find("default", "e481f51c") is not None


def test_expiring_leaves_no_key_behind(tier: RedisTier, client: "Redis", prefix: str) -> None:
    log = Log()
    tier.write_orders(log.changes(*(document(f"o{n}") for n in range(50))))
    tier.write_events(log.events(*(accepted(f"o{n}") for n in range(25, 75))))
    tier.expire(START + HOT_KEEP_MS)
    left = {SlotKeys(prefix, slot).progress.encode() for slot in range(SLOTS)}
    assert {*client.scan_iter(match=f"{prefix}*")} == left


def test_the_keys_of_a_slot_share_one_hash_tag() -> None:
    slot = SlotKeys("ordertide:", 7)
    names = {slot.changed, slot.loose, slot.progress, slot.order("a{b}c")}
    assert {name[name.index("{") : name.index("}") + 1] for name in names} == {"{07}"}


def test_every_slot_is_used() -> None:
    assert {slot_of(f"order-{n}") for n in range(1_000)} == set(range(SLOTS))


def test_a_server_that_is_gone_is_busy() -> None:
    with EmbeddedRedis() as gone:
        tier = RedisTier(connect(gone.url))
    with pytest.raises(Busy):
        tier.find("default", "e481f51c")
    with pytest.raises(Busy):
        tier.write_orders(Log().changes(document()))
    with pytest.raises(Busy):
        tier.expire(START)


def test_a_full_server_is_busy_and_takes_the_batch_later() -> None:
    with EmbeddedRedis() as full:
        client = connect(full.url)
        tier = RedisTier(client)
        client.config_set("maxmemory", "1")
        with pytest.raises(Busy, match="maxmemory"):
            tier.write_orders(Log().changes(document()))
        client.config_set("maxmemory", "0")
        tier.write_orders(Log().changes(document()))
        assert tier.find("default", "e481f51c") is not None
        tier.close()


def test_a_wrong_password_is_a_wrong_setting() -> None:
    with EmbeddedRedis() as locked:
        client = connect(locked.url)
        client.config_set("requirepass", "another one")
        stranger = RedisTier(connect(locked.url))
        with pytest.raises(SettingsError, match="check the user and password"):
            stranger.find("default", "e481f51c")
        stranger.close()
        client.close()


def test_a_key_that_something_else_wrote_is_named_as_such(
    tier: RedisTier, client: "Redis", prefix: str
) -> None:
    client.set(order_name(prefix), "not ours")
    with pytest.raises(StateError, match="prefix"):
        tier.write_orders(Log().changes(document()))
