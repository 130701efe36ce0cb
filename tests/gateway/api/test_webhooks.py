"""Webhooks over HTTP: secrets shown once and sealed, addresses checked, deliveries listed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from broker.consume import read_all
from gateway.access.caller import EVERY_ROLE, Role
from gateway.webhooks import WebhookSecrets
from schemas.errors import SettingsError
from schemas.instants import DAY_MS, format_instant
from schemas.topics import CONTROL
from sinks.subscriptions import subscription as model
from sinks.subscriptions.deliveries import Attempted, Deliveries, NewDelivery
from sinks.subscriptions.subscription import State
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor, open_door
from tests.support.tiers.orders import START
from tests.support.waiting import wait_until

URL = "https://shop.example/hook"


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDoor]:
    folder: Path = tmp_path_factory.mktemp("serve")
    with open_door(folder) as door:
        control = door.gateway.control
        control.start()
        wait_until(lambda: control.is_loaded, "the webhooks are read")
        yield door


def added(client: Client, **body: object) -> dict[str, Any]:
    answer = client.post("/v1/webhooks", {"url": URL} | body)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def listed(client: Client) -> list[str]:
    return [each["id"] for each in client.get("/v1/webhooks").json["webhooks"]]


def test_a_secret_is_shown_once_and_lies_sealed_in_the_topic(controlled: EmbeddedDoor) -> None:
    manager = controlled.client("manager")
    new = added(manager, types=["order.delivered"], filter={"carrier": ["sf"]}, name="CRM")
    assert new["secret"].startswith("whsec_")
    assert (new["status"], new["types"], new["filter"]["carrier"]) == (
        *("active", ["order.delivered"], ["sf"]),
    )
    shown = manager.get(f"/v1/webhooks/{new['id']}")
    assert "secret" not in shown.json
    assert new["id"] in listed(manager)
    for message in read_all(controlled.connection, CONTROL.name):
        assert new["secret"].encode() not in (message.value or b"")
    webhooks = controlled.gateway.webhooks
    sealed = webhooks.subscriptions.records[new["id"]].secret
    assert webhooks.secrets.opened(new["id"], sealed) == new["secret"]
    with pytest.raises(SettingsError, match="another installation"):
        webhooks.secrets.opened("wh_other", sealed)
    with pytest.raises(SettingsError, match="another installation"):
        WebhookSecrets(b"o" * 32).opened(new["id"], sealed)


def test_a_rotated_secret_still_signs_for_a_day(controlled: Door) -> None:
    admin = controlled.client("admin")
    new = added(admin)
    rotated = admin.post(f"/v1/webhooks/{new['id']}/secret/rotate", {})
    assert rotated.json["secret"] != new["secret"]
    assert rotated.json["former_until"] == format_instant(START + DAY_MS)
    webhooks = controlled.gateway.webhooks
    record = webhooks.subscriptions.records[new["id"]]
    assert webhooks.secrets.opened(new["id"], record.former) == new["secret"]
    assert record.has_former(START)
    assert not record.has_former(START + DAY_MS)


def test_it_is_changed_paused_resumed_and_deleted(controlled: Door) -> None:
    admin = controlled.client("admin")
    name = added(admin)["id"]
    path = f"/v1/webhooks/{name}"
    changed = admin.post(path, {"types": ["alert.opened"], "filter": {"lane": ["overdue"]}}).json
    assert (changed["url"], changed["types"]) == (URL, ["alert.opened"])
    assert admin.post(f"{path}/pause", {}).json["status"] == "paused"
    refused = admin.post(f"{path}/test", {})
    assert (refused.status, refused.json["code"]) == (409, "webhook_paused")
    assert admin.post(f"{path}/resume", {}).json["status"] == "active"
    state = State(disabled_at=format_instant(START + 1), reason="gone")
    controlled.gateway.webhooks.subscriptions.states = {name: state}
    disabled = admin.get(path).json
    assert (disabled["status"], disabled["reason"]) == ("disabled", "gone")
    assert admin.post(f"{path}/resume", {}).json["status"] == "active", (
        "the worker's clock is ahead"
    )
    assert admin.request("DELETE", path, b"").json["id"] == name
    assert name not in listed(admin)
    assert admin.get(path).json["code"] == "unknown_webhook"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"url": "http://shop.example/"}, "not https"),
        ({"url": "https://user:word@shop.example/"}, "holds a user"),
        ({"url": "ftp://shop.example/"}, "no http"),
        ({"url": "https://inside.example/"}, "10.0.0.7, which is not public"),
        ({"url": "https://169.254.169.254/latest"}, "not public"),
        ({"url": "http://[::1]:8400/"}, "not public"),
        ({"url": "https://shop.example/\n"}, "url"),
        ({"types": ["order.exploded"]}, "types"),
        ({"filter": {"supplier": [str(n) for n in range(51)]}}, "filter"),
        ({"filter": {"town": ["x"]}}, "town"),
    ],
)
def test_what_cannot_be_a_subscription_is_refused(
    controlled: Door, body: dict[str, object], named: str
) -> None:
    refused = controlled.client("admin").post("/v1/webhooks", {"url": URL} | body)
    assert refused.status == 400
    assert named in refused.json["detail"]


def test_a_changed_address_is_checked_too(controlled: Door) -> None:
    admin = controlled.client("admin")
    name = added(admin)["id"]
    refused = admin.post(f"/v1/webhooks/{name}", {"url": "https://inside.example/"})
    assert (refused.status, refused.json["field"]) == (400, "url")


def test_a_manager_of_a_tenant_stays_within_it(controlled: Door) -> None:
    acme, admin = controlled.client("manager", "acme"), controlled.client("admin")
    own, everywhere = added(acme)["id"], added(admin)["id"]
    assert controlled.gateway.webhooks.subscriptions.records[own].tenant == "acme"
    assert own in listed(acme)
    assert everywhere not in listed(acme)
    assert acme.post(f"/v1/webhooks/{everywhere}/pause", {}).json["code"] == "unknown_webhook"
    refused = acme.post("/v1/webhooks", {"url": URL, "tenant": "default"})
    assert (refused.status, refused.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
def test_webhooks_are_for_administrators_and_managers(controlled: Door, role: Role) -> None:
    answer = controlled.client(role, "default", "x").get("/v1/webhooks")
    assert answer.status == (200 if role in {"admin", "manager"} else 403)


def test_there_are_no_more_than_there_may_be(
    controlled: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = controlled.client("admin")
    held = len(controlled.gateway.webhooks.subscriptions.records)
    monkeypatch.setattr("gateway.api.webhooks.MOST_SUBSCRIPTIONS", held)
    refused = admin.post("/v1/webhooks", {"url": URL})
    assert (refused.status, refused.json["code"]) == (409, "too_many")
    assert model.MOST_SUBSCRIPTIONS == 1_000


def test_deliveries_are_listed_and_requested_again(controlled: EmbeddedDoor) -> None:
    admin = controlled.client("admin")
    name = added(admin)["id"]
    path = f"/v1/webhooks/{name}"
    webhooks = controlled.gateway.webhooks
    elsewhere = admin.get(f"{path}/deliveries")
    assert (elsewhere.status, elsewhere.json["code"]) == (503, "deliveries_elsewhere")
    with closing(Deliveries(webhooks.deliveries)) as file, file.transaction():
        event = file.add_event(b'{"type":"order.changed"}')
        for number in range(3):
            key = f"SO-{number}"
            new = NewDelivery(f"d-{number}", name, key, event, "order.changed", START)
            file.add([new], START)
        (taken,) = file.take(name, START, 1)
        headers = {"Content-Type": "text/plain"}
        answered = Attempted(taken, "dead", START, 17, 410, headers, "<gone>", "answered 410")
        file.settle([answered._replace(ended_at=START)], START)
    page = admin.get(f"{path}/deliveries?limit=2").json
    assert [each["id"] for each in page["deliveries"]] == ["d-2", "d-1"]
    (dead,) = admin.get(f"{path}/deliveries?before={page['next']}").json["deliveries"]
    assert (dead["state"], dead["status"], dead["took_ms"], dead["answer"]) == (
        *("dead", 410, 17, "<gone>"),
    )
    assert (dead["order_id"], dead["headers"], dead["body"]["type"]) == (
        *("SO-0", headers, "order.changed"),
    )
    (only,) = admin.get(f"{path}/deliveries?state=dead").json["deliveries"]
    assert only["id"] == "d-0"
    unknown = admin.post(f"{path}/deliveries/d-9/replay", {})
    assert (unknown.status, unknown.json["code"]) == (404, "unknown_delivery")
    assert admin.post(f"{path}/deliveries/d-0/replay", {}).status == 202
    assert admin.post(f"{path}/replay", {}).status == 202
    test = admin.post(f"{path}/test", {})
    kinds = {
        each.kind: (key, each.delivery) for key, each in webhooks.subscriptions.requests.items()
    }
    assert kinds["replay"][1] == "d-0"
    assert kinds["replay_dead"][1] == ""
    assert kinds["test"] == (test.json["delivery"], test.json["delivery"])


def test_without_the_broker_no_webhook_is_added(controlled: EmbeddedDoor) -> None:
    admin = controlled.client("admin")
    before = listed(admin)
    controlled.broker.go_down()
    assert admin.post("/v1/webhooks", {"url": URL}).status == 503
    assert listed(admin) == before
    controlled.broker.come_up()
