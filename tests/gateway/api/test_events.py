"""Events over HTTP: each is answered, and what was answered is in the topic."""

import gzip
import json
from typing import Any

import msgspec
import pytest
import zstandard

from gateway.api.events import MOST_EVENTS
from gateway.body import MIB, from_gzip, from_zstd, unpacked
from gateway.problems import Problem
from schemas.instants import DAY_MS, format_instant
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START


def event(number: int = 1, **fields: object) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "source": "shop",
        "order_id": f"SO-{number}",
        "status_code": "PAID",
        "timestamp": format_instant(START),
        **fields,
    }


def values(door: Door) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message.value or b"") for message in door.events()]


@pytest.fixture
def shop(door: Door) -> Client:
    return door.client("ingest", "default")


def ndjson(count: int) -> bytes:
    return b"\n".join(msgspec.json.encode(event(n)) for n in range(count))


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (json.dumps(event(), indent=2).encode(), 1),
        (msgspec.json.encode([event(n) for n in range(3)]), 3),
        (ndjson(3) + b"\n\n", 3),
    ],
)
def test_one_an_array_and_lines_are_taken(
    door: Door, shop: Client, body: bytes, count: int
) -> None:
    answer = shop.post("/v1/events", body)
    assert (answer.status, answer.json["accepted"]) == (200, count)
    messages = door.events()
    assert len(messages) == count
    assert {message.key for message in messages} <= {b"SO-0", b"SO-1", b"SO-2"}
    headers = dict(messages[0].headers)
    assert headers["gateway-ip"] == b"127.0.0.1"
    assert headers["gateway-key"] in {key.encode() for key in door.keys.records}


def test_each_event_of_a_batch_is_answered(door: Door, shop: Client) -> None:
    batch = [
        event(1),
        event(1),
        event(2, status_code="PIAD"),
        {key: value for key, value in event(3).items() if key != "event_id"},
        event(4, timestamp=format_instant(START + 3 * DAY_MS)),
        event(5, tenant="acme"),
        7,
        {"kind": "tick", "recorded_at": format_instant(START)},
    ]
    answer = shop.post("/v1/events", batch)
    assert answer.status == 207
    assert [each["result"] for each in answer.json["results"]] == [
        *("accepted", "duplicate_in_batch"),
        *("rejected",) * 6,
    ]
    rejected = answer.json["results"][2:]
    assert [each["code"] for each in rejected] == [
        *("unknown_status", "invalid_event", "from_the_future", "forbidden"),
        *("invalid_event", "no_event"),
    ]
    assert [each.get("field") for each in rejected[:4]] == [
        *("status_code", "event_id", "timestamp", "tenant")
    ]
    assert "did you mean PAID?" in rejected[0]["message"]
    assert [each["event_id"] for each in values(door)] == ["e1"]


def test_a_batch_of_which_nothing_is_taken_is_a_422(door: Door, shop: Client) -> None:
    answer = shop.post("/v1/events", b'{"event_id": \n')
    assert (answer.status, answer.json["results"][0]["code"]) == (422, "malformed_json")
    assert values(door) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b" \n ", 400, "bad_json"),
        (b"[1,", 400, "bad_json"),
        (b"\xff\xfe[", 422, None),
        (ndjson(MOST_EVENTS + 1), 413, "too_large"),
        (b"x" * (4 * MIB + 1), 413, "too_large"),
        (b"[" * 100_000, 400, "bad_json"),
    ],
)
def test_a_body_that_holds_none_is_refused(
    shop: Client, body: bytes, status: int, code: str | None
) -> None:
    answer = shop.post("/v1/events", body)
    assert (answer.status, answer.json.get("code")) == (status, code)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)]
)
def test_a_compressed_body_is_taken_and_a_bomb_is_not(
    door: Door,
    shop: Client,
    encoding: str,
    pack: Any,  # noqa: ANN401 - either's function
) -> None:
    taken = shop.post("/v1/events", pack(ndjson(3)), content_encoding=encoding)
    assert (taken.status, len(values(door))) == (200, 3)
    bomb = shop.post("/v1/events", pack(b" " * (9 * MIB)), content_encoding=encoding)
    assert (bomb.status, bomb.json["code"]) == (413, "too_large")
    broken = shop.post("/v1/events", b"no such thing", content_encoding=encoding)
    assert (broken.status, broken.json["code"]) == (415, "bad_encoding")


def test_unpacking_stops_at_its_bound() -> None:
    bomb = gzip.compress(b"a" * (64 * MIB))
    assert len(from_gzip(bomb, 1000)) == 1000
    assert len(from_zstd(zstandard.compress(b"a" * MIB), 1000)) == 1000
    with pytest.raises(Problem, match="none of gzip, zstd"):
        unpacked(b"x", "br")


def test_what_announces_too_much_is_refused_before_it_is_read(shop: Client) -> None:
    answer = shop.post("/v1/events", b"", content_length=str(5 * MIB))
    assert answer.status == 413


@pytest.mark.parametrize("role", ["customer", "supplier", "carrier", "operator", "auditor"])
def test_only_a_key_for_it_feeds_events(door: Door, role: Any) -> None:  # noqa: ANN401 - a role
    assert door.client(role, "default", "x").post("/v1/events", event()).status == 403
    assert Client(door.app).post("/v1/events", event()).status == 401
    assert values(door) == []


def test_a_broker_that_is_away_is_a_503_and_what_is_sent_again_is_taken(
    door: EmbeddedDoor, shop: Client
) -> None:
    door.broker.go_down()
    answer = shop.post("/v1/events", event())
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "5"
    door.broker.come_up()
    assert shop.post("/v1/events", event()).status == 200
    assert {each["event_id"] for each in values(door)} == {"e1"}
