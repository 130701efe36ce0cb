"""The pages of the webhooks: made, tested, paused, rotated and replayed by plain forms."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.access.caller import ROLES, Role
from gateway.access.keys import id_of
from schemas.instants import format_instant
from sinks.subscriptions.deliveries import Attempted, Deliveries, NewDelivery
from sinks.subscriptions.subscription import State
from tests.support.asgi import Client, Reply
from tests.support.gateway import EmbeddedDoor, open_door
from tests.support.tiers.orders import START
from tests.support.waiting import wait_until

FORM = "application/x-www-form-urlencoded"
LIST = "/settings/webhooks"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDoor]:
    folder: Path = tmp_path_factory.mktemp("serve")
    with open_door(folder) as opened:
        opened.gateway.control.start()
        opened.start()
        wait_until(lambda: opened.gateway.control.is_loaded, "the webhooks are read")
        yield opened


def signed_in(door: EmbeddedDoor, role: Role = "manager", language: str = "en") -> Client:
    """A browser of a role."""
    access = door.gateway.access
    session = access.sessions.session(id_of(door.key(role, "default")) or "", access.now_s())
    cookie = f"ordertide_session={session}; ordertide_language={language}"
    return Client(door.app, cookie=cookie, origin="http://board.test")


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def send(client: Client, seen: str, action: str, fields: str = "") -> Reply:
    """Send a form of a page, as it stands there."""
    (form,) = re.findall(rf'<form [^>]*action="{re.escape(action)}".*?</form>', seen, re.DOTALL)
    (token,) = re.findall(r'name="csrf" value="([^"]+)"', form)
    return client.post(action, f"csrf={token}&{fields}".encode(), content_type=FORM)


def made(client: Client, fields: str = "") -> str:
    """The id of a webhook that a form has made."""
    given = f"url=https%3A%2F%2Fshop.example%2Fhook&{fields}"
    answer = send(client, page(client, LIST), LIST, given)
    assert answer.status == 200, answer.body
    name: str
    (name,) = set(re.findall(r"/settings/webhooks/(wh_\w+)", answer.body.decode()))
    return name


def test_a_form_makes_a_webhook_and_shows_its_secret_once(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    ticked = "name=CRM&alert_opened=1&order_delivered=1&carrier=sf%2C+yto&overdue=1"
    answer = send(client, page(client, LIST), LIST, f"url=https://shop.example/hook&{ticked}")
    (secret,) = re.findall(r"<pre[^>]*>(whsec_[^<]+)</pre>", answer.body.decode())
    assert "no-store" in answer.headers["cache-control"]
    (name,) = set(re.findall(r"/settings/webhooks/(wh_\w+)", answer.body.decode()))
    record = door.gateway.webhooks.subscriptions.records[name]
    assert door.gateway.webhooks.secrets.opened(name, record.secret) == secret
    assert (record.types, record.tenant) == (("order.delivered", "alert.opened"), "default")
    assert (record.filter.carrier, record.filter.lane) == (("sf", "yto"), ("overdue",))
    for path in (LIST, f"{LIST}/{name}"):
        html = page(client, path)
        assert "CRM" in html
        assert secret not in html


def test_what_cannot_be_a_webhook_is_refused_with_the_reason(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    inside = send(client, page(client, LIST), LIST, "url=https%3A%2F%2Finside.example%2F")
    assert inside.status == 400
    assert "10.0.0.7, which is not public" in inside.body.decode()
    forged = client.post(LIST, b"csrf=forged&url=https://shop.example/", content_type=FORM)
    assert forged.status == 403


def test_its_forms_pause_resume_test_rotate_and_delete_it(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    name = made(client)
    path = f"{LIST}/{name}"
    subscriptions = door.gateway.webhooks.subscriptions
    first = subscriptions.records[name].secret
    tested = send(client, page(client, path), f"{path}/test")
    assert (tested.status, tested.headers["location"]) == (303, path)
    assert [each.kind for each in subscriptions.requests.values() if each.webhook == name] == [
        "test"
    ]
    send(client, page(client, path), f"{path}/pause")
    assert subscriptions.status(name) == "paused"
    paused = page(client, path)
    assert f'action="{path}/test"' not in paused
    send(client, paused, f"{path}/resume")
    assert subscriptions.status(name) == "active"
    rotated = send(client, page(client, path), f"{path}/rotate")
    assert "whsec_" in rotated.body.decode()
    assert subscriptions.records[name].former == first
    assert "the former secret signs until" in page(client, path)
    removed = send(client, page(client, path), f"{path}/delete")
    assert (removed.status, removed.headers["location"]) == (303, LIST)
    assert name not in page(client, LIST)


def test_deliveries_stand_on_its_page_and_in_the_operations(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    name = made(client, "name=Warehouse")
    path = f"{LIST}/{name}"
    assert "deliveries.sqlite is missing" in page(client, path)
    with closing(Deliveries(door.gateway.webhooks.deliveries)) as file, file.transaction():
        event = file.add_event(b'{"type":"order.changed","data":{"town":"<Recife>"}}')
        for number in range(2):
            key = f"SO-{number}"
            new = NewDelivery(f"d-{number}", name, key, event, "order.changed", START)
            file.add([new], START)
        (taken,) = file.take(name, START, 1)
        gone = Attempted(
            taken, "dead", START, 17, 410, {}, "<gone>", "answered 410", ended_at=START
        )
        file.settle([gone], START)
    state = State(disabled_at=format_instant(START + 1), reason="the receiver answered 410 Gone")
    door.gateway.webhooks.subscriptions.states = {name: state}
    html = page(client, path)
    for shown in ("410 · 17 ms", "answered 410 &lt;gone&gt;", "/orders/SO-0", "&lt;Recife&gt;"):
        assert shown in html
    assert "the receiver answered 410 Gone" in html
    assert "SO-1" not in page(client, f"{path}?state=dead")
    replayed = send(client, html, f"{path}/deliveries/d-0/replay")
    assert (replayed.status, replayed.headers["location"]) == (303, path)
    requests = door.gateway.webhooks.subscriptions.requests.values()
    assert [each.delivery for each in requests if each.kind == "replay"] == ["d-0"]
    operations = page(client, "/operations").partition('id="webhooks"')[2]
    for shown in (
        "Warehouse",
        "Disabled",
        "waiting <b>1</b>",
        "dead <b>1</b>",
        f"{path}?state=dead",
    ):
        assert shown in operations
    other = page(door.client("manager", "acme"), "/operations")
    assert "Warehouse" not in other
    assert 'id="webhooks"' not in other


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pages_speak_both_languages(door: EmbeddedDoor, language: str) -> None:
    client = signed_in(door, language=language)
    name = made(client)
    for path in (LIST, f"{LIST}/{name}"):
        html = page(client, path)
        assert {"en": "Webhooks", "zh": "网络回调"}[language] in html
        assert "<script>" not in html


@pytest.mark.parametrize("role", sorted(ROLES))
def test_the_settings_are_for_administrators_and_managers(door: EmbeddedDoor, role: Role) -> None:
    is_meant = role in {"admin", "manager"}
    client = door.client(role, "default", "x")
    assert client.get(LIST).status == (200 if is_meant else 403)
    assert (f'href="{LIST}"' in page(client, "/orders")) == is_meant
