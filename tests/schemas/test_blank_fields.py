"""Blank optional fields count as absent; what is not blank and wrong is refused as before."""

import json
from typing import Any

import pytest

from schemas.errors import Rejected
from schemas.event import Event, read_event

PLAIN = {
    "event_id": "e",
    "source": "shop",
    "order_id": "o",
    "status_code": "PAID",
    "timestamp": "2024-03-01T10:00:00Z",
}


def read(**fields: object) -> tuple[Event, dict[str, Any]]:
    event, data = read_event(json.dumps(PLAIN | fields).encode())
    assert isinstance(event, Event)
    return event, json.loads(data)


@pytest.mark.parametrize("name", ["carrier", "customer_id", "shipment", "waybill", "supplier_id"])
@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_blank_field_beside_one_that_fails_is_absent(name: str, blank: str | None) -> None:
    event, kept = read(**{name: blank, "references": {"erp": ["", None, "7"], "waybill": ""}})
    assert getattr(event, name) is None
    assert name not in kept
    assert event.references == {"erp": ["7"]}


def test_a_wrong_field_that_is_not_blank_is_still_refused() -> None:
    with pytest.raises(Rejected, match="waybill"):
        read(waybill=7, carrier="")


def test_a_blank_order_id_is_refused() -> None:
    with pytest.raises(Rejected, match="order_id"):
        read(order_id="", carrier="")
