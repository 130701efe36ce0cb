"""Outcome of a run: from the topics, and from `ordertide replay` over the same events."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from broker.connect import Connection
from broker.consume import Message, held_offsets, read_all
from broker.end_offsets import EndOffsets
from broker.fetcher import Fetcher
from commands.replay import replay
from commands.replay_output import ORDER_FIELDS
from schemas import topics
from schemas.topics import HEADER_CODE, HEADER_VERSION
from tests.support.engine import OUTPUTS, PATIENCE_S
from tests.support.samples import END
from tests.support.waiting import wait_until

Json = dict[str, Any]
Said = tuple[str, str, str]  # alert_id, state, at

STATE_RANK = {"opened": 0, "escalated": 1, "resolved": 2}


class Outcome(NamedTuple):
    """Orders by id as replay shows them; the rest as sets of JSON texts."""

    orders: dict[str, Json]
    alerts: set[str]
    actions: set[str]
    audit: set[str]
    rejected: Counter[tuple[str, str]]  # (code, original)


def text(value: Json) -> str:
    """JSON that is equal where the values are."""
    return json.dumps(value, sort_keys=True)


def of_replay(
    messages: Iterable[bytes], folder: Path, until: int, rules: Path | None = None
) -> Outcome:
    """Outcome of `ordertide replay` on the same messages."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = folder / "events.ndjson"
    recording.write_bytes(b"\n".join(messages) + b"\n")
    out = folder / "replayed"
    replay((str(recording),), rules, None, until, 1, out)
    found = {name: rows(out / f"{name}.ndjson") for name in Outcome._fields}
    return Outcome(
        {order["order_id"]: order for order in found["orders"]},
        set(map(text, found["alerts"])),
        set(map(text, found["actions"])),
        set(map(text, found["audit"])),
        Counter((row["code"], row["original"]) for row in found["rejected"]),
    )


def lines(events: Iterable[Json]) -> list[bytes]:
    """Events as they are sent."""
    return [json.dumps(event).encode() for event in events]


def rows(path: Path) -> list[Json]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def wait_for_markers(connection: Connection) -> None:
    """Until no transaction is open: a commit is answered before its markers are everywhere."""
    if connection.embedded:
        return
    with EndOffsets(connection) as ends, Fetcher(connection, "any") as fetcher:
        for topic in OUTPUTS:
            is_over = partial(is_committed, ends, fetcher, topic)
            wait_until(is_over, f"the end of a transaction in {topic}")


def is_committed(ends: EndOffsets, fetcher: Fetcher, topic: str) -> bool:
    """Return True if no transaction is open in a topic."""
    return all(
        ends.get(topic, number, PATIENCE_S) <= committed
        for number, (_, committed) in held_offsets(fetcher.client, topic).items()
    )


def of_topics(connection: Connection) -> Outcome:
    """Outcome in the topics; repeated outputs count once."""
    wait_for_markers(connection)
    audit = [
        json.loads(message.value or b"") for message in read_all(connection, topics.ORDERS_AUDIT)
    ]
    actions = {
        text(json.loads(m.value or b"")) for m in read_all(connection, topics.ORDERS_ACTIONS)
    }
    assert actions == {text(entry["action"]) for entry in audit if "action" in entry}
    return Outcome(
        latest_orders(read_all(connection, topics.ORDERS_CHANGES)),
        {text(entry["alert"]) for entry in audit if "alert" in entry},
        actions,
        {text(entry) for entry in audit},
        rejected(read_all(connection, topics.EVENTS_REJECTED)),
    )


def latest_orders(changes: Iterable[Message]) -> dict[str, Json]:
    """The last document of each order, retired ones included; no sink may end with another."""
    last: dict[str, Json] = {}
    highest: dict[str, Json] = {}
    for message in changes:
        if message.value is None:
            continue
        order = json.loads(message.value)
        shown, name = {field: order[field] for field in ORDER_FIELDS}, order["order_id"]
        assert HEADER_VERSION not in dict(message.headers), "a document has it inside"
        last[name] = shown
        if name not in highest or order["version"] > highest[name]["version"]:
            highest[name] = shown
    assert last == highest, "a sink that ignores old versions would hold something else"
    return last


def rejected(messages: Iterable[Message]) -> Counter[tuple[str, str]]:
    """Dead letters by code and original, a letter that came twice once."""
    places = {
        tuple(message.headers[2:5]): (header(message, HEADER_CODE), (message.value or b"").decode())
        for message in messages
    }
    return Counter(places.values())


def header(message: Message, name: str) -> str:
    """The value of a header."""
    return next((value or b"").decode() for found, value in message.headers if found == name)


def assert_same(found: Outcome, expected: Outcome) -> None:
    """All of it, with the first difference to read."""
    assert found.orders.keys() == expected.orders.keys()
    for name, order in expected.orders.items():
        held = found.orders[name]
        assert held == order, [(k, held[k], order[k]) for k in order if held[k] != order[k]]
    assert found.alerts == expected.alerts
    assert found.actions == expected.actions
    assert found.audit == expected.audit
    assert found.rejected == expected.rejected


def assert_as_replayed(connection: Connection, events: Iterable[Json], folder: Path) -> None:
    """Check that the topics hold what a replay of the same events to `END` gives."""
    assert_same(of_topics(connection), of_replay(lines(events), folder / "replay", END))


def transitions(connection: Connection) -> dict[str, list[Said]]:
    """Per order, the alert transitions in the order of their first emission."""
    said: dict[str, dict[Said, None]] = {}
    for message in read_all(connection, topics.ORDERS_AUDIT):
        alert = json.loads(message.value or b"").get("alert")
        if alert:
            key = (alert["alert_id"], alert["state"], alert["at"])
            said.setdefault(alert["order_id"], {})[key] = None
    return {name: list(keys) for name, keys in said.items()}


def assert_prefix(found: dict[str, list[Said]], whole: Outcome) -> None:
    """Check that each order's transitions so far begin the whole run's; ties in time apart."""
    expected: dict[str, list[Said]] = {}
    for alert in map(json.loads, whole.alerts):
        key = (alert["alert_id"], alert["state"], alert["at"])
        expected.setdefault(alert["order_id"], []).append(key)
    for name, said in found.items():
        wanted = sorted(expected.get(name, []), key=lambda key: key[2])
        assert set(said) <= set(wanted), f"order {name}: said what is not so"
        assert [key[2] for key in said] == [key[2] for key in wanted[: len(said)]]
