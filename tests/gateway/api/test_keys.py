"""Keys over HTTP: shown once, valid at once in every process, within the administrator's tenant."""

from typing import Any

import pytest

from broker.consume import read_all
from gateway.access.keys import ADMIN_ID, KeyRing, record_of
from schemas.control_records import split_control_key
from schemas.instants import format_instant
from schemas.topics import CONTROL
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.tiers.orders import START
from tests.support.waiting import wait_until


@pytest.fixture
def controlled(door: EmbeddedDoor) -> EmbeddedDoor:
    control = door.gateway.control
    control.start()
    wait_until(lambda: control.is_loaded, "the keys are read")
    return door


def added(client: Client, **body: object) -> dict[str, Any]:
    answer = client.post("/v1/keys", body)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def listed(client: Client) -> list[str]:
    return [key["id"] for key in client.get("/v1/keys").json["keys"]]


def test_a_new_key_is_shown_once_and_valid_at_once(controlled: Door) -> None:
    admin = controlled.client("admin")
    new = added(admin, role="operator", name="night shift")
    assert (new["role"], new["tenant"], new["name"], new["at"]) == (
        *("operator", None, "night shift", format_instant(START)),
    )
    me = Client(controlled.app, authorization=f"Bearer {new['key']}").get("/v1/me").json
    assert (me["key_id"], me["role"], me["name"]) == (new["id"], "operator", "night shift")
    assert new["id"] in listed(admin)
    assert new["key"].encode() not in admin.get("/v1/keys").body


def test_the_topic_holds_its_digest_alone(controlled: EmbeddedDoor) -> None:
    new = added(controlled.client("admin"), role="ingest")
    ring = KeyRing()
    for message in read_all(controlled.connection, CONTROL.name):
        ring.take(split_control_key(message.key)[1], message.value)
        assert new["key"].split("_")[2].encode() not in (message.value or b"")
    caller = ring.caller_of(new["key"])
    assert caller is not None
    assert caller.role == "ingest"


def test_a_revoked_key_is_valid_nowhere(controlled: Door) -> None:
    admin = controlled.client("admin")
    new = added(admin, role="operator")
    answer = admin.request("DELETE", f"/v1/keys/{new['id']}", b"")
    assert (answer.status, answer.json["id"]) == (200, new["id"])
    assert "key" not in answer.json
    me = Client(controlled.app, authorization=f"Bearer {new['key']}").get("/v1/me")
    assert me.status == 401
    again = admin.request("DELETE", f"/v1/keys/{new['id']}", b"")
    assert (again.status, again.json["code"]) == (404, "unknown_key")


def test_the_administrators_own_key_is_not_revoked_here(controlled: Door) -> None:
    own = record_of(f"ot_{ADMIN_ID}_{'x' * 43}", "admin")
    controlled.keys.add(own)
    admin = controlled.client("admin")
    assert ADMIN_ID not in listed(admin)
    assert admin.request("DELETE", f"/v1/keys/{ADMIN_ID}", b"").json["code"] == "unknown_key"
    assert ADMIN_ID in controlled.keys.records


def test_a_repeated_request_creates_one_key(controlled: Door) -> None:
    admin = controlled.client("admin")
    first, again = (
        admin.post("/v1/keys", {"role": "ingest"}, idempotency_key="k") for _ in range(2)
    )
    assert first.status == again.status == 201
    assert first.json["key"] == again.json["key"]
    assert len(listed(admin)) == 2  # and the administrator's


def test_an_administrator_of_a_tenant_stays_within_it(controlled: Door) -> None:
    acme, admin = controlled.client("admin", "acme"), controlled.client("admin")
    foreign = added(admin, role="operator", tenant="default")
    everywhere = added(admin, role="operator")
    own = added(acme, role="supplier", party="s1")
    assert own["tenant"] == "acme"
    assert own["id"] in listed(acme)
    for other in (foreign, everywhere):
        assert other["id"] not in listed(acme)
        refused = acme.request("DELETE", f"/v1/keys/{other['id']}", b"")
        assert refused.json["code"] == "unknown_key"
    refused = acme.post("/v1/keys", {"role": "operator", "tenant": "default"})
    assert (refused.status, refused.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "customer"}, "party"),
        ({"role": "operator", "party": "c1"}, "party"),
        ({"role": "emperor"}, "role"),
        ({}, None),
        ({"role": "operator", "name": "x" * 101}, "name"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(
    controlled: Door, body: dict[str, object], field: str | None
) -> None:
    refused = controlled.client("admin").post("/v1/keys", body)
    assert (refused.status, refused.json.get("field")) == (400, field)


def test_a_partys_key_is_for_the_default_tenant(controlled: Door) -> None:
    new = added(controlled.client("admin"), role="customer", party="c1")
    assert (new["tenant"], new["party"]) == ("default", "c1")


def test_while_the_keys_are_read_nothing_is_answered(door: Door) -> None:
    answer = door.client("admin").get("/v1/keys")
    assert (answer.status, answer.json["code"]) == (503, "tier_unreachable")


def test_without_the_broker_no_key_is_added(controlled: EmbeddedDoor) -> None:
    admin = controlled.client("admin")
    before = listed(admin)
    controlled.broker.go_down()
    assert admin.post("/v1/keys", {"role": "operator"}).status == 503
    assert listed(admin) == before
    controlled.broker.come_up()
