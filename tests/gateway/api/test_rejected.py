"""Rejected messages over HTTP: listed by code, source and time, and replayed as they came."""

from pathlib import Path
from typing import Any

import pytest

from broker.consume import Headers
from broker.produce import Producer
from gateway.api import rejected
from privacy.keys import FileKeyStore, MemoryKeyStore
from privacy.originals import seal_rejected
from schemas import topics
from schemas.instants import format_instant
from tests.support.asgi import Client
from tests.support.gateway import EmbeddedDoor

BROKEN = b'{"event_id": \x1b['
LOST = b'{"event_id":"1","source":"shop","order_id":"SO-1","status_code":"LOST_IN_SPACE"}'
OTHERS = b'{"event_id":"2","source":"erp","tenant":"acme","status_code":"LOST_IN_SPACE"}'
SECRET = b'{"personal": {"name": "Zhang"'


def put(door: EmbeddedDoor, code: str, value: bytes, **extra: str) -> None:
    headers: Headers = [
        (topics.HEADER_CODE, code.encode()),
        (topics.HEADER_REASON, f"why {code}".encode()),
        (topics.HEADER_TOPIC, extra.pop("topic", topics.EVENTS).encode()),
        (topics.HEADER_PARTITION, b"2"),
        (topics.HEADER_OFFSET, b"17"),
        *((name, value.encode()) for name, value in extra.items()),
    ]
    with Producer(door.connection, linger_ms=0) as producer:
        producer.send(topics.EVENTS_REJECTED, b"key", value, headers)


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    """Four letters, and one of a tier's writer."""
    put(door, "malformed_json", BROKEN)
    put(door, "unknown_status", LOST, ce_type="order")
    put(door, "unknown_status", OTHERS)
    put(door, "too_large", b"", **{topics.HEADER_SHA256: "ab12"})
    put(door, "wrong_key", b"{}", topic=topics.ORDERS_CHANGES)
    return door


def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = client.get(f"/v1/rejected{query}").json["letters"]
    return letters


