"""Temporary errors of a real Redis: each is waited out, and then everything is right."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.redis import Redis
from schemas.errors import Busy
from storage_tiering.hot.redis import HotSettings, RedisTier, connect
from tests.support.tiers.orders import START, Log, accepted, document
from tests.support.tiers.redis_servers import SAFE, cli, running
from tests.support.waiting import patiently, wait_until

# Also for replicas: one that writes its first append-only file ignores SIGTERM.
MEMORY_ONLY = {**SAFE, "appendonly": "no"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def tier(server: Redis, tmp_path: Path) -> Iterator[RedisTier]:
    opened = tier_on(server, prefix=f"{tmp_path.name}:")
    yield opened
    opened.close()


def tier_on(server: Redis, prefix: str = "ordertide:", replicas: int = 0) -> RedisTier:
    settings = HotSettings(prefix=prefix, replicas=replicas, replicas_timeout_ms=200)
    return RedisTier(connect(server.address["url"]), settings)


def write(tier: RedisTier, version: int = 1) -> None:
    log = Log()
    tier.write_orders(log.changes(document(version=version)))
    tier.write_events(log.events(accepted(event_id=f"{version}")))


def version_in(tier: RedisTier) -> int | None:
    found = tier.find("default", "e481f51c")
    return found.document.version if found else None


def test_scripts_that_a_server_has_forgotten_change_nothing(server: Redis, tier: RedisTier) -> None:
    write(tier, 1)
    cli(server, "script", "flush")
    write(tier, 2)
    assert version_in(tier) == 2


def test_a_full_server_is_busy_until_there_is_room(server: Redis, tier: RedisTier) -> None:
    write(tier, 1)
    cli(server, "config", "set", "maxmemory", "1")
    try:
        with pytest.raises(Busy, match="maxmemory"):
            write(tier, 2)
        assert version_in(tier) == 1
    finally:
        cli(server, "config", "set", "maxmemory", "0")
    write(tier, 2)
    assert version_in(tier) == 2


def test_a_replica_is_read_from_and_busy_for_writes_until_it_is_made_primary(
    server: Redis, tmp_path: Path
) -> None:
    primary = tier_on(server)
    write(primary, 1)
    with running(tmp_path, MEMORY_ONLY) as second:
        cli(second, "replicaof", "127.0.0.1", str(server.ports["port"]))
        replica = tier_on(second)
        wait_until(lambda: patiently(lambda: version_in(replica)) == 1, "the replica")
        with pytest.raises(Busy, match="replica"):
            write(replica, 2)
        cli(second, "replicaof", "no", "one")
        write(replica, 2)
        assert version_in(replica) == 2
        replica.close()
    primary.close()


def test_a_batch_that_a_replica_has_to_have_waits_for_it(server: Redis, tmp_path: Path) -> None:
    primary = tier_on(server, prefix="replicated:", replicas=1)
    with pytest.raises(Busy, match="0 of 1 replicas"):
        write(primary, 1)
    with running(tmp_path, MEMORY_ONLY) as second:
        cli(second, "replicaof", "127.0.0.1", str(server.ports["port"]))
        patiently(lambda: write(primary, 2))
        replica = tier_on(second, prefix="replicated:")
        assert version_in(replica) == 2
        replica.close()
    primary.close()


def test_a_note_whose_answer_was_lost_is_no_lost_write(server: Redis, tmp_path: Path) -> None:
    offsets = {("orders.changes", 0): 1, ("orders.events", 0): 1}
    tier = tier_on(server, prefix="noted:", replicas=1)
    with running(tmp_path, MEMORY_ONLY) as second:
        cli(second, "replicaof", "127.0.0.1", str(server.ports["port"]))
        patiently(lambda: write(tier))
        cli(second, "replicaof", "no", "one")
        with pytest.raises(Busy, match="0 of 1 replicas"):  # noted by the server anyway
            tier.note(offsets)
        cli(second, "replicaof", "127.0.0.1", str(server.ports["port"]))
        patiently(lambda: tier.note(offsets))
        assert tier.offsets() == offsets
    tier.close()


def test_a_server_that_is_still_loading_is_busy(tmp_path: Path) -> None:
    with running(tmp_path, {**MEMORY_ONLY, "enable-debug-command": "yes"}) as first:
        tier = tier_on(first)
        write(tier, 1)
        cli(first, "debug", "populate", "5000")
        cli(first, "save")
        tier.close()
    # So slowly that it still loads at the request, and answering every few keys.
    slowly = {"key-load-delay": "500", "loading-process-events-interval-bytes": "1024"}
    second = Redis(tmp_path, options={**MEMORY_ONLY, **slowly})
    second.start()
    try:
        tier = tier_on(second)
        busy: list[Busy] = []
        patiently(lambda: write(tier, 2), busy)
        assert any("loading" in str(error).lower() for error in busy)
        assert version_in(tier) == 2
        tier.close()
    finally:
        second.stop()


def test_a_server_that_may_lose_orders_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**MEMORY_ONLY, "maxmemory-policy": "allkeys-lru"}
    with running(tmp_path, options) as forgetful:
        tier = tier_on(forgetful)
        write(tier, 1)
        write(tier, 2)
        tier.close()
    assert caplog.text.count("maxmemory-policy is allkeys-lru") == 1
    assert caplog.text.count("no append-only file") == 1


def test_a_server_that_is_set_up_well_is_not_warned_of(
    tier: RedisTier, caplog: pytest.LogCaptureFixture
) -> None:
    write(tier)
    tier.expire(START)
    tier.expire(START + 1)
    assert not caplog.records


def test_writes_that_a_server_has_lost_are_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with running(tmp_path, MEMORY_ONLY) as forgetful:
        tier = tier_on(forgetful)
        write(tier, 1)
        tier.expire(START)
        forgetful.kill()
        forgetful.start()
        patiently(lambda: tier.expire(START + 1))
        assert caplog.text.count("has lost writes in 32 of 32 slots") == 1
        tier.expire(START + 2)
        assert caplog.text.count("has lost writes") == 1
        tier.close()
