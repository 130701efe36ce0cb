"""Explanations over HTTP: states with sentences, for operators alone."""

import msgspec

from schemas.instants import format_instant
from tests.support.gateway import RULES, Door
from tests.support.tiers.orders import START, accepted, document


def put_paid(door: Door) -> None:
    """Write an order that was paid, with its event as it came."""
    paid = {
        "event_id": "1",
        "source": "shop",
        "order_id": "SO-1",
        "status_code": "PAID",
        "timestamp": format_instant(START),
    }
    door.put(document("SO-1"))
    raw = msgspec.Raw(msgspec.json.encode(paid))
    door.put_events(msgspec.structs.replace(accepted("SO-1"), event=raw))


def test_every_rule_has_its_state_and_a_sentence_in_both_languages(door: Door) -> None:
    put_paid(door)
    client = door.client()
    found = client.get("/v1/orders/SO-1/explain").json
    assert {each["rule"] for each in found["rules"]} == {rule.id for rule in RULES.rules}
    assert found["at"] == format_instant(START)
    late = next(each for each in found["rules"] if each["rule"] == "late_shipping")
    assert (late["state"], late["watched"]) == ("armed", True)
    assert late["sentence"].endswith("counted from Paid")
    chinese = client.get("/v1/orders/SO-1/explain?lang=zh").json["rules"]
    assert any("到期" in each["sentence"] for each in chinese)
    assert client.get("/v1/orders/SO-1/explain?lang=fr").status == 400


def test_an_explanation_is_for_operators_and_of_orders_that_they_see(door: Door) -> None:
    put_paid(door)
    assert door.client("customer", "default", "c1").get("/v1/orders/SO-1/explain").status == 403
    assert door.client("operator", "acme").get("/v1/orders/SO-1/explain").status == 404
    assert door.client().get("/v1/orders/SO-9/explain").json["code"] == "unknown_order"
