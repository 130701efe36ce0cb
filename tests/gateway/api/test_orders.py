"""One order over HTTP: what it holds, who may see it, and ids as they come."""

from urllib.parse import quote

import msgspec
import pytest

from schemas.errors import Busy
from schemas.instants import HOUR_MS
from storage_tiering.memory import MemoryTier
from storage_tiering.tier import Found
from tests.support.alerts import alert, order
from tests.support.gateway import Door
from tests.support.tiers.orders import START, accepted, document

HOSTILE = ["../x", "a/b", "%00", "<script>alert(1)</script>", "a b", "订单", "{}[]*:?", "x%2fy"]


@pytest.fixture
def filled(door: Door) -> Door:
    late = order("SO-1", 3, alert(order_id="SO-1"), carrier="sf")
    door.put(late, document("SO-2", customer_id="c1", supplier_id="s1", attributes={"cost": 3}))
    door.put_events(accepted("SO-1", "1"), accepted("SO-1", "2", START, START + 2 * HOUR_MS))
    return door


def test_an_order_comes_with_its_timeline_and_its_tier(filled: Door) -> None:
    answer = filled.client().get("/v1/orders/SO-1")
    found = answer.json
    assert found["order"]["open_alerts"][0]["because"]["anchor_event"]
    assert [event["event_id"] for event in found["timeline"]] == ["1", "2"]
    assert "arrived_late" not in found["timeline"][0]
    assert found["timeline"][1]["arrived_late"]
    assert found["timeline"][1]["lag_ms"] == 2 * HOUR_MS
    assert (found["answered_by"], found["unreachable"]) == ("hot", [])


def test_an_event_with_an_odd_location_keeps_its_other_fields(filled: Door) -> None:
    sent = msgspec.Raw(b'{"source":"shop","location":"Hangzhou","raw_status":7,"carrier":"sf"}')
    filled.put_events(msgspec.structs.replace(accepted("SO-1", "3"), event=sent))
    (event,) = [
        each
        for each in filled.client().get("/v1/orders/SO-1").json["timeline"]
        if each["event_hash"] == accepted("SO-1", "3").event_hash
    ]
    assert (event["source"], event["carrier"]) == ("shop", "sf")
    assert not {"location", "raw_status"} & event.keys()


def test_an_unchanged_order_is_not_sent_again(filled: Door) -> None:
    client = filled.client()
    tag = client.get("/v1/orders/SO-1").headers["etag"]
    again = client.get("/v1/orders/SO-1", if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    filled.put(document("SO-1", 4))
    assert client.get("/v1/orders/SO-1", if_none_match=tag).status == 200


@pytest.mark.parametrize("order_id", HOSTILE)
def test_an_odd_id_is_text(door: Door, order_id: str) -> None:
    client = door.client()
    path = f"/v1/orders/{quote(order_id, safe='')}"
    missing = client.get(path)
    assert missing.status == 404
    assert missing.json["code"] == "unknown_order"
    assert repr(order_id) in missing.json["detail"]
    door.put(document(order_id))
    assert client.get(path).json["order"]["order_id"] == order_id


def test_an_order_outside_the_scope_is_answered_like_one_that_does_not_exist(filled: Door) -> None:
    filled.put(document("T-1", tenant="acme"))
    seen = filled.client().get("/v1/orders/T-1?tenant=acme")
    assert seen.status == 200
    for role, tenant, party in [
        ("customer", "default", "c2"),
        ("supplier", "default", "s2"),
        ("carrier", "default", "sto"),
        ("customer", "default", ""),
        ("operator", "acme", ""),
    ]:
        client = filled.client(role, tenant, party)  # type: ignore[arg-type]  # a role
        hidden, absent = client.get("/v1/orders/SO-2"), client.get("/v1/orders/SO-9")
        assert hidden.status == absent.status == 404
        own = {"request_id", "detail"}
        assert {k: v for k, v in hidden.json.items() if k not in own} == {
            k: v for k, v in absent.json.items() if k not in own
        }
        assert hidden.json["detail"] == absent.json["detail"].replace("SO-9", "SO-2")
        assert client.get("/v1/orders/T-1?tenant=default").status == 404
    assert filled.client("operator", "default").get("/v1/orders/T-1?tenant=acme").status == 404


def test_each_party_sees_its_own_order_without_the_others(filled: Door) -> None:
    customer = filled.client("customer", "default", "c1").get("/v1/orders/SO-2").json["order"]
    assert (customer["customer_id"], customer["supplier_id"]) == ("c1", None)
    supplier = filled.client("supplier", "default", "s1").get("/v1/orders/SO-2").json["order"]
    assert (supplier["customer_id"], supplier["supplier_id"]) == (None, "s1")
    assert supplier["attributes"] == {}
    carrier = filled.client("carrier", "default", "sf").get("/v1/orders/SO-1").json
    assert carrier["order"]["open_alerts"] == []
    assert "event_id" not in carrier["timeline"][0]


def test_a_tier_without_an_answer_is_a_503_with_a_time_to_retry(door: Door) -> None:
    class Away(MemoryTier):
        def find(self, tenant: str, order_id: str) -> Found | None:
            raise Busy("redis: no answer", 3.2)

    door.tier = Away("hot")
    answer = door.client().get("/v1/orders/SO-1")
    assert (answer.status, answer.json["code"]) == (503, "tier_unreachable")
    assert int(answer.headers["retry-after"]) >= 1


def test_events_come_by_pages(filled: Door) -> None:
    client = filled.client()
    first = client.get("/v1/orders/SO-1/events?limit=1").json
    assert [event["event_id"] for event in first["events"]] == ["1"]
    rest = client.get(f"/v1/orders/SO-1/events?after={first['next']}").json
    assert [event["event_id"] for event in rest["events"]] == ["2"]
    assert rest["next"] is None
    assert client.get("/v1/orders/SO-1/events?after=x").json["field"] == "after"
    assert filled.client("customer", "default", "c9").get("/v1/orders/SO-1/events").status == 404
