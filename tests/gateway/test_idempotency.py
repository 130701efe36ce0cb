"""Idempotency over HTTP: a repeated write gets the first answer, and writes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.embedded import EmbeddedBroker
from gateway.claims import RedisClaims
from gateway.idempotency import LONGEST_KEY
from schemas.instants import format_instant
from storage_tiering.hot.access import connect
from storage_tiering.hot.embedded import EmbeddedRedis
from tests.support.alerts import alert, order
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START

LATE = alert(order_id="SO-1")
COMMENT = f"/v1/alerts/{LATE['alert_id']}/comment"
ASSIGN = f"/v1/alerts/{LATE['alert_id']}/assign"


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    door.put(order("SO-1", 1, LATE))
    door.start()
    return door


def notes(door: Door) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message.value or b"") for message in door.events()]


def test_a_repeated_write_gets_the_first_answer_and_writes_nothing(filled: EmbeddedDoor) -> None:
    client = filled.client()
    first = client.post(COMMENT, {"text": "called"}, idempotency_key="k")
    filled.now_ms += 60_000
    again = client.post(COMMENT, b'{ "text" : "called" }', idempotency_key="k")
    assert (again.status, again.body) == (first.status, first.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert len(notes(filled)) == 1


def test_another_body_is_a_mismatch(filled: EmbeddedDoor) -> None:
    client = filled.client()
    client.post(ASSIGN, {"to": "Li"}, idempotency_key="k")
    refused = client.post(ASSIGN, {"to": "Wang"}, idempotency_key="k")
    assert (refused.status, refused.json["code"]) == (409, "idempotency_mismatch")
    assert client.post(ASSIGN, {"to": "Wang"}, idempotency_key="k2").json["owner"] == "Wang"


def test_a_key_is_the_callers_and_the_routes(filled: EmbeddedDoor) -> None:
    client, other = filled.client(), filled.client()
    assert client.post(ASSIGN, {"to": "Li"}, idempotency_key="k").json["owner"] == "Li"
    assert other.post(ASSIGN, {"to": "Wang"}, idempotency_key="k").json["owner"] == "Wang"
    assert client.post(COMMENT, {"text": "x"}, idempotency_key="k").status == 200


def test_a_refusal_is_an_answer_too(filled: EmbeddedDoor) -> None:
    client = filled.client()
    first = client.post("/v1/alerts/none/ack", idempotency_key="k")
    again = client.post("/v1/alerts/none/ack", idempotency_key="k")
    assert first.json["code"] == "unknown_alert"
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"


def test_after_an_uncertain_outcome_the_same_message_is_sent(filled: EmbeddedDoor) -> None:
    client = filled.client()
    filled.broker.go_down()
    assert client.post(COMMENT, {"text": "called"}, idempotency_key="k").status == 503
    filled.broker.come_up()
    filled.now_ms += 60_000
    assert client.post(COMMENT, {"text": "called"}, idempotency_key="k").status == 200
    assert {note["timestamp"] for note in notes(filled)} == {format_instant(START)}
    assert len({note["event_id"] for note in notes(filled)}) == 1


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1)])
def test_a_key_that_cannot_be_one_is_refused(filled: EmbeddedDoor, key: str) -> None:
    refused = filled.client().post(ASSIGN, {"to": "Li"}, idempotency_key=key)
    assert (refused.status, refused.json["field"]) == (400, "idempotency-key")


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


def shared_door(broker: EmbeddedBroker, folder: Path, redis: EmbeddedRedis) -> Door:
    door = Door(broker.connection, folder, claims=RedisClaims(connect(redis.url), "t:"))
    door.put(order("SO-1", 1, LATE))
    door.start()
    return door


def test_two_processes_share_their_answers_and_nobody_reads_them_in_redis(
    tmp_path: Path, redis: EmbeddedRedis
) -> None:
    with EmbeddedBroker() as broker:
        doors = [shared_door(broker, tmp_path, redis) for _ in range(2)]
        key = doors[0].key()
        doors[1].keys.records |= doors[0].keys.records
        clients = [Client(door.app, authorization=f"Bearer {key}") for door in doors]
        answers = [each.post(ASSIGN, {"to": "Wanda"}, idempotency_key="k") for each in clients]
        assert answers[0].body == answers[1].body
        assert answers[1].headers["idempotency-replayed"] == "true"
        held = connect(redis.url)
        (name,) = held.keys("t:idempotency:*")
        assert "Wanda" not in str(held.hgetall(name))
        held.close()
        for door in doors:
            door.close()


def test_without_redis_a_process_repeats_its_own_answers(
    tmp_path: Path, redis: EmbeddedRedis
) -> None:
    with EmbeddedBroker() as broker:
        door = shared_door(broker, tmp_path, redis)
        redis.close()
        client = door.client()
        answers = [client.post(ASSIGN, {"to": "Li"}, idempotency_key="k") for _ in range(2)]
        assert [each.status for each in answers] == [200, 200]
        assert answers[1].headers["idempotency-replayed"] == "true"
        door.close()
