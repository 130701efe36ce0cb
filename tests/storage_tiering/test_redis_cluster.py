"""The hot tier on a real Redis Cluster: where things lie, and what happens when they move."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from redis import Redis as Client

from deploy.stack.redis import Redis
from schemas.errors import Busy, SettingsError
from storage_tiering.hot.keys import SlotKeys, slot_of
from storage_tiering.hot.redis import HotSettings, RedisTier, connect, connect_cluster
from tests.support.tiers.orders import Log, accepted, document
from tests.support.tiers.redis_servers import (
    SAFE,
    begin_move,
    cli,
    end_move,
    hash_slots,
    move_keys,
    node_id,
    running,
    running_cluster,
)
from tests.support.waiting import patiently, wait_until

NAMES = [f"order-{n}" for n in range(300)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Redis]]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as three:
        yield three


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"{tmp_path.name}:"


@pytest.fixture
def tier(nodes: list[Redis], prefix: str) -> Iterator[RedisTier]:
    opened = tier_on(nodes[0], HotSettings(prefix=prefix))
    yield opened
    opened.close()


def tier_on(node: Redis, settings: HotSettings, other_nodes: str | None = None) -> RedisTier:
    return RedisTier(connect_cluster(node.address["url"], other_nodes=other_nodes), settings)


def write_version(tier: RedisTier, version: int, busy: list[Busy] | None = None) -> None:
    log = Log()
    changes = log.changes(*(document(name, version) for name in NAMES))
    events = log.events(*(accepted(name, f"{version}") for name in NAMES))
    patiently(lambda: tier.write_orders(changes), busy)
    patiently(lambda: tier.write_events(events), busy)


def assert_all_there(tier: RedisTier, version: int) -> None:
    for name in NAMES:
        found = patiently(partial(tier.find, "default", name))
        assert found is not None
        assert found.document == document(name, version)
        assert len(found.timeline) == version
    counts = patiently(tier.counts)
    assert (counts.orders, counts.events) == (len(NAMES), version * len(NAMES))


def test_every_master_holds_a_part(tier: RedisTier, nodes: list[Redis], prefix: str) -> None:
    write_version(tier, 1)
    for node in nodes:
        client = Client.from_url(node.address["url"])
        assert any(client.scan_iter(match=f"{prefix}*order*", count=10_000))
        client.close()
    assert_all_there(tier, 1)


def test_while_slots_move_a_batch_is_busy_or_right(
    tier: RedisTier, nodes: list[Redis], prefix: str
) -> None:
    write_version(tier, 1)
    version, busy = 1, list[Busy]()
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(move_slots_of, prefix, nodes[0], nodes[2])
        while not moving.done():
            version += 1
            write_version(tier, version, busy)
    assert moving.result() > 0
    assert busy
    assert_all_there(tier, version)


def move_slots_of(prefix: str, giver: Redis, taker: Redis) -> int:
    """Move every slot of ours that `giver` holds."""
    numbers = [n for n in hash_slots(prefix, giver) if holds(giver, n)]
    for number in numbers:
        begin_move(number, giver, taker)
        move_keys(number, giver, taker)
        end_move(number, giver, taker)
    return len(numbers)


def holds(node: Redis, number: str) -> bool:
    return cli(node, "cluster", "countkeysinslot", number).strip() != "0"


def test_a_slot_half_moved_is_busy_for_writes_and_answers_reads(
    tier: RedisTier, nodes: list[Redis], prefix: str
) -> None:
    write_version(tier, 1)
    slot = SlotKeys(prefix, slot_of("order-1"))
    number = cli(nodes[0], "cluster", "keyslot", slot.changed).strip()
    giver = next(node for node in nodes if holds(node, number))
    taker = next(node for node in nodes if node is not giver)
    begin_move(number, giver, taker)
    place = ["127.0.0.1", str(taker.ports["port"]), slot.order("order-1"), "0", "5000"]
    cli(giver, "migrate", *place)

    changes = Log().changes(document("order-1", 2))
    with pytest.raises(Busy, match="Redis"):
        tier.write_orders(changes)
    found = tier.find("default", "order-1")
    assert found is not None
    assert found.document.version == 1

    move_keys(number, giver, taker)
    end_move(number, giver, taker)
    patiently(lambda: tier.write_orders(changes))
    found = tier.find("default", "order-1")
    assert found is not None
    assert found.document.version == 2


def test_a_cluster_that_was_not_said_to_be_one_is_a_wrong_setting(nodes: list[Redis]) -> None:
    single = RedisTier(connect(nodes[0].address["url"]))
    with pytest.raises(SettingsError, match="cluster = true"):
        single.write_orders(Log().changes(*(document(name) for name in NAMES)))
    single.close()


def test_a_single_server_said_to_be_a_cluster_is_a_wrong_setting(tmp_path: Path) -> None:
    with running(tmp_path) as single, pytest.raises(SettingsError, match="cluster = false"):
        tier_on(single, HotSettings()).find("default", "order-1")


def test_a_cluster_is_found_through_any_node_that_is_named(
    nodes: list[Redis], prefix: str, tmp_path: Path
) -> None:
    with running(tmp_path) as gone:
        pass
    more = f"127.0.0.1:{gone.ports['port']},127.0.0.1:{nodes[1].ports['port']}"
    tier = tier_on(gone, HotSettings(prefix=prefix), other_nodes=more)
    write_version(tier, 1)
    assert_all_there(tier, 1)
    tier.close()


def test_a_cluster_without_a_node_that_answers_is_busy(tmp_path: Path) -> None:
    with running(tmp_path) as gone:
        pass
    tier = tier_on(gone, HotSettings())
    with pytest.raises(Busy):
        tier.write_orders(Log().changes(document()))
    with pytest.raises(Busy):
        tier.find("default", "e481f51c")
    tier.close()


def test_a_killed_master_is_busy_until_it_is_back_and_nothing_is_missing(
    tmp_path: Path, prefix: str
) -> None:
    with running_cluster(tmp_path) as three:
        tier = tier_on(three[1], HotSettings(prefix=prefix))
        write_version(tier, 1)
        three[0].kill()
        with pytest.raises(Busy):
            tier.write_orders(Log().changes(*(document(name, 2) for name in NAMES)))
        three[0].start()
        write_version(tier, 2)
        assert_all_there(tier, 2)
        tier.close()


def test_a_failover_loses_nothing_that_a_replica_had_to_have(
    tmp_path: Path, prefix: str, rng: random.Random
) -> None:
    memory_only = SAFE | {"appendonly": "no"}
    with running_cluster(tmp_path, has_replicas=True, options=memory_only) as six:
        tier = tier_on(six[0], HotSettings(prefix=prefix, replicas=1, replicas_timeout_ms=500))
        for version in range(1, 4):
            write_version(tier, version)
        victim = six[rng.randrange(3)]
        taken_over = node_id(victim)
        victim.kill()
        assert_all_there(tier, 3)
        survivor = next(node for node in six if node is not victim)
        wait_until(lambda: f"{taken_over} " in failed(survivor), "the take-over")
        tier.close()


def failed(node: Redis) -> str:
    """The nodes that are reported as failed."""
    lines = cli(node, "cluster", "nodes").splitlines()
    return "\n".join(line for line in lines if "fail" in line)