def outcome(client: Client, **body: object) -> dict[str, Any]:
    answer = client.post("/v1/rejected/replay", body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def test_letters_come_with_their_reason_and_place_and_counts_by_code(filled: EmbeddedDoor) -> None:
    answer = filled.client().get("/v1/rejected").json
    others = {"malformed_json": 1, "too_large": 1, "wrong_key": 1}
    assert answer["counts"] == {"unknown_status": 2, **others}
    assert (answer["whole"], answer["next"]) == (True, None)
    letter = next(each for each in answer["letters"] if each["code"] == "malformed_json")
    assert (letter["reason"], letter["origin_topic"], letter["origin_offset"]) == (
        *("why malformed_json", "events", 17),
    )
    assert letter["sample"] == '{"event_id": \\x1b['
    assert [each["at"] for each in answer["letters"]] == sorted(
        (each["at"] for each in answer["letters"]), reverse=True
    )


def test_filters_and_pages_narrow(filled: EmbeddedDoor) -> None:
    client = filled.client()
    assert len(listed(client, "?code=unknown_status")) == 2
    (shop,) = listed(client, "?source=shop")
    assert shop["identifiers"] == {"event_id": "1", "source": "shop", "order_id": "SO-1"}
    at = shop["at"]
    assert shop in listed(client, f"?rejected_from={at}")
    assert shop not in listed(client, f"?rejected_to={at}")
    first = client.get("/v1/rejected?limit=3").json
    second = client.get("/v1/rejected?limit=3&skip=3").json
    assert (first["next"], second["next"]) == (3, None)
    places = [(each["partition"], each["offset"]) for each in first["letters"] + second["letters"]]
    assert len(set(places)) == 5


def test_older_letters_than_are_read_are_said(
    filled: EmbeddedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected, "MOST_READ", 4)  # one a partition, and all have the same key
    answer = filled.client().get("/v1/rejected").json
    assert (answer["counts"], answer["whole"]) == ({"wrong_key": 1}, False)


def test_a_replay_sends_the_originals_as_they_came(filled: EmbeddedDoor) -> None:
    client = filled.client()
    found = outcome(client, code="unknown_status")
    assert (found["replayed"], found["left_alone"], found["whole"]) == (2, 0, True)
    sent = filled.events()
    assert sorted(message.value or b"" for message in sent) == sorted([LOST, OTHERS])
    by_value = {message.value: message for message in sent}
    assert by_value[LOST].headers == [("ce_type", b"order")]
    assert by_value[LOST].key == b"key"


def test_single_letters_are_replayed_by_their_places(filled: EmbeddedDoor) -> None:
    client = filled.client()
    (letter,) = listed(client, "?source=shop")
    place = {"partition": letter["partition"], "offset": letter["offset"]}
    assert outcome(client, letters=[place])["replayed"] == 1
    assert [message.value for message in filled.events()] == [LOST]
    gone = {"partition": 0, "offset": 2**62}
    assert outcome(client, letters=[gone])["replayed"] == 0


def test_a_dry_run_sends_nothing(filled: EmbeddedDoor) -> None:
    found = outcome(filled.client(), rejected_from=format_instant(0), dry_run=True)
    assert (found["replayed"], found["left_alone"], found["dry_run"]) == (3, 2, True)
    assert filled.events() == []


def test_a_replay_of_everything_by_mistake_is_refused(filled: EmbeddedDoor) -> None:
    bodies: list[dict[str, object]] = [{}, {"dry_run": False}, {"letters": []}]
    for body in bodies:
        refused = filled.client().post("/v1/rejected/replay", body)
        assert (refused.status, refused.json["code"]) == (400, "bad_field")
    assert filled.events() == []


def test_a_tenants_operator_has_its_own_letters_alone(filled: EmbeddedDoor) -> None:
    acme, default = filled.client("operator", "acme"), filled.client("operator", "default")
    assert [each["identifiers"]["source"] for each in listed(acme)] == ["erp"]
    assert [each["identifiers"]["source"] for each in listed(default)] == ["shop"]
    assert outcome(acme, rejected_from=format_instant(0))["replayed"] == 1
    (letter,) = listed(default)
    place = {"partition": letter["partition"], "offset": letter["offset"]}
    assert outcome(acme, letters=[place])["replayed"] == 0
    assert [message.value for message in filled.events()] == [OTHERS]


def test_an_auditor_reads_and_replays_nothing(filled: EmbeddedDoor) -> None:
    auditor = filled.client("auditor")
    assert len(listed(auditor)) == 5
    assert auditor.post("/v1/rejected/replay", {"code": "unknown_status"}).status == 403


def test_a_sealed_original_is_opened_with_the_keys_of_this_host(
    door: EmbeddedDoor, tmp_path: Path
) -> None:
    keystore = FileKeyStore(tmp_path / "keys.json")
    put(door, "malformed_json", seal_rejected(SECRET, keystore))
    keystore.close()
    client = door.client()
    (letter,) = listed(client)
    assert letter["sample"] == ""
    assert outcome(client, code="malformed_json")["replayed"] == 1
    assert [message.value for message in door.events()] == [SECRET]
    door.gateway.originals.keystore.close()


def test_without_the_keys_a_sealed_original_is_left_alone(door: EmbeddedDoor) -> None:
    put(door, "malformed_json", seal_rejected(SECRET, MemoryKeyStore()))
    found = outcome(door.client(), code="malformed_json")
    assert (found["replayed"], found["sealed"]) == (0, 1)
    assert door.events() == []


def test_without_a_topic_there_is_nothing(door: EmbeddedDoor) -> None:
    answer = door.client().get("/v1/rejected").json
    assert (answer["counts"], answer["letters"]) == ({}, [])


def test_a_replay_that_is_not_confirmed_is_busy(filled: EmbeddedDoor) -> None:
    client = filled.client()
    filled.broker.go_down()
    answer = client.post("/v1/rejected/replay", {"code": "unknown_status"})
    assert (answer.status, answer.json["code"]) == (503, "busy")
    filled.broker.come_up()
