"""Alerts over HTTP: listed with their notes, which end with the alert or its escalation."""

from typing import Any

import msgspec
import pytest

from broker.consume import read_all
from dataflows.core.lifecycle import Lifecycle
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from schemas.topics import ORDERS_AUDIT
from tests.support.alerts import alert, order
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START, document

WARNING = alert(order_id="SO-1", severity="warning")
LATER = alert(order_id="SO-2", rule="silent", opened_at=START + 4 * DAY_MS)
ID, OTHER = WARNING["alert_id"], LATER["alert_id"]


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    door.put(order("SO-1", 1, WARNING, carrier="sf"), order("SO-2", 1, LATER))
    door.start()
    return door


@pytest.fixture
def operator(filled: Door) -> Client:
    return filled.client("operator", "default")


def audit(door: Door) -> list[dict[str, Any]]:
    found = read_all(door.connection, ORDERS_AUDIT)
    return [msgspec.json.decode(message.value or b"") for message in found]


def listed(client: Client, query: str = "") -> list[str]:
    return [each["order_id"] for each in client.get(f"/v1/alerts{query}").json["alerts"]]


def test_the_newest_is_first_and_filters_narrow(operator: Client) -> None:
    assert listed(operator) == ["SO-2", "SO-1"]
    assert listed(operator, "?severity=warning") == ["SO-1"]
    assert listed(operator, "?rule=silent") == ["SO-2"]
    assert listed(operator, "?carrier=sf") == ["SO-1"]
    first = operator.get("/v1/alerts?limit=1").json
    assert first["next"] == 1
    assert listed(operator, "?skip=1") == ["SO-1"]


def test_an_acknowledgement_names_its_operator_and_is_audited(
    filled: Door, operator: Client
) -> None:
    answer = operator.post(f"/v1/alerts/{ID}/ack")
    assert (answer.status, answer.json["state"]) == (200, "acked")
    mark = answer.json["acked"]
    (key_id,) = filled.keys.records
    assert mark == {"by": key_id, "at": format_instant(START), "ip": "127.0.0.1"}
    assert listed(operator, "?state=acked") == ["SO-1"]
    assert listed(operator, "?state=open") == ["SO-2"]
    (entry,) = audit(filled)
    assert (entry["what"], entry["operator"], entry["ip"]) == (
        *("alert.acknowledged", key_id, "127.0.0.1"),
    )
    assert entry["detail"]["alert_id"] == ID


def test_a_note_is_void_once_its_alert_escalates_and_goes_with_it(
    filled: EmbeddedDoor, operator: Client
) -> None:
    operator.post(f"/v1/alerts/{ID}/ack")
    filled.put(order("SO-1", 2, WARNING | {"severity": "overdue"}))
    assert listed(operator, "?state=acked") == []
    filled.put(document("SO-1", 3))
    assert operator.post(f"/v1/alerts/{ID}/ack").json["code"] == "unknown_alert"
    operator.post(f"/v1/alerts/{OTHER}/ack")
    assert set(filled.gateway.notes.records) == {OTHER}


def test_a_snooze_ends_by_itself(filled: Door, operator: Client) -> None:
    until = format_instant(START + HOUR_MS)
    answer = operator.post(f"/v1/alerts/{ID}/snooze", {"until": until})
    assert (answer.json["state"], answer.json["snoozed_until"]) == ("snoozed", until)
    notes = filled.gateway.notes.records[ID]
    assert notes.snoozed_until == until
    ended = operator.post(f"/v1/alerts/{ID}/snooze", {"until": ""})
    assert (ended.json["state"], ended.json["snoozed_until"]) == ("open", None)
    assert [entry["detail"]["until"] for entry in audit(filled)] == [until, ""]
    for wrong in (format_instant(START - 1), format_instant(START + 8 * DAY_MS), "soon"):
        refused = operator.post(f"/v1/alerts/{ID}/snooze", {"until": wrong})
        assert (refused.status, refused.json["field"]) == (400, "until")


def test_an_owner_is_set_and_taken_away(operator: Client) -> None:
    assert operator.post(f"/v1/alerts/{ID}/assign", {"to": "Li"}).json["owner"] == "Li"
    assert listed(operator, "?owner=Li") == ["SO-1"]
    assert operator.post(f"/v1/alerts/{ID}/assign", {"to": ""}).json["owner"] is None


def test_a_comment_is_a_note_event_of_the_order(filled: Door, operator: Client) -> None:
    for _ in range(2):
        sent = operator.post(f"/v1/alerts/{ID}/comment", {"text": "called"}, idempotency_key="k1")
        assert sent.status == 200
    events = [msgspec.json.decode(message.value or b"") for message in filled.events()]
    assert {each["event_id"] for each in events} == {events[0]["event_id"]}
    assert events[0]["status_code"] == "NOTE"
    assert (events[0]["order_id"], events[0]["personal"]) == ("SO-1", {"text": "called"})
    table: Lifecycle = filled.gateway.lifecycle
    assert table.is_note[table.index["NOTE"]]
    assert [entry["what"] for entry in audit(filled)] == ["alert.commented"]
    assert "called" not in str(audit(filled))


def test_a_session_writes_by_a_form_with_its_token(filled: EmbeddedDoor) -> None:
    access = filled.gateway.access
    key_id = filled.key().split("_")[1]
    cookie = access.sessions.session(key_id, access.now_s())
    client = Client(filled.app, cookie=f"ordertide_session={cookie}", origin="http://board.test")
    token = client.get("/v1/me").json["csrf_token"]
    form = "application/x-www-form-urlencoded"
    taken = client.post(
        f"/v1/alerts/{ID}/assign", f"to=Li&csrf={token}".encode(), content_type=form
    )
    assert taken.json["owner"] == "Li"
    refused = client.post(f"/v1/alerts/{ID}/assign", b"to=Wang&csrf=x", content_type=form)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert client.post(f"/v1/alerts/{ID}/ack").status == 403


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("assign", b"{}", 400, None),
        ("assign", b'{"to": 7}', 400, "to"),
        ("assign", b'{"to": "x", "from": "y"}', 400, None),
        ("comment", b'{"text": ""}', 400, "text"),
        ("comment", b"{", 400, None),
        ("comment", b"\xff", 400, None),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(
    operator: Client, path: str, body: bytes, status: int, field: str | None
) -> None:
    answer = operator.post(f"/v1/alerts/{ID}/{path}", body)
    assert (answer.status, answer.json.get("field")) == (status, field)


def test_a_neighbour_and_an_auditor_change_nothing(filled: EmbeddedDoor) -> None:
    neighbour = filled.client("operator", "acme")
    assert listed(neighbour) == []
    assert neighbour.post(f"/v1/alerts/{ID}/ack").json["code"] == "unknown_alert"
    auditor = filled.client("auditor", "default")
    assert listed(auditor) == ["SO-2", "SO-1"]
    assert auditor.post(f"/v1/alerts/{ID}/ack").status == 403
    assert audit(filled) == []


def test_without_the_broker_nothing_is_set(filled: EmbeddedDoor, operator: Client) -> None:
    filled.broker.go_down()
    answer = operator.post(f"/v1/alerts/{ID}/ack")
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert filled.gateway.notes.records == {}
    filled.broker.come_up()
