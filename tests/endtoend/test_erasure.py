"""Erasing a customer on real servers: Kafka, Redis, Elasticsearch and HDFS."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.consume import read_all
from commands.privacy.command import command
from commands.wiring.tiers import BUILT_IN
from deploy.stack.kafka import Kafka
from privacy.keys import FileKeyStore, KeyErased
from privacy.originals import open_rejected
from privacy.seal import open_event
from schemas import topics
from schemas.order import AcceptedEvent
from storage_tiering.records import ACCEPTED
from tests.support.endtoend.installation import Installation
from tests.support.endtoend.places import tables_on
from tests.support.engine import Json
from tests.support.stack import address
from tests.support.tiers.elastic_places import clear, install

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ANN, BOB = {"name": "Ann Secret"}, {"name": "Bob Open"}
T0 = 1_517_400_000_000  # 2018-01-31T12:00:00Z
ORDERS = ("o1", "o8", "o9", "b1", "later")


def event(number: str, **fields: object) -> Json:
    return {
        "event_id": number,
        "source": "shop",
        "status_code": "PAID",
        "timestamp": "2018-01-31T10:15:00Z",
        **fields,
    }


def scan(number: str, waybill: str, **fields: object) -> Json:
    return event(number, source="carrier:sf", status_code="IN_TRANSIT", waybill=waybill, **fields)


EVENTS = [
    event("1", order_id="o1", customer_id="ann", waybill="SF-1 001", personal=ANN),
    event("2", order_id="o1", personal=ANN),
    scan("3", "sf1001", personal=ANN),
    scan("4", "SF9", personal=ANN),
    event("5", order_id="o9", waybill="SF9", personal=ANN),
    event("6", order_id="o9", customer_id="ann"),
    event("7", references={"erp": "so-1"}, personal=ANN),
    event("8", order_id="o8", references={"erp": "SO-1"}, customer_id="ann"),
    event("9", order_id="o8", references={"return_waybill": "RT-1"}),
    scan("10", "rt1", personal=ANN),
    event("11", order_id="o1", customer_id="ann", status_code="NOPE", personal=ANN),
    event("12", waybill="sf 9", status_code="NOPE", personal=ANN),
    event("b1", order_id="b1", customer_id="bob", waybill="SF2", personal=BOB),
    scan("b2", "SF2", personal=BOB),
]
LATER = [
    scan("21", "SF 1001", personal=ANN),
    scan("22", "RT 1", personal=ANN),
    event("23", order_id="later", customer_id="ann", personal=ANN),
]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A broker of our own, since the engine's topics have fixed names; tiers on the stack."""
    name, tables = tables_on({tier: address(tier) for tier in ("redis", "elasticsearch", "hdfs")})
    url = address("elasticsearch")["url"]
    install(url, name)
    with Kafka(tmp_path / "kafka") as kafka:
        made = Installation(tmp_path, kafka.address["bootstrap"], tables)
        yield made
        made.close()
    clear(url, name)


def test_nothing_of_an_erased_customer_opens_on_real_servers(installation: Installation) -> None:
    installation.start("track", *BUILT_IN)
    installation.feed(EVENTS)
    cut_off = json.dumps(EVENTS[0]).encode()[:-3]
    installation.producer.send(topics.EVENTS, None, cut_off)
    installation.tick(T0)
    installation.wait_for_all()
    assert opened(installation)["ann"], "before the erasure it opens"

    erased = CliRunner().invoke(command, ["erase", "ann", "--settings", str(installation.path)])
    assert erased.exit_code == 0, erased.output
    found = {words[0]: words[1:] for words in map(str.split, erased.output.splitlines()) if words}
    for place in (*BUILT_IN, topics.ORDERS_EVENTS, topics.EVENTS_REJECTED):
        _records, sealed, still_opens, clear_ones = map(int, found[place])
        assert sealed, f"{place}: {erased.output}"
        assert not still_opens
        assert not clear_ones

    installation.feed(LATER)
    installation.tick(T0 + 600_000)
    installation.wait_for_all()
    assert opened(installation) == {"ann": [], "bob": ["b1"] * 4 + ["b2"] * 4}


def opened(installation: Installation) -> dict[str, list[str]]:
    """The events, and dead letters, of which the personal data opens, by whose it is."""
    keystore = FileKeyStore(installation.folder / "keys.json")
    by_whom: dict[str, list[str]] = {"ann": [], "bob": []}
    for accepted in kept(installation):
        data = bytes(accepted.event)
        number = str(json.loads(data)["event_id"])
        try:
            personal = open_event(data, keystore)
        except KeyErased:
            continue
        if personal:
            by_whom["bob" if personal == BOB else "ann"].append(number)
    for letter in read_all(installation.connection, topics.EVENTS_REJECTED):
        try:
            original = open_rejected(letter.value or b"", keystore, letter.headers)
        except KeyErased:
            continue
        by_whom["ann"].append(original.decode())
    keystore.close()
    return {"ann": by_whom["ann"], "bob": sorted(by_whom["bob"])}


def kept(installation: Installation) -> Iterator[AcceptedEvent]:
    """Every accepted event, in the topic and in each tier."""
    for message in read_all(installation.connection, topics.ORDERS_EVENTS):
        yield ACCEPTED.decode(message.value or b"")
    for name in BUILT_IN:
        tier = installation.tier(name)
        for order in ORDERS:
            found = tier.find("default", order)
            yield from found.timeline if found else []
        tier.close()
