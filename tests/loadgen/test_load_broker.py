"""`ordertide load` into a broker: the dataflow ends with exactly what the load expects."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.consume import Message, read_all
from broker.embedded import EmbeddedBroker
from loadgen.output import INTENDED_AT
from schemas import topics
from schemas.instants import format_instant, parse_instant
from tests.support.engine import Engine
from tests.support.outcome import latest_orders
from tests.support.recording import ordertide

Json = dict[str, Any]
STEADY = ("--rate", 30, "--live-orders", 150, "--duration", "20s", "--malformed", 0.02)
FATES = {
    "messages_read_total": "events_read",
    "ticks_total": "ticks",
    "applied_total": "events_applied",
    "duplicates_total": "events_duplicate",
    "refused_total": "events_refused",
    "waiting": "events_waiting",
}


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        yield embedded


@pytest.fixture
def engine(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(broker, tmp_path)
    yield made
    made.close()


def loaded(engine: Engine, *options: object) -> Json:
    """The expectation of a load into the engine's broker."""
    settings, expect = engine.folder / "load.toml", engine.folder / "expect.json"
    settings.write_text(engine.settings(), encoding="utf-8")
    ran = ordertide("load", "--settings", settings, "--expect", expect, *options)
    assert ran.code == 0, ran
    found: Json = json.loads(expect.read_text("utf-8"))
    return found


def header(message: Message, name: str) -> bytes | None:
    return next((value for found, value in message.headers if found == name), None)


def test_the_dataflow_ends_with_exactly_what_was_expected(engine: Engine, seed: int) -> None:
    engine.start()
    expected = loaded(engine, *STEADY, "--seed", seed % 1000)
    engine.wait_for_clock(parse_instant(expected["end"]))
    engine.wait_for_barrier()
    counted = engine.metrics()
    engine.stop()
    assert {name: counted[name] for name in FATES} == {
        name: expected[fate] for name, fate in FATES.items()
    }
    orders = latest_orders(read_all(engine.connection, topics.ORDERS_CHANGES))
    assert Counter(order["status"] for order in orders.values()) == expected["orders_by_status"]
    letters = read_all(engine.connection, topics.EVENTS_REJECTED)
    codes = Counter((header(letter, topics.HEADER_CODE) or b"").decode() for letter in letters)
    assert codes == expected["rejected_by_code"]


def test_on_a_live_clock_each_message_says_when_it_was_to_be_sent(engine: Engine) -> None:
    options = ("--rate", 30, "--live-orders", 150, "--duration", "2s", "--clock", "live")
    expected = loaded(engine, *options, "--out-of-order", 0, "--late", 0, "--malformed", 0)
    messages = list(read_all(engine.connection, topics.EVENTS))
    assert len(messages) == expected["events_read"]
    assert not expected["ticks"]
    timed = 0
    for message in messages:
        intended_at = int(header(message, INTENDED_AT) or b"")
        event = json.loads(message.value or b"")
        assert "recorded_at" not in event
        if parse_instant(event["timestamp"]) >= expected["started_at"]:
            # A second copy comes later than its event; no message is due before it happens.
            assert event["timestamp"] <= format_instant(intended_at)
            timed += event["timestamp"] == format_instant(intended_at)
    assert timed > 20
    assert expected["behind_ms"] < 60_000


def test_scans_are_keyed_by_waybill_and_the_rest_by_order(engine: Engine) -> None:
    loaded(engine, *STEADY, "--malformed", 0)
    for message in read_all(engine.connection, topics.EVENTS):
        event = json.loads(message.value or b"")
        if event.get("kind") != "tick":
            assert message.key == (event.get("order_id") or event["waybill"]).encode()
