"""Commands over HTTP: who may set which status, what is possible, and the verdict of the core."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from broker.produce import Producer
from gateway.api.commands import allowed_by, next_of
from schemas.errors import SettingsError
from schemas.instants import HOUR_MS
from schemas.keys import event_hash
from schemas.topics import ORDERS_AUDIT
from tests.support.asgi import Client, Reply
from tests.support.gateway import TABLE, Door, EmbeddedDoor
from tests.support.stage import Json, Stage, sent
from tests.support.tiers.orders import START, accepted, document
from tests.support.waiting import wait_until

PARCELS = [
    {"shipment": "SF1", "carrier": "sf", "status": "IN_TRANSIT"},
    {"shipment": "ST1", "carrier": "sto", "status": "COLLECTED"},
]
URL = "/v1/orders/SO-1/commands"
PAID = sent("PAID", START - HOUR_MS, order_id="SO-1")


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    own: dict[str, Any] = {"customer_id": "c1", "supplier_id": "s1", "carrier": "sf"}
    door.put(document("SO-1", **own), document("SO-2", shipments=PARCELS, status="SHIPPED", **own))
    door.start()
    return door


def commands_sent(door: Door) -> list[Json]:
    return [msgspec.json.decode(message.value or b"") for message in door.events()]


@contextmanager
def deciding(door: Door, *before: Json) -> Iterator[None]:
    """Judge the first command by the real core, and write its audit entries as track does."""
    verdicts = door.gateway.verdicts
    verdicts.start()
    wait_until(lambda: verdicts.is_loaded, "the audit is followed")

    def decide() -> None:
        command = wait_until(lambda: commands_sent(door), "a command")[0]
        stage = Stage()
        stage.hear(*before)
        stage.hear(command)
        with Producer(door.connection, linger_ms=0) as producer:
            for entry in stage.audit:
                producer.send(ORDERS_AUDIT, b"SO-1", msgspec.json.encode(entry))

    thread = threading.Thread(target=decide)
    thread.start()
    yield
    thread.join()


def test_an_accepted_command_is_an_event_with_its_operator(filled: EmbeddedDoor) -> None:
    reason = {"status": "ALLOCATED", "reason": "stock came"}
    answer = filled.client("operator", "default").post(URL, reason)
    assert (answer.status, answer.json["verdict"]) == (202, None)
    (event,) = commands_sent(filled)
    assert event["event_id"] == answer.json["event_id"]
    assert (event["kind"], event["status_code"], event["order_id"]) == (
        *("command", "ALLOCATED", "SO-1"),
    )
    assert event["ip"] == "127.0.0.1"
    assert event["operator"] in filled.keys.records
    assert event["personal"] == {"text": "stock came"}


def test_the_core_accepts_what_is_answered_as_possible(filled: EmbeddedDoor) -> None:
    with deciding(filled, PAID):
        answer = filled.client().post(URL, {"status": "ALLOCATED"}, prefer="wait=9")
    assert (answer.status, answer.json["verdict"]) == (200, "accepted")
    assert answer.headers["preference-applied"] == "wait=9"


def test_a_verdict_that_refuses_lists_what_is_possible(filled: EmbeddedDoor) -> None:
    """The tier lags: meanwhile the order was shipped."""
    shipped = sent("SHIPPED", START - 1_000, order_id="SO-1")
    with deciding(filled, PAID, shipped):
        answer = filled.client().post(
            URL, {"status": "ALLOCATED"}, prefer="respond-async, wait=9", idempotency_key="k"
        )
    assert (answer.status, answer.json["code"]) == (409, "not_possible")
    assert answer.json["possible"] == ["DELIVERED", "RETURN_REQUESTED", "RETURNING"]
    again = filled.client().post(URL, {"status": "ALLOCATED"}, idempotency_key="k")
    assert again.status == 202  # of another caller


def test_without_a_verdict_in_time_it_is_only_taken(filled: EmbeddedDoor) -> None:
    answer = filled.client().post(URL, {"status": "ALLOCATED"}, prefer="wait=1")
    assert (answer.status, answer.json["verdict"]) == (202, None)


def test_what_cannot_come_next_is_refused_before_it_is_sent(filled: EmbeddedDoor) -> None:
    answer = filled.client().post(URL, {"status": "RETURNED"})
    assert (answer.status, answer.json["code"], answer.json["field"]) == (
        *(409, "not_possible", "status"),
    )
    assert (
        answer.json["possible"] == next_of(TABLE, "PAID") == ["ALLOCATED", "CANCELLED", "SHIPPED"]
    )
    assert commands_sent(filled) == []


def test_a_repeated_command_is_one_event(filled: EmbeddedDoor) -> None:
    client = filled.client()
    ids = {
        client.post(URL, {"status": "ALLOCATED"}, idempotency_key=key).json["event_id"]
        for key in ("a", "a", "b")
    }
    assert len(ids) == 2


def test_an_order_that_has_the_command_already_answers_so(filled: EmbeddedDoor) -> None:
    """Also where the answers to Idempotency-Keys were lost."""
    client = filled.client()
    first = client.post(URL, {"status": "ALLOCATED"}, idempotency_key="a").json["event_id"]
    filled.put(document("SO-1", version=2, status="ALLOCATED", customer_id="c1"))
    known = accepted("SO-1", first)
    hashed = f"{event_hash('gateway', first):016x}"
    filled.put_events(msgspec.structs.replace(known, event_hash=hashed, status="ALLOCATED"))
    filled.now_ms += 25 * HOUR_MS
    again = client.post(URL, {"status": "ALLOCATED"}, idempotency_key="a")
    assert (again.status, again.json["event_id"], again.json["verdict"]) == (
        *(200, first, "accepted"),
    )
    filled.now_ms += 25 * HOUR_MS
    other = client.post(URL, {"status": "CANCELLED"}, idempotency_key="a")
    assert (other.status, other.json["code"]) == (409, "idempotency_mismatch")
    assert len(commands_sent(filled)) == 1


def posted(client: Client, order_id: str, **body: Any) -> Reply:  # noqa: ANN401 - any JSON
    return client.post(f"/v1/orders/{order_id}/commands", body)


def test_a_customer_confirms_and_asks_for_a_return_only(filled: EmbeddedDoor) -> None:
    customer = filled.client("customer", "default", "c1")
    assert posted(customer, "SO-2", status="RETURN_REQUESTED").status == 202
    assert posted(customer, "SO-1", status="CANCELLED").json["code"] == "forbidden"
    early = posted(customer, "SO-1", status="COMPLETED")
    assert (early.json["code"], early.json["possible"]) == ("not_possible", [])


def test_a_supplier_sets_the_statuses_of_its_stages(filled: EmbeddedDoor) -> None:
    supplier = filled.client("supplier", "default", "s1")
    assert posted(supplier, "SO-1", status="ALLOCATED").status == 202
    assert posted(supplier, "SO-1", status="CANCELLED").json["code"] == "forbidden"


def test_a_carrier_reports_its_own_parcels(filled: EmbeddedDoor) -> None:
    carrier = filled.client("carrier", "default", "sf")
    taken = posted(carrier, "SO-2", status="OUT_FOR_DELIVERY", shipment="SF1")
    assert (taken.status, taken.json["shipment"]) == (202, "SF1")
    (event,) = commands_sent(filled)
    assert (event["shipment"], event.get("kind")) == ("SF1", None)
    for wrong in ({"shipment": "ST1"}, {"shipment": "SF9"}, {}):
        refused = posted(carrier, "SO-2", status="OUT_FOR_DELIVERY", **wrong)
        assert (refused.status, refused.json["field"]) == (
            400,
            "status" if not wrong else "shipment",
        )
    assert posted(carrier, "SO-2", status="DELIVERED").json["field"] == "shipment"
    back = posted(carrier, "SO-2", status="COLLECTED", shipment="SF1")
    assert back.json["code"] == "not_possible"
    assert "DELIVERED" in back.json["possible"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "PAYD"}, "status"),
        ({"status": "IN_TRANSIT"}, "status"),
        ({"status": "ALLOCATED", "shipment": "x"}, "status"),
        ({"status": "ALLOCATED", "reason": "x" * 2_001}, "reason"),
        ({}, None),
    ],
)
def test_a_command_that_cannot_be_one_is_refused(
    filled: EmbeddedDoor, body: Json, field: str | None
) -> None:
    answer = filled.client().post(URL, body)
    assert (answer.status, answer.json.get("field")) == (400, field)
    assert commands_sent(filled) == []


def test_without_the_broker_nothing_is_acknowledged(filled: EmbeddedDoor) -> None:
    filled.broker.go_down()
    answer = filled.client().post(URL, {"status": "ALLOCATED"})
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    filled.broker.come_up()


def test_the_settings_name_other_statuses_of_a_party() -> None:
    allowed = allowed_by({"customer": "RETURN_REQUESTED", "carrier": ""}, TABLE)
    assert allowed["customer"] == {"RETURN_REQUESTED"}
    assert allowed["carrier"] == set()
    assert "SHIPPED" in allowed["supplier"]
    for settings, text in [
        ({"operator": "PAID"}, "serve.commands.operator: no party's role"),
        ({"customer": "COMPLETE"}, "did you mean COMPLETED?"),
    ]:
        with pytest.raises(SettingsError, match=text.replace("?", r"\?")):
            allowed_by(settings, TABLE)
