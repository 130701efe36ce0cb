"""Contract of Search: every tier that has it finds the same orders, page by page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from schemas.instants import format_instant
from schemas.order import OrderDocument, ShipmentView
from schemas.search import AttributeType, OrderQuery, Sort, search_form
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Search, Staleness, Tier
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.alerts import alert
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import START, Log, document

ATTRIBUTES: dict[str, AttributeType] = {
    "vip": "bool",
    "weight_kg": "float",
    "items": "int",
    "colour": "str",
}
PERIODS = ("2017-10", "2017-11", "2017-12")


@pytest.fixture(params=["memory", "sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tier]:
    if request.param == "elasticsearch":
        with shared_place(**ATTRIBUTES) as (url, prefix):
            elastic = ElasticTier(connect(url), prefix)
            yield elastic
            elastic.close()
        return
    kinds: dict[str, Callable[[], Tier]] = {
        "memory": MemoryTier,
        "sqlite": lambda: SqliteTier(tmp_path),
    }
    made = kinds[request.param]()
    yield made
    made.close()


def write(tier: Tier, *orders: OrderDocument) -> None:
    tier.write_orders(Log().changes(*orders))
    assert tier.flush(force=True)


def found(tier: Tier, **conditions: Any) -> list[str]:  # noqa: ANN401 - fields of OrderQuery
    assert isinstance(tier, Search)
    page = tier.search(OrderQuery(**conditions))
    assert page.after is None
    return [order.order_id for order in page.orders]


def parcel(number: str) -> ShipmentView:
    return ShipmentView(shipment=number)


def test_orders_come_newest_first_over_all_periods(tier: Tier) -> None:
    orders = [
        document(f"o{n}", updated_at=START + n * 1_000, warm_period=PERIODS[n % 3])
        for n in range(9)
    ]
    write(tier, *orders)
    assert found(tier) == [f"o{n}" for n in reversed(range(9))]
    assert found(tier, changed_since=START + 6_000) == ["o8", "o7", "o6"]


def test_every_condition_holds(tier: Tier) -> None:
    write(
        tier,
        document("a", lane="overdue", updated_at=START + 2_000, carrier="sf", supplier_id="S1"),
        document("b", lane="overdue", status="SHIPPED", updated_at=START + 1_000, carrier="sto"),
        document("c", status="SHIPPED", customer_id="K"),
        document("d", tenant="other", status="SHIPPED", customer_id="K"),
    )
    assert found(tier, lane="overdue") == ["a", "b"]
    assert found(tier, lane="overdue", status="SHIPPED") == ["b"]
    assert found(tier, carrier="sf") == found(tier, supplier_id="S1") == ["a"]
    assert found(tier, tenant="default", customer_id="K") == ["c"]
    assert found(tier, status="'; DROP TABLE orders") == []


def late(order_id: str, due: int, rule: str = "late_shipping", **fields: Any) -> OrderDocument:  # noqa: ANN401 - fields of a document
    opened = alert(rule, order_id=order_id, opened_at=due)
    return document(order_id, lane="overdue", open_alerts=[opened], **fields)


def running(due: int) -> dict[str, object]:
    return {"rule": "silent", "due_at": format_instant(due), "severity": "warning"}


def test_orders_are_found_by_rule_and_flag(tier: Tier) -> None:
    write(
        tier,
        late("a", START, updated_at=START + 2_000, flags=["history_full", "missing_time"]),
        late("b", START, "silent", updated_at=START + 1_000, flags=["history_full"]),
        document("c", deadlines=[running(START)]),
    )
    assert found(tier, rule="late_shipping") == ["a"]
    assert found(tier, rule="silent") == ["b"]  # a deadline that runs is no alert
    assert found(tier, flag="history_full") == ["a", "b"]
    assert found(tier, flag="history_full", rule="silent") == ["b"]
    assert found(tier, flag="history") == found(tier, rule="late") == []


def test_orders_are_found_by_their_attributes(tier: Tier) -> None:
    long = "x" * 1_024
    write(
        tier,
        document("a", attributes={"vip": True, "weight_kg": 4, "items": 1, "colour": "dark red"}),
        document("b", attributes={"vip": False, "weight_kg": 0.5, "items": (1 << 63) - 1}),
        document("c", attributes={"colour": "red", "weight_kg": 1e300}, customer_id="K"),
        document("d", attributes={"colour": "1", "items": None}, updated_at=START - 1),
        document("e", attributes={"colour": long}),
        document("f"),
    )
    assert found(tier, attributes={"vip": True}) == ["a"]
    assert found(tier, attributes={"vip": False}) == ["b"]
    assert found(tier, attributes={"weight_kg": 4.0}) == ["a"]
    assert found(tier, attributes={"weight_kg": 0.5, "vip": False}) == ["b"]
    assert found(tier, attributes={"weight_kg": 1e300}, customer_id="K") == ["c"]
    assert found(tier, attributes={"items": 1}) == ["a"], "neither true nor a text is a number"
    assert found(tier, attributes={"items": (1 << 63) - 1}) == ["b"]
    assert found(tier, attributes={"colour": "red"}) == ["c"], "a text is found whole"
    assert found(tier, attributes={"colour": "1"}) == ["d"]
    assert found(tier, attributes={"colour": long}) == ["e"]
    assert found(tier, attributes={"vip": True, "items": 2}) == []
    assert found(tier, attributes={"colour": "' OR 1=1 --\x00*"}) == []


def test_ranges_begin_inclusive_and_end_exclusive(tier: Tier) -> None:
    orders = [
        document(
            f"o{n}",
            created_at=format_instant(START + n),
            promised_at=format_instant(START + 10 + n),
            updated_at=START + 20 + n,
        )
        for n in range(4)
    ]
    write(tier, *orders, document("none", created_at=None, updated_at=START + 5_000))
    middle = ["o2", "o1"]
    assert found(tier, created_since=START + 1, created_until=START + 3) == middle
    assert found(tier, promised_since=START + 11, promised_until=START + 13) == middle
    assert found(tier, changed_since=START + 21, changed_until=START + 23) == middle
    assert found(tier, created_since=START + 3) == found(tier, promised_since=START + 13) == ["o3"]
    assert found(tier, created_until=START + 1) == found(tier, promised_until=START + 11) == ["o0"]
    assert found(tier, changed_until=START + 21) == ["o0"]


SORTED: dict[Sort, list[str]] = {
    "updated": ["e", "d", "c", "b", "a"],
    "silent": ["a", "b", "c", "d", "e"],
    "created": ["b", "d", "a", "e", "c"],  # c was never created
    "due": ["d", "b", "e", "a", "c"],  # alerts, deadlines that run, neither
}


@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_pages_come_in_the_sequence_asked_for(tier: Tier, sort: Sort, limit: int) -> None:
    created = {
        name: format_instant(START + at) for name, at in zip("abde", (2, 9, 5, 1), strict=True)
    }
    write(
        tier,
        document("a", created_at=created["a"], updated_at=START, deadlines=[running(START + 99)]),
        late("b", START - 3, created_at=created["b"], updated_at=START + 1, warm_period="2017-11"),
        document("c", created_at=None, updated_at=START + 2),
        late("d", START - 7, created_at=created["d"], updated_at=START + 3, warm_period="2017-12"),
        document(
            "e",
            created_at=created["e"],
            updated_at=START + 4,
            deadlines=[running(START + 500), running(START + 50)],
        ),
    )
    assert isinstance(tier, Search)
    seen: list[str] = []
    after = None
    for _ in range(10):
        page = tier.search(OrderQuery(sort=sort), limit=limit, after=after)
        seen += [order.order_id for order in page.orders]
        after = page.after
        if after is None:
            break
    assert seen == SORTED[sort]


def test_a_page_says_how_far_it_is(tier: Tier) -> None:
    assert isinstance(tier, Search)
    tier.expire(START + 5_000)
    write(tier, document("a"))
    assert tier.search(OrderQuery()).watermark == START + 5_000
    tier.set_staleness(Staleness(reason="restored from a backup"))
    assert tier.search(OrderQuery()).watermark is None


@pytest.mark.parametrize(
    ("asked", "orders"),
    [
        ("SO-1234-77", ["a"]),
        ("so 1234", ["a"]),  # a beginning, in another spelling
        ("3477", ["a"]),  # the last four
        ("347", []),  # too short a part
        ("SF-0099-8877", ["b"]),
        ("8877", ["b"]),
        ("ERP-5", ["c"]),
        ("SF00", ["b"]),
        ("x1", ["x1"]),  # short, and whole
        ("---", []),
        ("%", []),
        ("*", []),
    ],
)
def test_a_number_is_found_whole_or_by_its_beginning_or_end(
    tier: Tier, asked: str, orders: list[str]
) -> None:
    write(
        tier,
        document("SO-1234-77"),
        document("b-order", shipments=[parcel("sf 0099 8877")]),
        document("c-order", references={"erp": ["erp-5"], "waybill": ["1"]}),
        document("x1"),
    )
    names = {"a": "SO-1234-77", "b": "b-order", "c": "c-order", "x1": "x1"}
    assert found(tier, number=asked) == [names[each] for each in orders]


def test_a_number_that_an_order_has_no_longer_does_not_find_it(tier: Tier) -> None:
    write(tier, document("a", references={"erp": ["wrong-number"]}))
    write(tier, document("a", version=2, references={"erp": ["right-number"]}))
    assert found(tier, number="wrong-number") == []
    assert found(tier, number="right-number") == ["a"]


def test_pages_hold_every_order_once(tier: Tier) -> None:
    orders = [
        document(f"o{n}", updated_at=START + n % 4 * 1_000, warm_period=PERIODS[n % 3])
        for n in range(23)
    ]
    write(tier, *orders)
    assert isinstance(tier, Search)
    seen: list[str] = []
    after = None
    for _ in range(10):
        page = tier.search(OrderQuery(), limit=5, after=after)
        seen += [order.order_id for order in page.orders]
        after = page.after
        if after is None:
            break
    assert sorted(seen) == sorted(order.order_id for order in orders)
    assert after is None


def test_the_search_form_has_letters_and_digits_only() -> None:
    assert search_form(" sf-００99 8877/a ") == "SF00998877A"
    assert search_form("订单-1") == "订单1"
