"""Look-ups of one turn of the loop share a query; each has an answer of its own."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.tier_readers import TierReaders
from schemas.errors import Busy, StateError, UnknownOrder
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Found, Stale
from tests.support.tiers.orders import Log, document

DAMAGED = "damaged"


class Recording(MemoryTier):
    """Notes what it is asked for; one order is damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[int] = []
        self.is_busy = False

    def find(self, tenant: str, order_id: str) -> Found | None:
        if order_id == DAMAGED:
            raise StateError("order damaged: its bytes are no document")
        return super().find(tenant, order_id)

    def find_many(self, names: Sequence[tuple[str, str]]) -> list[Found | Stale | None]:
        self.queries.append(len(names))
        if self.is_busy:
            raise Busy("away")
        return super().find_many(names)


@pytest.fixture
def tier() -> Recording:
    tier = Recording()
    tier.write_orders(Log().changes(*(document(f"o{number}") for number in range(20))))
    return tier


async def answers(tier: Recording, *names: str) -> list[object]:
    """The answers to look-ups of one turn: the order id, or the error."""
    readers = TierReaders(["hot"], lambda _: {"hot": tier})
    try:
        asked = [readers.find("default", name) for name in names]
        found = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        readers.close()
    return [
        each if isinstance(each, BaseException) else each.found.document.order_id for each in found
    ]


def test_they_share_a_query(tier: Recording) -> None:
    names = [f"o{number}" for number in range(20)]
    assert asyncio.run(answers(tier, *names)) == names
    assert tier.queries == [20]


def test_an_unknown_order_is_that_of_its_own_caller(tier: Recording) -> None:
    first, unknown, last = asyncio.run(answers(tier, "o1", "nobody", "o2"))
    assert (first, last) == ("o1", "o2")
    assert isinstance(unknown, UnknownOrder)
    assert "nobody" in str(unknown)


def test_a_damaged_order_is_that_of_its_own_caller(tier: Recording) -> None:
    first, damaged, last = asyncio.run(answers(tier, "o1", DAMAGED, "o2"))
    assert (first, last) == ("o1", "o2")
    assert isinstance(damaged, StateError)


def test_all_of_them_hear_that_the_tier_is_away(tier: Recording) -> None:
    tier.is_busy = True
    found = asyncio.run(answers(tier, "o1", "o2"))
    assert [type(each) for each in found] == [Busy, Busy]


def test_a_caller_that_has_gone_takes_nothing_from_the_others(tier: Recording) -> None:
    async def ask() -> str:
        readers = TierReaders(["hot"], lambda _: {"hot": tier})
        gone = asyncio.create_task(readers.find("default", "o1"))
        stays = asyncio.create_task(readers.find("default", "o2"))
        await asyncio.sleep(0)
        gone.cancel()
        answer = await stays
        readers.close()
        return answer.found.document.order_id

    assert asyncio.run(ask()) == "o2"
