"""An order that raises is set aside by a real flow, survives restarts, is listed and released."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from broker.consume import read_all
from commands.state.command import command
from dataflows.core.compiled import hash_of
from dataflows.core.questions import number_key
from dataflows.core.routing import SHARDS, shard_of
from dataflows.core.snapshots import decode_snapshot
from dataflows.state.local.frame import FrameIdentity, compress, frame, unframe
from dataflows.state.local.reader import StateReader
from dataflows.steps import decode_resolver
from dataflows.track import NUMBER_SHARDS
from schemas import topics
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.support.engine import Engine, Json
from tests.support.number_pages import page_of, records

STARTED_AT = parse_instant("2026-01-01T00:00:00Z")
ORDERS = ("A1", "A2", "A3")
encode = msgspec.msgpack.Encoder().encode


def event(order_id: str, code: str, at: int, **fields: Any) -> Json:  # noqa: ANN401 - any field of an event
    return {
        "event_id": f"{order_id}-{code}-{at}",
        "order_id": order_id,
        "status_code": code,
        "timestamp": format_instant(at),
        "source": "shop",
        **fields,
    }


def change_blobs(store: Path, shard: str, change: Callable[[bytes], bytes]) -> None:
    """Replace what all blobs of a shard hold, each with its right checksum."""
    reader = StateReader(store)
    name = reader.meta.store
    reader.close()
    database = sqlite3.connect(store)
    with database:
        query = "SELECT sequence, run, stored FROM blobs WHERE shard = ?"
        for sequence, run, stored in database.execute(query, (shard,)).fetchall():
            place = FrameIdentity(name, shard, sequence, run)
            changed = frame(*compress(change(unframe(stored, place))), place)
            database.execute(
                "UPDATE blobs SET stored = ? WHERE shard = ? AND sequence = ?",
                (changed, shard, sequence),
            )
    database.close()


def change_order(store: Path, key: str, change: Callable[[bytes], bytes]) -> bytes:
    """Replace an order in all blobs that hold it; what was there."""
    before: bytes | None = None

    def changed(blob: bytes) -> bytes:
        nonlocal before
        snapshot = decode_snapshot(blob)
        for number, (found, data) in enumerate(snapshot.orders):
            if found == key and data is not None:
                before = data
                snapshot.orders[number] = (key, change(data))
        return encode(snapshot)

    change_blobs(store, SHARDS[shard_of(key)], changed)
    assert before is not None, "the order is in no blob"
    return before


def documents(engine: Engine) -> dict[str, Json]:
    """The last document of each order."""
    return {
        (message.key or b"").decode(): json.loads(message.value)
        for message in read_all(engine.connection, topics.ORDERS_CHANGES)
        if message.value is not None
    }


def audited(engine: Engine, what: str) -> list[str]:
    entries = [json.loads(m.value or b"") for m in read_all(engine.connection, topics.ORDERS_AUDIT)]
    return [entry["order_id"] for entry in entries if entry["what"] == what]


def state(engine: Engine, *arguments: str) -> Result:
    path = engine.folder / "settings.toml"
    path.write_text(engine.settings(), "utf-8")
    return CliRunner().invoke(command, [arguments[0], "--settings", str(path), *arguments[1:]])


@pytest.mark.parametrize("broken", [b"", b"\xdc\0\x12\x02 cut off"], ids=["empty", "cut off"])
def test_a_broken_order_in_the_store_is_set_aside_and_released_when_it_is_mended(
    engine: Engine, broken: bytes
) -> None:
    store = engine.folder / "track" / "shards.sqlite"
    engine.feed([event(order, "PAID", STARTED_AT) for order in ORDERS])
    engine.start()
    engine.pass_to(STARTED_AT + HOUR_MS)
    engine.stop()
    whole = change_order(store, "A2", lambda _: broken)

    engine.start()
    engine.feed([event(order, "SHIPPED", STARTED_AT + 2 * HOUR_MS) for order in ORDERS])
    engine.pass_to(STARTED_AT + DAY_MS)
    metrics = engine.metrics()
    assert metrics["orders_set_aside"] == metrics["set_asides_total"] == 1
    assert metrics["waiting"] == 1
    found = documents(engine)
    assert [found[order]["status"] for order in ORDERS] == ["SHIPPED", "PAID", "SHIPPED"]
    engine.kill()

    engine.track["workers"] = 2  # the mark is part of the state, wherever its shard goes
    engine.start()
    engine.feed([event("A2", "DELIVERED", STARTED_AT + 30 * HOUR_MS)])
    engine.pass_to(STARTED_AT + 2 * DAY_MS)
    metrics = engine.metrics()
    assert (metrics["orders_set_aside"], metrics["set_asides_total"]) == (1, 0)
    assert metrics["waiting"] == 2
    listed = json.loads(state(engine, "set-aside", "--json").output)
    assert [(one["order_id"], one["waiting"]) for one in listed] == [("A2", 2)]
    engine.stop()
    assert engine.output().count("order 'A2' of 'default': set aside") == 1

    refused = state(engine, "release", "A2")
    assert refused.exit_code == 1
    assert "it would raise again" in refused.output
    engine.track["workers"] = 1
    change_order(store, "A2", lambda _: whole)
    released = state(engine, "release", "A2")
    assert released.exit_code == 0, released.output
    assert "2 events are applied when 'ordertide track' starts next" in released.output
    assert "released when track starts next" in state(engine, "set-aside").output

    engine.start()
    engine.pass_to(STARTED_AT + 3 * DAY_MS)
    assert engine.metrics()["orders_set_aside"] == engine.metrics()["waiting"] == 0
    assert documents(engine)["A2"]["status"] == "DELIVERED"
    engine.stop()
    assert "no order is set aside" in state(engine, "set-aside").output
    assert audited(engine, "order.set_aside") == audited(engine, "order.released") == ["A2"]


def test_an_order_that_is_not_set_aside_is_not_released(engine: Engine) -> None:
    engine.feed([event("A1", "PAID", STARTED_AT)])
    engine.start()
    engine.pass_to(STARTED_AT + HOUR_MS)
    engine.stop()
    result = state(engine, "release", "A1")
    assert result.exit_code != 0
    assert "order 'A1' of 'default': isn't set aside" in str(result.exception)
    assert not (engine.folder / "track" / "release.json").exists()


RULES = """
version = 1
[attributes]
parts = {{type = "int"}}
[[rule]]
id = "exploding"
statuses = ["PAID", "SHIPPED"]
anchor = "condition"
when = "{when}"
severity = "overdue"
[[rule]]
id = "late"
statuses = ["PAID"]
anchor = "milestone PAID"
after = "1h"
severity = "warning"
"""


def exploding() -> str:
    """A condition of a million iterations, for orders with the attribute."""
    text = "true"
    for number in range(6):
        text = f"[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].all(v{number}, {text})"
    return f"has(order.parts) && {text}"


def test_a_condition_that_exceeds_its_budget_is_false_and_the_flow_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(when=exploding()), "utf-8")
    engine.track["rules"] = str(rules)
    engine.feed(
        [
            event("A1", "PAID", STARTED_AT, attributes={"parts": 1}),
            event("A2", "PAID", STARTED_AT),
            event("A1", "SCAN", STARTED_AT + 1),
        ]
    )
    engine.start()
    engine.pass_to(STARTED_AT + 2 * HOUR_MS)
    assert engine.metrics()['condition_faults_total{rule="exploding"}'] == 2
    engine.kill()
    engine.start()
    engine.feed([event("A1", "SHIPPED", STARTED_AT + 3 * HOUR_MS)])
    engine.pass_to(STARTED_AT + DAY_MS)
    engine.stop()
    found = documents(engine)
    assert found["A1"]["status"] == "SHIPPED"
    assert [alert["rule"] for alert in found["A2"]["open_alerts"]] == ["late"]
    assert audited(engine, "condition.fault") == ["A1"]
    assert audited(engine, "order.set_aside") == []


def test_a_broken_number_in_the_store_rejects_its_events_and_the_flow_goes_on(
    engine: Engine,
) -> None:
    store = engine.folder / "track" / "shards.sqlite"
    engine.feed(
        [event(one, "PAID", STARTED_AT, references={"waybill": f"W-{one}"}) for one in ORDERS]
    )
    engine.start()
    engine.pass_to(STARTED_AT + HOUR_MS)
    engine.stop()
    break_number(store, number_key("default", "waybill", "W-A2"))
    engine.start()
    scans = [
        {**event(one, "IN_TRANSIT", STARTED_AT + 2 * HOUR_MS), "waybill": f"W-{one}"}
        for one in ORDERS
    ]
    for scan in scans:
        del scan["order_id"]
    engine.feed(scans)
    engine.pass_to(STARTED_AT + DAY_MS)
    metrics = engine.metrics()
    assert metrics['rejected_total{code="internal_fault"}'] == 1
    assert metrics["waiting"] == 0
    engine.stop()
    found = documents(engine)
    assert [found[order]["status"] for order in ORDERS] == ["SHIPPED", "PAID", "SHIPPED"]
    [letter] = read_all(engine.connection, topics.EVENTS_REJECTED)
    assert json.loads(letter.value or b"")["waybill"] == "W-A2"
    assert "number 'WA2': can't be resolved or registered" in engine.output()


def test_a_damaged_page_of_numbers_is_named_and_its_numbers_are_learned_again(
    engine: Engine,
) -> None:
    store = engine.folder / "track" / "shards.sqlite"
    registering = {"references": {"waybill": "W-A2"}}
    engine.feed([event("A2", "PAID", STARTED_AT, **registering)])
    engine.start()
    engine.pass_to(STARTED_AT + HOUR_MS)
    engine.stop()
    break_page(store, number_key("default", "waybill", "W-A2"))
    verified = state(engine, "verify")
    assert verified.exit_code == 1
    assert "1 of a damaged page: a base of 1 numbers holds 0" in verified.output
    engine.start()
    scan = event("A2", "IN_TRANSIT", STARTED_AT + 2 * HOUR_MS, waybill="W-A2")
    del scan["order_id"]
    engine.feed([scan])
    engine.pass_to(STARTED_AT + 3 * HOUR_MS)
    assert engine.metrics()["number_faults_total"] == 1
    assert engine.metrics()["waiting"] == 1
    engine.feed([event("A2", "PAID", STARTED_AT + 4 * HOUR_MS, **registering)])
    engine.pass_to(STARTED_AT + DAY_MS)
    assert engine.metrics()["waiting"] == 0
    engine.stop()
    assert documents(engine)["A2"]["status"] == "SHIPPED"
    assert "number '1 of a damaged page': can't be resolved or registered" in engine.output()


def break_page(store: Path, number: str) -> None:
    """Leave nothing but a damaged page in the base of a number's shard."""

    def damaged(blob: bytes) -> bytes:
        snapshot = decode_resolver(blob)
        if snapshot.is_all_waiting:
            snapshot.pages, snapshot.count = [page_of([(hash_of(number), b"cut off")])[:-1]], 1
        snapshot.changed = []
        return encode(snapshot)

    change_blobs(store, NUMBER_SHARDS[shard_of(number)], damaged)


def break_number(store: Path, number: str) -> None:
    """Damage the record of a number in all blobs of its shard."""
    key = hash_of(number)

    def damaged(blob: bytes) -> bytes:
        snapshot = decode_resolver(blob)
        snapshot.pages = [
            page_of([(one, b"broken" if one == key else record) for one, record in records(page)])
            for page in snapshot.pages
        ]
        snapshot.changed = [
            (one, b"broken" if one == key else record) for one, record in snapshot.changed
        ]
        return encode(snapshot)

    change_blobs(store, NUMBER_SHARDS[shard_of(number)], damaged)
