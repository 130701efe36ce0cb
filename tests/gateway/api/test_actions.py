"""Outcomes of actions over HTTP: reported once, on the order's timeline and in the audit."""

from typing import Any

import msgspec
import pytest

from broker.consume import read_all
from gateway.access.caller import EVERY_ROLE, Role
from gateway.api.actions import REPORTERS
from schemas.alert import Action, AuditEntry
from schemas.event import Event, decode_event
from schemas.instants import HOUR_MS, format_instant
from schemas.keys import content_id
from schemas.topics import ORDERS_AUDIT
from storage_tiering.records import outcome_record
from storage_tiering.tier import TopicPosition
from tests.support.actions import action
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START

WANTED = action("SO-1", "contact_carrier", at=START - HOUR_MS)
OF_SHOP = action("SO-1", "contact_carrier", at=START - HOUR_MS, tenant="shop")
ANSWERED_AT = format_instant(START - 60_000)
REPORT = {"order_id": "SO-1", "text": "will be delivered tomorrow", "at": ANSWERED_AT}


def requested(wanted: Action) -> AuditEntry:
    return AuditEntry(
        audit_id=content_id("audit", wanted.action_id),
        at=wanted.at,
        what="action.requested",
        tenant=wanted.tenant,
        order_id=wanted.order_id,
        detail={},
        action=wanted,
    )


@pytest.fixture
def filled(door: EmbeddedDoor) -> EmbeddedDoor:
    records = [
        outcome_record(requested(each), TopicPosition(ORDERS_AUDIT, 0, offset))
        for offset, each in enumerate((WANTED, OF_SHOP))
    ]
    door.tier.write_outcomes(records)
    return door


def path_of(wanted: Action = WANTED) -> str:
    return f"/v1/actions/{wanted.action_id}/outcome"


def audit(door: Door) -> list[dict[str, Any]]:
    found = read_all(door.connection, ORDERS_AUDIT)
    return [msgspec.json.decode(message.value or b"") for message in found]


def test_an_outcome_stands_on_the_timeline_and_in_the_audit(filled: Door) -> None:
    answer = filled.client("operator", "default").post(path_of(), REPORT)
    assert answer.status == 200, answer.body
    assert (answer.json["kind"], answer.json["at"]) == ("contact_carrier", ANSWERED_AT)
    (message,) = filled.events()
    note = msgspec.json.decode(message.value or b"")
    assert note["text"] == "contact_carrier: answered (will be delivered tomorrow)"
    assert note["action"]["action_id"] == WANTED.action_id
    event = decode_event(message.value or b"")
    assert isinstance(event, Event)
    assert (event.status_code, event.order_id, event.event_id) == (
        "NOTE",
        "SO-1",
        answer.json["event_id"],
    )
    assert event.source.startswith("action:"), "anchors nothing"
    (entry,) = audit(filled)
    (key_id,) = filled.keys.records
    assert (entry["what"], entry["operator"], entry["ip"]) == (
        "action.answered",
        key_id,
        "127.0.0.1",
    )
    assert entry["detail"] == {
        "action_id": WANTED.action_id,
        "kind": "contact_carrier",
        "state": "answered",
        "reason": "will be delivered tomorrow",
    }


def test_a_report_that_is_sent_again_is_the_same(filled: Door) -> None:
    client = filled.client("ingest", "default")
    ids = {
        client.post(path_of(), REPORT, idempotency_key="answer-7").json["event_id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert len({entry["audit_id"] for entry in audit(filled)}) == 1
    other = client.post(path_of(), REPORT, idempotency_key="answer-8").json["event_id"]
    assert other not in ids


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
def test_operators_and_keys_that_feed_events_report(filled: Door, role: Role) -> None:
    answer = filled.client(role, "default", "x").post(path_of(), REPORT)
    assert answer.status == (200 if role in REPORTERS else 403)
    assert {"operator", "manager", "admin", "ingest"} == REPORTERS


def test_an_action_of_another_tenant_or_order_is_unknown(filled: Door) -> None:
    client = filled.client("operator", "default")
    for path, report in (
        (path_of(OF_SHOP), REPORT),
        (path_of(OF_SHOP), {**REPORT, "tenant": "shop"}),
        (path_of(), {**REPORT, "order_id": "SO-2"}),
        ("/v1/actions/none/outcome", REPORT),
    ):
        answer = client.post(path, report)
        assert (answer.status, answer.json["code"]) == (404, "unknown_action")
    assert not filled.events()
    assert not audit(filled)
    of_all = filled.client("operator", None)
    assert of_all.post(path_of(OF_SHOP), {**REPORT, "tenant": "shop"}).status == 200


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({**REPORT, "at": format_instant(START + HOUR_MS)}, "at"),
        ({**REPORT, "at": "yesterday"}, "at"),
        ({**REPORT, "text": ""}, "text"),
        ({**REPORT, "text": "x" * 501}, "text"),
        ({**REPORT, "mood": "good"}, "mood"),
    ],
)
def test_what_is_no_report_is_refused_with_its_field(
    filled: Door, report: dict[str, object], field: str
) -> None:
    answer = filled.client("operator", "default").post(path_of(), report)
    assert answer.status in {400, 422}
    assert field in answer.json["detail"]
    assert not filled.events()
