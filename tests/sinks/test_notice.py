"""Content of an alert for its receiver, and its identity across repetitions."""

import json

import msgspec
import pytest

from schemas.errors import Rejected
from schemas.order import OrderDocument
from sinks.channels.alert_message import Notice, notices_of, read_order
from tests.support.alerts import OPENED, alert, order, overdue


def told(document: OrderDocument, link: str = "") -> list[Notice]:
    return notices_of(read_order(msgspec.json.encode(document)), link)


def test_an_alert_is_named_by_its_rule_its_order_and_itself() -> None:
    document = order("SO-1", 1, alert(), carrier="sf")
    (found,) = told(document)
    assert found.labels == {
        "alertname": "late_shipping",
        "severity": "overdue",
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


def test_what_nobody_knows_is_no_label() -> None:
    assert "carrier" not in told(overdue())[0].labels


def test_an_alert_says_why_and_shows_its_evidence() -> None:
    document = overdue()
    said = told(document)[0].annotations
    assert said["summary"] == "late_shipping: order SO-1"
    assert "milestone PAID 2017-10-02" in said["reason"]
    assert "limit 72h" in said["reason"]
    because = document.open_alerts[0].because
    assert json.loads(said["evidence"]) == msgspec.to_builtins(because)


def test_a_link_leads_to_the_order_whatever_its_id() -> None:
    document = order("SO/1 订", 1, alert(), tenant="a&b")
    found = told(document, "https://board.example/{tenant}?order={order_id}")
    assert found[0].link == "https://board.example/a%26b?order=SO%2F1%20%E8%AE%A2"


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_rejected(value: bytes) -> None:
    with pytest.raises(Rejected, match="unreadable_value"):
        read_order(value)


def test_an_alert_that_opened_at_no_instant_is_rejected() -> None:
    bad = alert() | {"opened_at": "yesterday"}
    with pytest.raises(Rejected, match="SO-1"):
        told(order("SO-1", 1, bad))
