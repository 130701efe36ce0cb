"""Alerts in bulk over HTTP: by ids or by a filter, and never one that nobody saw."""

from typing import Any

import msgspec
import pytest

from broker.consume import read_all
from gateway.api.alerts_bulk import MOST_NAMED
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from schemas.topics import ORDERS_AUDIT
from tests.support.alerts import alert, order
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START, document

URL = "/v1/alerts/bulk"
ALERTS = [alert(order_id=f"SO-{n}") for n in range(5)]
IDS = [each["alert_id"] for each in ALERTS]
SILENT = alert("silent", order_id="SO-silent")


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    late = [order(f"SO-{n}", 1, each, carrier="sf") for n, each in enumerate(ALERTS)]
    door.put(*late, order("SO-silent", 1, SILENT))
    door.start()
    return door


@pytest.fixture
def operator(filled: Door) -> Client:
    return filled.client("operator", "default")


def acked(client: Client) -> set[str]:
    return {each["alert_id"] for each in client.get("/v1/alerts?state=acked").json["alerts"]}


def audit(door: Door) -> list[dict[str, Any]]:
    found = read_all(door.connection, ORDERS_AUDIT)
    return [msgspec.json.decode(message.value or b"") for message in found]


def test_alerts_are_acknowledged_by_their_ids(filled: Door, operator: Client) -> None:
    answer = operator.post(URL, {"action": "ack", "ids": [IDS[0], IDS[3], "none", IDS[0]]})
    assert answer.json == {"changed": 2, "unknown": ["none"]}
    assert acked(operator) == {IDS[0], IDS[3]}
    entries = audit(filled)
    assert {entry["detail"]["alert_id"] for entry in entries} == {IDS[0], IDS[3]}
    assert {entry["what"] for entry in entries} == {"alert.acknowledged"}
    assert len({entry["audit_id"] for entry in entries}) == 2


def test_a_filter_means_the_alerts_of_a_storm(operator: Client) -> None:
    body = {"action": "ack", "filter": {"rule": "late_shipping", "carrier": "sf"}, "count": 5}
    assert operator.post(URL, body).json == {"changed": 5, "unknown": []}
    assert acked(operator) == set(IDS)
    rest = {"action": "ack", "filter": {"state": "open"}, "count": 1}
    assert operator.post(URL, rest).json["changed"] == 1


def test_what_opened_meanwhile_is_not_acknowledged_unseen(
    filled: EmbeddedDoor, operator: Client
) -> None:
    body = {"action": "ack", "filter": {"rule": "late_shipping"}, "count": 5}
    filled.put(order("SO-new", 1, alert(order_id="SO-new")))
    refused = operator.post(URL, body)
    assert (refused.status, refused.json["code"]) == (409, "count_differs")
    assert "means 6" in refused.json["detail"]
    assert acked(operator) == set()
    assert audit(filled) == []


def test_a_snooze_and_an_owner_are_set_on_many(filled: Door, operator: Client) -> None:
    until = format_instant(START + HOUR_MS)
    operator.post(URL, {"action": "snooze", "ids": IDS, "until": until})
    operator.post(URL, {"action": "assign", "ids": IDS[:2], "to": "Li"})
    notes = filled.gateway.notes.records
    assert {notes[each].snoozed_until for each in IDS} == {until}
    assert [notes[each].owner for each in IDS] == ["Li", "Li", None, None, None]
    operator.post(URL, {"action": "assign", "filter": {"owner": "Li"}, "count": 2, "to": ""})
    assert notes[IDS[0]].owner is None
    assert [entry["detail"].get("to") for entry in audit(filled)].count("") == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "ack"}, "ids"),
        ({"action": "ack", "ids": []}, "ids"),
        ({"action": "ack", "ids": ["x"] * (MOST_NAMED + 1)}, "ids"),
        ({"action": "ack", "ids": ["x"], "filter": {}}, "ids"),
        ({"action": "ack", "filter": {}}, "count"),
        ({"action": "ack", "ids": ["x"], "to": "Li"}, "to"),
        ({"action": "assign", "ids": ["x"]}, "to"),
        ({"action": "snooze", "ids": ["x"]}, "until"),
        ({"action": "snooze", "ids": ["x"], "until": format_instant(START + 8 * DAY_MS)}, "until"),
        ({"action": "close", "ids": ["x"]}, "action"),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(
    operator: Client, body: dict[str, object], field: str
) -> None:
    answer = operator.post(URL, body)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_neighbour_and_an_auditor_change_nothing(filled: EmbeddedDoor) -> None:
    neighbour = filled.client("operator", "acme")
    found = neighbour.post(URL, {"action": "ack", "ids": IDS}).json
    assert found == {"changed": 0, "unknown": IDS}
    every = {"action": "ack", "filter": {}, "count": 6}
    assert neighbour.post(URL, every).json["code"] == "count_differs"
    assert filled.client("auditor", "default").post(URL, every).status == 403
    assert filled.gateway.notes.records == {}


def test_a_thousand_alerts_are_one_batch(door: EmbeddedDoor) -> None:
    many = [alert(order_id=f"SO-{n}") for n in range(MOST_NAMED)]
    door.put(*(order(f"SO-{n}", 1, each) for n, each in enumerate(many)), document("normal"))
    door.start()
    ids = [each["alert_id"] for each in many]
    answer = door.client().post(URL, {"action": "ack", "ids": ids})
    assert answer.json == {"changed": MOST_NAMED, "unknown": []}
    assert door.gateway.notes.records.keys() == set(ids)


def test_without_the_broker_nothing_is_set(filled: EmbeddedDoor, operator: Client) -> None:
    filled.broker.go_down()
    answer = operator.post(URL, {"action": "ack", "ids": IDS})
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert filled.gateway.notes.records == {}
    filled.broker.come_up()
