"""kill -9 of every server and every process in turn, while events flow.

While a tier is unavailable alerts are still raised; when all is back, everything is as in an
undisturbed replay: nothing is missing, nothing doubled.
"""

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from broker.consume import read_all
from commands.wiring.tiers import BUILT_IN
from schemas import topics
from tests.support.endtoend.answers import assert_hot_tier_is_current, assert_lasting_tiers_answer
from tests.support.endtoend.installation import Installation
from tests.support.endtoend.places import tables_on
from tests.support.endtoend.servers import Servers, again, own_servers
from tests.support.outcome import assert_same, lines, of_replay, of_topics
from tests.support.samples import END, Json, arrival_at, some_orders
from tests.support.stack import address
from tests.support.tiers.elastic_places import install

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SEED = 20161004
ORDERS = 400
# What a tier needs, and what reads for it: alerts are raised without them.
AWAY = ("redis", "elasticsearch", "namenode", "datanode", "alertmanager")
PROCESSES = ("track", "hot", "warm", "archive", "deliver")
VICTIMS = (*AWAY, *PROCESSES, "kafka")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Six servers for this test alone."""
    address("kafka")  # a machine without a stack may lack what servers need
    with own_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
def installation(servers: Servers, tmp_path: Path) -> Iterator[Installation]:
    """All processes of the engine on these servers."""
    addresses = {name: servers[name].address for name in ("redis", "elasticsearch")}
    name, tables = tables_on({**addresses, "hdfs": servers["namenode"].address})
    install(servers["elasticsearch"].address["url"], name)
    delivery = {"url": servers["alertmanager"].address["url"], "renew": "2s", "hold": "5m"}
    bootstrap = servers["kafka"].address["bootstrap"]
    made = Installation(tmp_path, bootstrap, {**tables, "delivery": delivery})
    yield made
    made.close()


def test_nothing_is_missing_or_doubled_whoever_is_killed(
    installation: Installation, servers: Servers, tmp_path: Path
) -> None:
    print(f"seed: {SEED}")
    events = some_orders(ORDERS, random.Random(SEED))
    first, *portions = in_portions(events, len(VICTIMS) + 1)
    installation.start(*PROCESSES)
    flow(installation, first)
    for victim, portion in zip(VICTIMS, portions, strict=True):
        half = len(portion) // 2
        installation.feed(portion[:half])  # and while that is under way:
        kill(installation, servers, victim)
        if victim in {"kafka", "track"}:
            revive(installation, servers, victim)
            flow(installation, portion[half:])
        else:
            raised = alerts_raised(installation)
            flow(installation, portion[half:])
            # The clock that the last batch brings is judged an epoch later.
            installation.wait_until(
                lambda so_far=raised: alerts_raised(installation) > so_far,  # type: ignore[misc]  # a lambda with a default
                f"alerts while {victim} was away",
            )
            revive(installation, servers, victim)
        if victim in {"redis", "hot"}:
            installation.wait_for_all()
            assert_hot_tier_is_current(installation, arrival_at(portion[-1]))
    installation.tick(END)
    installation.wait_for_all()
    expected = of_replay(lines(events), tmp_path / "replay", END)
    assert_same(of_topics(installation.connection), expected)
    assert_tiers_agree(installation, len(expected.orders))
    assert_lasting_tiers_answer(installation, list(expected.orders)[::8])
    assert_alertmanager_has_what_is_open(installation, servers["alertmanager"].address["url"])


def in_portions(events: list[Json], count: int) -> list[list[Json]]:
    """`count` parts, one after the other in time."""
    size = -(-len(events) // count)
    return [events[at : at + size] for at in range(0, len(events), size)]


def flow(installation: Installation, events: list[Json]) -> None:
    """Feed events and the time they came to, and let the dataflow judge them."""
    installation.feed(events)
    installation.tick(arrival_at(events[-1]))
    group = installation.settings.track.group
    installation.wait_for_group(group, [topics.EVENTS])


def kill(installation: Installation, servers: Servers, victim: str) -> None:
    """kill -9, wherever it is just then."""
    if victim in servers:
        servers[victim].kill()
    else:
        installation.end(victim, signal.SIGKILL)


def revive(installation: Installation, servers: Servers, victim: str) -> None:
    """Start it again; only what runs waits for a broker that is away, so it is up in the end."""
    if victim in servers:
        again(servers[victim])
    else:
        installation.start(victim)
        installation.wait_until_ready(victim)


def alerts_raised(installation: Installation) -> int:
    """Distinct alerts that the dataflow has opened so far."""
    entries = (
        json.loads(message.value or b"")
        for message in read_all(installation.connection, topics.ORDERS_AUDIT)
    )
    return len({e["alert"]["alert_id"] for e in entries if e["what"] == "alert.opened"})


def assert_tiers_agree(installation: Installation, orders: int) -> None:
    """Every accepted event and every order is in both lasting tiers, once."""
    accepted = {m.value for m in read_all(installation.connection, topics.ORDERS_EVENTS)}
    assert set(installation.running) == set(PROCESSES)
    for name in ("warm", "archive"):
        assert name in BUILT_IN
        counts = installation.tier(name).counts()
        assert (name, counts.orders, counts.events) == (name, orders, len(accepted))


def assert_alertmanager_has_what_is_open(installation: Installation, url: str) -> None:
    """Alertmanager has exactly the alerts that are open in live orders."""
    last = {m.key: m.value for m in read_all(installation.connection, topics.ORDERS_CHANGES)}
    documents = [json.loads(value) for value in last.values() if value]
    is_open = {
        (order["order_id"], alert["rule"], alert["severity"])
        for order in documents
        for alert in order["open_alerts"]
    }
    assert is_open
    installation.wait_until(lambda: known_to(url) == is_open, "Alertmanager's alerts")


def known_to(url: str) -> set[tuple[str, str, str]]:
    """(order, rule, severity) of the active alerts."""
    place = url.removeprefix("http://")
    with urlopen(f"http://{place}/api/v2/alerts?active=true", timeout=10) as answer:
        labels = [alert["labels"] for alert in json.load(answer)]
    return {(found["order_id"], found["rule"], found["lane"]) for found in labels}
