"""The audit on an order's page: for staff, in words, with actions and what came of them."""

from datetime import UTC
from typing import Any

import msgspec
import pytest

from commands.wiring.wording import alert_text
from gateway.board.audit import audit_rows, entries_of
from gateway.board.timeline import days
from gateway.board.wording import Words
from schemas.alert import Action, AuditEntry, Because
from schemas.instants import HOUR_MS, format_instant
from schemas.order import OrderDocument
from schemas.topics import ORDERS_AUDIT
from storage_tiering.memory import MemoryTier
from storage_tiering.records import outcome_record
from storage_tiering.tier import TopicPosition
from tests.support.alerts import alert, order
from tests.support.gateway import RULES, TABLE, Door, EmbeddedDoor
from tests.support.tiers.orders import START, accepted

WORDS = Words("en", UTC, alert_text(RULES, TABLE))
BECAUSE = msgspec.convert(alert()["because"], Because)
ACTION = Action(
    action_id="a1",
    tenant="default",
    order_id="SO-1",
    kind="contact_carrier",
    rule="late_shipping",
    at=format_instant(START),
    expires_at=format_instant(START + HOUR_MS),
    alert_id=None,
    because=BECAUSE,
)


def entry(what: str, at: int = START, **fields: Any) -> AuditEntry:  # noqa: ANN401 - any field
    audit_id = f"{what} {at}"
    filled = {"tenant": "default", "order_id": "SO-1", "detail": {}, **fields}
    return AuditEntry(audit_id=audit_id, at=format_instant(at), what=what, **filled)


def kept(tier: MemoryTier, *entries: AuditEntry) -> MemoryTier:
    places = (TopicPosition(ORDERS_AUDIT, 0, offset) for offset in range(len(entries)))
    tier.write_outcomes([*map(outcome_record, entries, places)])
    return tier


@pytest.fixture
def audited(door: EmbeddedDoor) -> Door:
    document: OrderDocument = order("SO-1", 1, alert())
    door.put(msgspec.structs.replace(document, supplier_id="x"))
    door.put_events(accepted("SO-1", "e1"))
    detail = {"alert_id": "1", "rule": "late_shipping"}
    who = {"operator": "Li Na", "ip": "192.0.2.7"}
    kept(
        door.tier,
        entry("alert.acknowledged", START + 1, detail=detail, **who),
        entry("action.requested", action=ACTION),
        entry("something.newer", START + 2),
        entry("alert.opened", order_id="SO-2"),
    )
    door.start()
    return door


def test_staff_see_who_did_what_from_where(audited: Door) -> None:
    html = audited.client("auditor", "default").get("/orders/SO-1").body.decode()
    panel = html[html.index('id="audit"') :]
    assert "<b>Alert acknowledged</b> Late shipping" in panel
    assert "Li Na, 192.0.2.7" in panel
    assert "<b>Action requested</b> contact_carrier" in panel
    assert "<b>something.newer</b>" in panel, "a newer entry is shown by its code"
    assert "contact_carrier: action requested" in html
    assert panel.index("something.newer") < panel.index("acknowledged"), "the newest is first"


def test_a_supplier_sees_none_of_it(audited: Door) -> None:
    html = audited.client("supplier", "default", "x").get("/orders/SO-1").body.decode()
    assert "Late shipping" in html
    for hidden in ('id="audit"', "Li Na", "192.0.2.7", "contact_carrier"):
        assert hidden not in html


def test_an_outcome_names_the_action_its_receiver_and_the_reason() -> None:
    detail = {
        "action_id": "a1",
        "kind": "contact_carrier",
        "state": "done",
        "receiver": "desk",
        "attempts": "1",
        "reason": "202 Accepted",
    }
    (row,) = audit_rows(WORDS, [entry("action.done", detail=detail)], START)
    assert (row.what, row.about) == ("Action done", "contact_carrier · desk · 202 Accepted")


def test_the_archive_is_asked_only_for_orders_that_it_answers_for() -> None:
    warm = kept(MemoryTier("warm"), entry("alert.opened"))
    archive = kept(MemoryTier("archive"), entry("alert.opened"), entry("alert.resolved", START + 1))
    tiers = [warm, archive]
    found = entries_of(tiers, "default", "SO-1", "warm")
    assert [each.what for each in found] == ["alert.opened"]
    found = entries_of(tiers, "default", "SO-1", "archive")
    assert [each.what for each in found] == ["alert.resolved", "alert.opened"]


def test_what_came_of_an_action_is_in_the_timeline() -> None:
    sent = {"source": "action:desk", "status_code": "NOTE", "text": "contact_carrier: done by desk"}
    outcome = msgspec.structs.replace(
        accepted("SO-1", "e1"), status="NOTE", event=msgspec.Raw(msgspec.json.encode(sent))
    )
    for is_staff in (True, False):
        (day,) = days(WORDS, order("SO-1"), [outcome], START, is_staff=is_staff)
        assert day.items[0].notes == ([sent["text"]] if is_staff else [])
