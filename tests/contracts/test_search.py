"""Contract of Search: every tier that has it finds the same orders, page by page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.order import OrderDocument, ShipmentView
from schemas.search import OrderQuery, search_form
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Doubt, Search, Tier
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.tiers.elastic_places import shared_place
from tests.support.tiers.orders import START, Log, document

PERIODS = ("2017-10", "2017-11", "2017-12")


@pytest.fixture(params=["memory", "sqlite", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tier]:
    if request.param == "elasticsearch":
        with shared_place() as (url, prefix):
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


def test_a_page_says_how_far_it_is(tier: Tier) -> None:
    assert isinstance(tier, Search)
    tier.expire(START + 5_000)
    write(tier, document("a"))
    assert tier.search(OrderQuery()).watermark == START + 5_000
    tier.set_doubt(Doubt(reason="restored from a backup"))
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
