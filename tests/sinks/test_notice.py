"""Content of an alert for its receiver, and its identity across repetitions."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_text import AlertText
from schemas.display import printable
from schemas.errors import Rejected
from schemas.instants import parse_instant
from schemas.order import OrderDocument
from sinks.channels.alert_message import Notice, Style, notices_of, read_order
from tests.support.alerts import OPENED, alert, order, overdue

WUHAN = {
    "shipment": "SF1",
    "updated_at": "2017-10-02T10:56:33.000Z",
    "location": {"name": "Wuhan"},
}


def told(document: OrderDocument, style: Style = Style()) -> list[Notice]:  # noqa: B008 - immutable
    return notices_of(read_order(msgspec.json.encode(document)), style)


def test_an_alert_is_named_by_its_rule_its_order_and_itself() -> None:
    document = order("SO-1", 1, alert(), carrier="sf")
    (found,) = told(document)
    assert found.labels == {
        "alertname": "OrderLateShipping",
        "service": "ordertide",
        "severity": "critical",
        "lane": "overdue",
        "rule": "late_shipping",
        "tenant": "default",
        "carrier": "sf",
        "order_id": "SO-1",
        "alert_id": document.open_alerts[0].alert_id,
    }
    assert found.starts_at == OPENED


def test_a_later_version_of_the_order_speaks_of_the_same_alert() -> None:
    assert told(overdue(version=1))[0].identity == told(overdue(version=9))[0].identity


def test_two_parcels_that_break_one_rule_are_two_alerts() -> None:
    alerts = [alert("carrier_silent", shipment=shipment) for shipment in ("SF1", "SF2")]
    found = told(order("SO-1", 1, *alerts))
    assert len({each.identity for each in found}) == 2


def test_the_carrier_is_the_parcels_where_it_has_one_of_its_own() -> None:
    alerts = [alert("carrier_silent", shipment=shipment) for shipment in ("JD1", "X")]
    shipments = [{"shipment": "JD1", "carrier": "jd"}, {"shipment": "X"}]
    found = told(order("SO-1", 1, *alerts, carrier="sf", shipments=shipments))
    assert [each.labels["carrier"] for each in found] == ["jd", "sf"]


def test_a_parcel_that_gets_a_carrier_leaves_an_alert_of_its_order_the_same() -> None:
    before = order("SO-1", 1, alert())
    parcel = {"shipment": "SF1", "carrier": "sf"}
    after = order("SO-1", 2, alert(), shipments=[parcel])
    assert told(before)[0].identity == told(after)[0].identity
    assert told(after)[0].annotations["carrier"] == "sf"
    both = order("SO-1", 2, alert(), shipments=[parcel, {"shipment": "JD1", "carrier": "jd"}])
    assert "carrier" not in told(both)[0].annotations


def test_what_nobody_knows_is_no_label() -> None:
    assert "carrier" not in told(overdue())[0].labels


def test_an_alert_says_why_and_shows_its_evidence() -> None:
    document = overdue()
    text = AlertText("en", {"late_shipping": {"en": "Late shipping"}}, {"PAID": {"en": "Paid"}})
    said = told(document, Style(text))[0].annotations
    assert said["summary"] == "Late shipping: order SO-1, last heard Paid 2 Oct"
    assert said["description"].startswith("More than 72 hours since Paid, 2017-10-02 10:56 UTC.")
    because = document.open_alerts[0].because
    assert json.loads(said["evidence"]) == msgspec.to_builtins(because)


def test_the_sentences_are_those_of_every_other_view() -> None:
    document = order("SO-1", 1, alert(), shipments=[WUHAN])
    (opened,) = document.open_alerts
    text = AlertText("zh", {"late_shipping": {"zh": "发货延迟"}})
    said = told(document, Style(text))[0].annotations
    assert said["summary"] == text.summary(document, opened)
    assert said["description"] == text.description(document, opened)
    assert said["summary"].startswith("发货延迟：订单 SO-1")


def test_what_changes_while_an_alert_is_open_is_no_label() -> None:
    before = order("SO-1", 1, alert(), shipments=[WUHAN])
    changes = {"status": "SHIPPED", "promised_at": "2017-11-01T02:59:59.999Z"}
    after = msgspec.structs.replace(before, **changes)
    assert told(before)[0].identity == told(after)[0].identity
    said = told(after)[0].annotations
    assert {name: said[name] for name in changes} == changes


def test_an_escalated_alert_starts_with_its_escalation_and_keeps_its_id() -> None:
    warning = alert("late_delivery", "warning")
    escalated = warning | {"severity": "overdue", "escalated_at": "2017-10-07T00:00:00.000Z"}
    before, after = (told(order("SO-1", 1, each))[0] for each in (warning, escalated))
    assert (before.starts_at, after.starts_at) == (OPENED, parse_instant(escalated["escalated_at"]))
    changed = {name for name, value in after.labels.items() if before.labels[name] != value}
    assert changed == {"severity", "lane"}
    assert [each.labels["severity"] for each in (before, after)] == ["warning", "critical"]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("late_delivery", "OrderLateDelivery"),
        ("vip-2h.unpaid", "OrderVip2hUnpaid"),
        ("lateShipping", "OrderLateShipping"),
        ("发货延迟", "Order发货延迟"),
        ("_", "Order"),
    ],
)
def test_an_alert_is_called_like_the_others(rule: str, name: str) -> None:
    assert told(order("SO-1", 1, alert(rule)))[0].labels["alertname"] == name


@given(st.text(min_size=1, max_size=12))
def test_no_annotation_steers_a_terminal(text: str) -> None:
    parcel = {"shipment": text, "status": text, "location": {"name": text}}
    document = order("SO-1", 1, alert(shipment=text), shipments=[parcel])
    hostile = msgspec.structs.replace(document, status=text, promised_at=text)
    for annotation in told(hostile)[0].annotations.values():
        assert printable(annotation) == annotation


def test_a_link_leads_to_the_order_whatever_its_id() -> None:
    document = order("SO/1 订", 1, alert(), tenant="a&b")
    found = told(document, Style(link="https://board.example/{tenant}?order={order_id}"))
    assert found[0].link == "https://board.example/a%26b?order=SO%2F1%20%E8%AE%A2"


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_rejected(value: bytes) -> None:
    with pytest.raises(Rejected, match="unreadable_value"):
        read_order(value)


def test_an_alert_that_opened_at_no_instant_is_rejected() -> None:
    bad = alert() | {"opened_at": "yesterday"}
    with pytest.raises(Rejected, match="SO-1"):
        told(order("SO-1", 1, bad))
