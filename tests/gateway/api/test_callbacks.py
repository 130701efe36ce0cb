"""Callbacks of carriers: proven, written, and only then acknowledged in the carrier's own form."""

import asyncio
import json
from collections.abc import Iterable
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from gateway.api.callbacks import accounts_of
from schemas.errors import SettingsError
from tests.support.asgi import Client, Reply
from tests.support.gateway import REST_TOKEN, SF_TOKEN, Door, EmbeddedDoor

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
SF_PUSH = (PAYLOADS / "sf" / "RoutePushService_request.json").read_bytes()
SF = f"/v1/carriers/sf/main/callback/{SF_TOKEN}"
REST = f"/v1/carriers/rest/depot/callback/{REST_TOKEN}"
GOOD = {"order_id": "SO-1", "status_code": "arrived", "timestamp": "2017-10-01T08:00:00Z"}


@pytest.fixture
def carrier(door: Door) -> Client:
    return Client(door.app)


def values(door: Door) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message.value or b"") for message in door.events()]


def test_a_push_is_taken_with_the_carriers_own_answer(door: Door, carrier: Client) -> None:
    answer = carrier.post(SF, SF_PUSH)
    assert (answer.status, answer.json["return_code"]) == (200, "0000")
    sent = values(door)
    assert {each["waybill"] for each in sent} == {"SF7444400031887"}
    assert {message.key for message in door.events()} == {b"SF7444400031887"}
    assert dict(door.events()[0].headers)["gateway-key"] == b"sf/main"
    registry = door.gateway.metrics.registry
    labels = {"carrier": "sf", "outcome": "taken"}
    assert registry.get_sample_value("ordertide_callback_scans_total", labels) == len(sent)


def test_kuaidi100_proves_itself_by_its_signature(door: Door, carrier: Client) -> None:
    param = next((PAYLOADS / "kuaidi100").glob("push_yunda*")).read_text("utf-8")
    sign = md5(f"{param}a salt".encode()).hexdigest().upper()  # noqa: S324 - as it signs
    form = urlencode({"param": param, "sign": sign}).encode()
    assert carrier.post("/v1/carriers/kuaidi100/main/callback", form).json["returnCode"] == "200"
    forged = urlencode({"param": param, "sign": "0" * 32}).encode()
    assert carrier.post("/v1/carriers/kuaidi100/main/callback", forged).status == 400
    assert len(values(door)) == 10


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/carriers/sf/main/callback", {}),
        ("/v1/carriers/sf/main/callback", {"x_callback_token": SF_TOKEN}),
        ("/v1/carriers/sf/main/callback/wrong-token-of-some-length", {}),
        (f"/v1/carriers/sf/main/callback/{REST_TOKEN}", {}),
    ],
)
def test_a_push_without_its_proof_is_refused_in_the_carriers_form(
    door: Door, carrier: Client, path: str, headers: dict[str, str]
) -> None:
    answer = carrier.post(path, SF_PUSH, **headers)
    assert (answer.status, answer.json["return_code"]) == (400, "1000")
    assert values(door) == []


@pytest.mark.parametrize("path", ["/v1/carriers/sf/other/callback", "/v1/carriers/ups/x/callback"])
def test_an_account_that_is_not_set_up_is_not_found(carrier: Client, path: str) -> None:
    answer = carrier.post(path, SF_PUSH)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_generic_carrier_names_each_missing_field(door: Door, carrier: Client) -> None:
    answer = carrier.post(REST, {"text": "x"})
    assert answer.status == 400
    assert answer.json["message"] == "order_id, status_code, timestamp: missing; send them"
    for name in GOOD:
        part = {key: value for key, value in GOOD.items() if key != name}
        assert carrier.post(REST, part).json["message"] == f"{name}: missing; send them"
    assert values(door) == []


def test_the_generic_carrier_maps_codes_by_its_settings(door: Door, carrier: Client) -> None:
    assert carrier.post(REST, [GOOD, GOOD | {"order_id": "SO-2"}]).json["accepted"]
    assert [each["status_code"] for each in values(door)] == ["IN_TRANSIT"] * 2
    assert {each["raw_status"] for each in values(door)} == {"arrived"}


def test_a_scan_that_cannot_be_read_is_counted_and_the_others_are_taken(
    door: Door, carrier: Client
) -> None:
    assert carrier.post(REST, [GOOD, {"order_id": "SO-2"}]).status == 200
    assert len(values(door)) == 1
    labels = {"carrier": "rest", "outcome": "unreadable"}
    count = door.gateway.metrics.registry.get_sample_value("ordertide_callback_scans_total", labels)
    assert count == 1


@pytest.mark.parametrize("body", [b"", b"[", b"\xff\xff", b"{}", b'"x"', b"[" * 50_000])
def test_garbage_is_refused_in_the_carriers_form(carrier: Client, body: bytes) -> None:
    assert carrier.post(REST, body).json["accepted"] is False
    assert carrier.post(SF, body).json["return_code"] == "1000"


def test_a_broker_that_is_away_is_a_503_in_the_carriers_form(
    door: EmbeddedDoor, carrier: Client
) -> None:
    door.broker.go_down()
    answer = carrier.post(SF, SF_PUSH)
    assert (answer.status, answer.json["return_code"]) == (503, "1000")
    assert answer.headers["retry-after"] == "5"
    door.broker.come_up()
    assert carrier.post(SF, SF_PUSH).status == 200
    nodes = json.loads(SF_PUSH)["Body"]["WaybillRoute"]
    assert len({each["event_id"] for each in values(door)}) == len(nodes)


PUSHES, AT_ONCE, DOWN_AFTER, UP_AFTER = 1_000, 30, 300, 60


def test_of_1000_pushes_each_that_is_answered_2xx_is_in_kafka_though_the_broker_fails(
    door: EmbeddedDoor, carrier: Client
) -> None:
    """It fails in their middle; the others are 503 in the carrier's form, and come again."""
    answers: dict[int, Reply] = {}

    def is_refused(number: int) -> bool:
        return answers[number].status != 200

    async def push(number: int, turn: asyncio.Semaphore) -> None:
        body = msgspec.json.encode(GOOD | {"order_id": f"SO-{number}"})
        async with turn:
            answers[number] = await carrier.exchange("POST", REST, body)
        if len(answers) == DOWN_AFTER:
            door.broker.go_down()
        if sum(map(is_refused, answers)) == UP_AFTER:
            door.broker.come_up()

    async def push_all(numbers: Iterable[int]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(push(number, turn) for number in numbers))

    asyncio.run(push_all(range(PUSHES)))
    refused = [number for number in answers if is_refused(number)]
    assert len(refused) >= UP_AFTER
    for number in refused:
        assert (answers[number].status, answers[number].json["accepted"]) == (503, False)
        assert int(answers[number].headers["retry-after"]) >= 1
    held = {each["order_id"] for each in values(door)}
    assert {f"SO-{number}" for number in answers if not is_refused(number)} <= held
    asyncio.run(push_all(refused))
    assert not [number for number in refused if is_refused(number)]
    assert {each["order_id"] for each in values(door)} == {f"SO-{n}" for n in range(PUSHES)}


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"sf.token": "x" * 16}, "name the carrier, the account and the option"),
        ({"ups.main.token": "x"}, "no such plug-in"),
        ({"sf.main.token": "short"}, "length >= 16"),
        ({"sf.main.statuses": "x", "sf.main.statuses.9": "LOST"}, "statuses is set already"),
    ],
)
def test_an_account_that_cannot_be_used_is_named(settings: dict[str, str], part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        accounts_of(settings)
