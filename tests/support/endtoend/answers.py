"""Contents of an installation's tiers, compared with each other."""

from collections.abc import Iterable

import msgspec

from broker.consume import read_all
from schemas import topics
from schemas.instants import HOUR_MS
from storage_tiering.find import find
from storage_tiering.warm.elastic.access import connect
from tests.support.endtoend.installation import Installation

encode, decode = msgspec.json.encode, msgspec.json.decode


def assert_lasting_tiers_answer(installation: Installation, orders: Iterable[str]) -> None:
    """Warm and archive have the orders, with the same document and the same timeline."""
    warm, archive = installation.tier("warm"), installation.tier("archive")
    for order_id in orders:
        held = [find([tier], "default", order_id).found for tier in (warm, archive)]
        assert held[0].document == held[1].document
        assert decode(encode(held[0].timeline)) == decode(encode(held[1].timeline))


def assert_hot_tier_is_current(installation: Installation, at: int) -> None:
    """Redis has the live orders that changed in the 72 hours before `at`, as they are now."""
    recent = changed_within_72_hours(installation, at)
    hot, warm = installation.tier("hot"), installation.tier("warm")
    assert recent
    assert hot.counts().orders == len(recent)
    for order_id in recent:
        held = [find([tier], "default", order_id).found for tier in (hot, warm)]
        assert held[0].document == held[1].document


def changed_within_72_hours(installation: Installation, at: int) -> list[str]:
    """Live orders changed in the 72 hours before `at`, by Elasticsearch."""
    last = {m.key: m for m in read_all(installation.connection, topics.ORDERS_CHANGES)}
    live = [(m.key or b"").decode() for m in last.values() if m.value is not None]
    warm = installation.settings.warm
    recent = {"range": {"derived.changed_at": {"gt": at - 72 * HOUR_MS}}}
    with connect(warm.url or "") as client:
        index = f"{warm.prefix}-orders-*"
        client.indices.refresh(index=index)
        asked = {"bool": {"filter": [recent, {"terms": {"order_id": live}}]}}
        found = client.search(index=index, query=asked, source_includes=["order_id"], size=10_000)
        return [hit["_source"]["order_id"] for hit in found["hits"]["hits"]]
