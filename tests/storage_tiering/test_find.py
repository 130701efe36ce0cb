"""A look-up queries the hottest tier first and names the tier that answered."""

import pytest

from schemas.errors import Busy, UnknownOrder
from storage_tiering.find import Asked, find, timeline
from storage_tiering.hot.redis import RedisTier, connect
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Tier
from tests.support.tiers.orders import START, Log, accepted, document


def tier(name: str, *order_ids: str, events: str = "") -> MemoryTier:
    log = Log()
    made = MemoryTier(name)
    made.write_orders(log.changes(*(document(order_id) for order_id in order_ids)))
    for order_id in order_ids:
        made.write_events(
            log.events(*(accepted(order_id, each, START + int(each)) for each in events))
        )
    made.expire(START)
    return made


def absent(name: str) -> Tier:
    """A tier whose server is missing."""
    redis = RedisTier(connect("unix:///nowhere/redis.sock"))
    redis.name = name
    return redis


def test_the_hottest_tier_that_has_it_answers() -> None:
    tiers = [tier("hot"), tier("warm", "a"), tier("archive", "a")]
    answer = find(tiers, "default", "a")
    assert answer.tier == "warm"
    assert answer.found.document == document("a")
    assert answer.found.watermark == START
    assert answer.asked == [Asked("hot", "unknown"), Asked("warm", "found")]


def test_a_busy_tier_is_passed_over_and_named() -> None:
    answer = find([absent("hot"), tier("warm", "a")], "default", "a")
    assert answer.tier == "warm"
    assert [(asked.tier, asked.answer) for asked in answer.asked] == [
        ("hot", "busy"),
        ("warm", "found"),
    ]
    assert answer.asked[0].reason is not None


def test_an_order_in_no_tier_is_unknown() -> None:
    with pytest.raises(
        UnknownOrder, match="'b' of tenant 'acme' is in none of the tiers hot, warm"
    ):
        find([tier("hot", "a"), tier("warm", "a")], "acme", "b")


def test_as_long_as_a_tier_does_not_answer_nothing_is_called_unknown() -> None:
    with pytest.raises(Busy, match="not in hot; no answer from warm"):
        find([tier("hot"), absent("warm")], "default", "a")


def test_the_whole_timeline_is_what_all_tiers_have_together() -> None:
    tiers = [tier("hot", "a", events="34"), absent("warm"), tier("archive", "a", events="123")]
    events = timeline(tiers, "default", "a")
    assert events == [accepted("a", each, START + int(each)) for each in "1234"]
