"""Export over HTTP: every order once, as NDJSON or as CSV that no spreadsheet executes."""

import asyncio
import csv
import io
import threading
from typing import Any

import msgspec
import pytest

from gateway.api import export
from gateway.api.export import harmless
from schemas.errors import Busy
from schemas.search import OrderQuery, Page
from storage_tiering.memory import MemoryTier
from tests.support.alerts import alert, order
from tests.support.gateway import Door
from tests.support.tiers.orders import START, document

PARCELS = [{"shipment": "SF1", "carrier": "sf"}, {"shipment": "SF2"}]


@pytest.fixture
def filled(door: Door) -> Door:
    door.put(
        *(document(f"many-{n:02}", updated_at=START + n, customer_id="c2") for n in range(25)),
        document("=cmd|'/c calc'!A1", customer_id="c1", shipments=PARCELS),
        document("other", tenant="acme", customer_id="c2"),
        order("late", 1, alert(order_id="late")),
    )
    return door


def ndjson(body: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in body.splitlines()]


def table(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


def test_every_order_of_a_search_comes_once_the_oldest_change_first(
    filled: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 10)
    client = filled.client("operator", "default")
    answer = client.get("/v1/orders/export?customer=c2")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.ndjson"'
    assert [line["order_id"] for line in ndjson(answer.body)] == [f"many-{n:02}" for n in range(25)]
    rows = table(client.get("/v1/orders/export?customer=c2&format=csv").body)
    assert [row["order_id"] for row in rows] == [f"many-{n:02}" for n in range(25)]


def test_a_row_has_the_fields_of_its_order(filled: Door) -> None:
    client = filled.client()
    (line,) = ndjson(client.get("/v1/orders/export?lane=overdue").body)
    (row,) = table(client.get("/v1/orders/export?lane=overdue&format=csv").body)
    assert list(row) == list(export.COLUMNS)
    assert (line["alerts"][0]["rule"], row["rules"]) == ("late_shipping", "late_shipping")
    for name in ("order_id", "tenant", "status", "lane", "created_at", "due_at"):
        assert line[name] == row[name]
    (parcels,) = table(client.get("/v1/orders/export?customer=c1&format=csv").body)
    assert parcels["shipments"] == "SF1 SF2"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_no_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless(f"x{text}") == f"x{text}"


def test_an_id_that_is_a_formula_is_text(filled: Door) -> None:
    (row,) = table(filled.client().get("/v1/orders/export?customer=c1&format=csv").body)
    assert row["order_id"] == "'=cmd|'/c calc'!A1"


def test_nothing_found_is_an_empty_export(filled: Door) -> None:
    client = filled.client("operator", "default")
    for query in ("customer=nobody", "tenant=acme"):
        assert client.get(f"/v1/orders/export?{query}").body == b""
        assert table(client.get(f"/v1/orders/export?{query}&format=csv").body) == []


def test_it_ends_at_its_bound(filled: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 10)
    monkeypatch.setattr(export, "MOST_ROWS", 15)
    assert len(ndjson(filled.client().get("/v1/orders/export").body)) == 15


@pytest.mark.parametrize("query", ["sort=created", "limit=1", "format=xml", "silent_for=x"])
def test_what_an_export_does_not_take_is_named(filled: Door, query: str) -> None:
    answer = filled.client().get(f"/v1/orders/export?{query}")
    assert (answer.status, answer.json["field"]) == (400, query.partition("=")[0])


class Failing(MemoryTier):
    """A tier in memory that is busy at some of its searches, counted from 1."""

    def __init__(self, busy_at: set[int]) -> None:
        super().__init__("hot")
        self.busy_at = busy_at
        self.searches = 0

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        self.searches += 1
        if self.searches in self.busy_at:
            raise Busy("searched too often", 0.01)
        return super().search(query, limit=limit, after=after)


@pytest.fixture
def paged(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setattr(export, "PAGE", 10)
    return door


def fill(door: Door, busy_at: set[int]) -> None:
    door.tier = Failing(busy_at)
    door.put(*(document(f"many-{n:02}", updated_at=START + n) for n in range(25)))


def test_a_tier_without_an_answer_is_a_problem_before_anything_is_sent(paged: Door) -> None:
    fill(paged, {1})
    refused = paged.client().get("/v1/orders/export")
    assert (refused.status, refused.json["code"]) == (503, "tier_unreachable")


def test_a_tier_that_is_busy_midway_is_asked_again(paged: Door) -> None:
    fill(paged, {2, 3, 5})
    assert len(ndjson(paged.client().get("/v1/orders/export").body)) == 25


def test_half_an_export_never_ends_well(paged: Door) -> None:
    fill(paged, set(range(2, 9)))
    with pytest.raises(Busy):  # the server closes the connection then
        paged.client().get("/v1/orders/export")


class Slow(MemoryTier):
    """A tier in memory that answers every page but a first one once `gate` is set."""

    def __init__(self) -> None:
        super().__init__("hot")
        self.gate = threading.Event()

    def search(
        self, query: OrderQuery, *, limit: int = 100, after: list[Any] | None = None
    ) -> Page:
        if after is not None:
            self.gate.wait()
        return super().search(query, limit=limit, after=after)


def test_an_export_has_its_slot_until_it_ends(paged: Door) -> None:
    """Four at a time: a fifth is busy, and look-ups pass."""
    tier = paged.tier = Slow()
    paged.put(*(document(f"many-{n:02}", updated_at=START + n) for n in range(25)))
    paged.start()
    client = paged.client()

    async def several() -> tuple[list[int], list[int]]:
        running = [
            asyncio.create_task(client.exchange("GET", "/v1/orders/export", b"")) for _ in range(4)
        ]
        await asyncio.sleep(0.1)
        others = [
            await client.exchange("GET", url, b"")
            for url in ("/v1/orders/export", "/v1/lanes/overdue")
        ]
        tier.gate.set()
        ended = await asyncio.gather(*running)
        return [each.status for each in others], [len(ndjson(each.body)) for each in ended]

    assert asyncio.run(several()) == ([503, 200], [25, 25, 25, 25])
