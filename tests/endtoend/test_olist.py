"""The Olist orders through the whole installation on real servers, and through replay."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from broker.consume import read_all
from deploy.stack.kafka import Kafka
from schemas import topics
from schemas.instants import HOUR_MS
from storage_tiering.find import find
from storage_tiering.warm.elastic_access import connect
from tests.dataflow.outcome import assert_same, lines, of_replay, of_topics
from tests.dataflow.samples import END, all_orders, in_time
from tests.endtoend.installation import PARTITIONS, Installation
from tests.endtoend.places import tables_on
from tests.stack import address
from tests.storage_tiering.elastic_places import clear, install

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
encode, decode = msgspec.json.encode, msgspec.json.decode
FATES = ("applied_total", "duplicates_total", "refused_total", "waiting")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker of our own: the engine's topics have fixed names."""
    address("kafka")  # a machine without a stack may lack what a broker needs
    with Kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
def installation(kafka: Kafka, tmp_path: Path) -> Iterator[Installation]:
    """The whole installation; the tiers lie on the running stack, under names of their own."""
    name, tables = tables_on({tier: address(tier) for tier in ("redis", "elasticsearch", "hdfs")})
    url = address("elasticsearch")["url"]
    install(url, name)
    made = Installation(tmp_path, kafka.address["bootstrap"], tables)
    yield made
    made.close()
    clear(url, name)


def test_all_olist_orders_end_in_every_tier_as_in_a_replay(
    installation: Installation, tmp_path: Path
) -> None:
    events = in_time([event for order in all_orders() for event in order])
    installation.start("track", "hot", "warm", "archive")
    installation.feed(events)
    installation.tick(END)
    installation.wait_for_all()
    expected = of_replay(lines(events), tmp_path / "replay", END)
    assert_same(of_topics(installation.connection), expected)
    assert_counts_agree(installation, len(events))
    assert_every_tier_answers(installation, list(expected.orders))


def assert_counts_agree(installation: Installation, sent: int) -> None:
    """Nothing is missing and nothing doubled, from the first topic to the last tier."""
    counted = installation.metrics("track")
    rejected = sum(v for name, v in counted.items() if name.startswith("rejected_total"))
    assert counted["messages_read_total"] == sent + PARTITIONS
    assert counted["ticks_total"] == PARTITIONS
    assert sum(counted[fate] for fate in FATES) + rejected == sent
    accepted = [m.value for m in read_all(installation.connection, topics.ORDERS_EVENTS)]
    warm, archive = installation.tier("warm").counts(), installation.tier("archive").counts()
    assert len(set(accepted)) == warm.events == archive.events
    assert warm.orders == archive.orders == len(all_orders())


def assert_every_tier_answers(installation: Installation, orders: list[str]) -> None:
    """Warm and archive have every order; the hot tier those that changed in the last 72 hours."""
    warm, archive = installation.tier("warm"), installation.tier("archive")
    for order_id in orders[::250]:
        held = [find([tier], "default", order_id).found for tier in (warm, archive)]
        assert held[0].document == held[1].document
        assert decode(encode(held[0].timeline)) == decode(encode(held[1].timeline))
    assert installation.tier("hot").counts().orders == changed_in_72_hours(installation)


def changed_in_72_hours(installation: Installation) -> int:
    """Orders not retired that Elasticsearch says changed in the last 72 hours of the stream."""
    last = {m.key: m for m in read_all(installation.connection, topics.ORDERS_CHANGES)}
    live = [(m.key or b"").decode() for m in last.values() if m.value is not None]
    warm = installation.settings.warm
    recent = {"range": {"derived.changed_at": {"gt": END - 72 * HOUR_MS}}}
    with connect(warm.url or "") as client:
        index = f"{warm.prefix}-orders-*"
        client.indices.refresh(index=index)
        asked = {"bool": {"filter": [recent, {"terms": {"order_id": live}}]}}
        return int(client.count(index=index, query=asked)["count"])
