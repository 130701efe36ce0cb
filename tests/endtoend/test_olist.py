"""The Olist orders through the whole installation on real servers, and through replay.

Those of three months, the sale's among them: the sample's 25 months make a hundred indices, of a
second or more each on a busy server. `ORDERTIDE_WHOLE_OLIST=1` takes all orders.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.consume import read_all
from deploy.stack.kafka import Kafka
from schemas import topics
from tests.support.endtoend.answers import assert_lasting_tiers_answer, changed_within_72_hours
from tests.support.endtoend.installation import PARTITIONS, Installation
from tests.support.endtoend.places import tables_on
from tests.support.outcome import assert_same, lines, of_replay, of_topics
from tests.support.samples import END, Json, all_orders, in_time
from tests.support.stack import address
from tests.support.tiers.elastic_places import clear, install

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
WHOLE_VARIABLE = "ORDERTIDE_WHOLE_OLIST"
MONTHS = ("2017-11", "2017-12", "2018-08")
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


def chosen_orders() -> list[tuple[Json, ...]]:
    """The orders placed in MONTHS, or all."""
    if os.environ.get(WHOLE_VARIABLE) == "1":
        return list(all_orders())
    return [order for order in all_orders() if order[0]["timestamp"].startswith(MONTHS)]


def test_olist_orders_end_in_every_tier_as_in_a_replay(
    installation: Installation, tmp_path: Path
) -> None:
    orders = chosen_orders()
    events = in_time([event for order in orders for event in order])
    installation.start("track", "hot", "warm", "archive")
    installation.feed(events)
    installation.tick(END)
    installation.wait_for_all()
    expected = of_replay(lines(events), tmp_path / "replay", END)
    assert_same(of_topics(installation.connection), expected)
    assert_counts_agree(installation, len(orders), len(events))
    assert_lasting_tiers_answer(installation, list(expected.orders)[:: len(orders) // 20])
    recent = changed_within_72_hours(installation, END)
    assert installation.tier("hot").counts().orders == len(recent)


def assert_counts_agree(installation: Installation, orders: int, sent: int) -> None:
    """Nothing is missing and nothing doubled, from the first topic to the last tier."""
    counted = installation.metrics("track")
    rejected = sum(v for name, v in counted.items() if name.startswith("rejected_total"))
    assert counted["messages_read_total"] == sent + PARTITIONS
    assert counted["ticks_total"] == PARTITIONS
    assert sum(counted[fate] for fate in FATES) + rejected == sent
    accepted = [m.value for m in read_all(installation.connection, topics.ORDERS_EVENTS)]
    warm, archive = installation.tier("warm").counts(), installation.tier("archive").counts()
    assert len(set(accepted)) == warm.events == archive.events
    assert warm.orders == archive.orders == orders
