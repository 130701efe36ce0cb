"""Personal data: masked for staff, in clear for a reason that is in the audit, never elsewhere."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.consume import read_all
from gateway.access.caller import ROLES, STAFF, Role
from gateway.masking import masked
from privacy.keys import FileKeyStore
from privacy.seal import seal_event
from schemas.alert import AuditEntry
from schemas.event import Event, decode_event
from schemas.instants import HOUR_MS, format_instant
from schemas.topics import ORDERS_AUDIT
from storage_tiering.find import timeline
from tests.support.alerts import order
from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor, open_door
from tests.support.tiers.orders import START, accepted

FORM = "application/x-www-form-urlencoded"
SECRETS = ("Wanjiru", "Lucy", "254712345678", "Kenyatta", "lucy@mail.example", "ring twice")
PARTIES: dict[Role, str] = {"customer": "C-1", "supplier": "S-1", "carrier": "sf"}
FIRST: dict[str, object] = {
    "name": "Lucy Wanjiru",
    "phone": "+254712345678",
    "address": {"street": "Kenyatta Avenue 4", "city": "Nairobi"},
    "mails": ["lucy@mail.example"],
}
REASON = {"reason": "she called about the address"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDoor]:
    folder: Path = tmp_path_factory.mktemp("serve")
    with open_door(folder) as opened, closing(FileKeyStore(folder / "keys.json")) as keys:
        for order_id, customer in (("SO-1", "C-1"), ("SO-2", "C-2")):
            own = {"customer_id": customer, "supplier_id": "S-1", "carrier": "sf"}
            opened.put(msgspec.structs.replace(order(order_id, 1), **own))
            hear(opened, keys, order_id, customer, 1, FIRST)
            hear(opened, keys, order_id, customer, 2, {"text": "ring twice"}, "NOTE")
        opened.start()
        yield opened


def hear(
    door: Door,
    keys: FileKeyStore,
    order_id: str,
    customer: str,
    number: int,
    personal: dict[str, object],
    status: str = "PAID",
) -> None:
    """Write an event as track and a writer do: sealed."""
    sent = {
        "event_id": f"{order_id}-{number}",
        "source": "shop",
        "order_id": order_id,
        "customer_id": customer,
        "status_code": status,
        "timestamp": "2017-10-02T10:00:00Z",
        "personal": personal,
    }
    data = msgspec.json.encode(sent)
    event = decode_event(data)
    assert isinstance(event, Event)
    stored = accepted(order_id, f"{order_id}-{number}", at=START + number * HOUR_MS)
    sealed = msgspec.Raw(seal_event(data, event, keys))
    door.put_events(msgspec.structs.replace(stored, status=status, event=sealed))


def audit(door: Door) -> list[AuditEntry]:
    messages = read_all(door.connection, ORDERS_AUDIT)
    found = [msgspec.json.decode(each.value or b"", type=AuditEntry) for each in messages]
    return [each for each in found if each.what == "personal.read"]


def in_clear(body: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in body]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_sees_it_masked_or_not_at_all(site: Door, role: Role) -> None:
    client = site.client(role, "default", PARTIES.get(role, ""))
    answer = client.get("/v1/orders/SO-1/personal")
    page = client.get("/orders/SO-1").body
    assert in_clear(answer.body) == in_clear(page) == []
    if role not in STAFF:
        assert answer.status == 403
        assert b'id="personal"' not in page
        assert client.post("/v1/orders/SO-1/personal", REASON).status == 403
        return
    assert {each["field"]: each["value"] for each in answer.json["fields"]} == {
        "name": "L*** W***",
        "phone": "254****5678",
        "address.street": "***",
        "address.city": "Nairobi",
        "mails": "l***@mail.example",
        "text": "***",
    }
    assert b"L*** W***" in page
    assert (b'action="/orders/SO-1/personal"' in page) == (role != "auditor")
    assert audit(site) == []


@pytest.mark.parametrize("role", sorted(ROLES))
def test_it_is_nowhere_else(site: Door, role: Role) -> None:
    client = site.client(role, "default", PARTIES.get(role, ""))
    for path in (
        *("/v1/orders/SO-1", "/v1/orders/SO-1/events", "/v1/lookup?number=SO-1", "/v1/orders"),
        *("/v1/orders/export", "/v1/orders/export?format=csv", "/orders", "/", "/v1/lanes"),
        "/v1/orders/SO-1/explain",
    ):
        body = client.get(path).body
        assert in_clear(body) == [], path
        assert b"***" not in body, path


def test_in_clear_is_for_a_reason_and_in_the_audit(
    site: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = len(audit(site))
    refused = site.client("auditor", "default").post("/v1/orders/SO-1/personal", REASON)
    assert refused.status == 403
    operator = site.client("operator", "default")
    for reason in ({}, {"reason": ""}, {"reason": " \t"}, {"reason": "x" * 201}):
        wrong = operator.post("/v1/orders/SO-1/personal", reason)
        assert (wrong.status, wrong.json["code"]) == (400, "bad_field")
        assert "reason" in wrong.json["detail"]
    assert len(audit(site)) == before
    answer = operator.post("/v1/orders/SO-1/personal", REASON, idempotency_key="again")
    assert answer.headers["cache-control"] == "no-store"
    values = {each["field"]: each["value"] for each in answer.json["fields"]}
    assert values["name"] == "Lucy Wanjiru"
    assert values["address.street"] == "Kenyatta Avenue 4"
    assert values["text"] == "ring twice"
    (entry,) = audit(site)[before:]
    key_id = operator.headers["authorization"].split("_")[1]
    assert (entry.tenant, entry.order_id, entry.operator, entry.ip, entry.at) == (
        *("default", "SO-1", key_id, "127.0.0.1"),
        format_instant(site.now_ms),
    )
    assert entry.detail == REASON
    again = operator.post("/v1/orders/SO-1/personal", REASON, idempotency_key="again")
    assert "idempotency-replayed" not in again.headers, "an answer that was kept"
    assert len(audit(site)) == before + 2
    assert in_clear(caplog.text.encode()) == []


def test_a_page_shows_it_by_its_form(site: Door) -> None:
    access = site.gateway.access
    key_id = site.key("operator", "default").split("_")[1]
    cookie = f"ordertide_session={access.sessions.session(key_id, access.now_s())}"
    browser = Client(site.app, cookie=cookie, origin="http://board.test")
    page = browser.get("/orders/SO-1").body.decode()
    form = page[page.index('<section class="panel" id="personal">') :]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', form)[0]
    before = len(audit(site))
    refused = browser.post("/orders/SO-1/personal", b"reason=x&csrf=no", content_type=FORM)
    assert (refused.status, len(audit(site))) == (403, before)
    sent = f"reason=she+called&tenant=default&csrf={csrf}".encode()
    shown = browser.post("/orders/SO-1/personal", sent, content_type=FORM)
    assert shown.status == 200
    assert shown.headers["cache-control"] == "no-store"
    assert set(SECRETS) == set(in_clear(shown.body))
    assert audit(site)[before].detail == {"reason": "she called"}
    back = browser.get("/orders/SO-1/personal?tenant=default")
    assert back.headers["location"] == "/orders/SO-1?tenant=default"
    assert in_clear(browser.get("/orders/SO-1").body) == []


def test_without_the_audit_nothing_is_opened(site: EmbeddedDoor) -> None:
    operator = site.client("operator", "default")
    site.broker.go_down()
    try:
        answer = operator.post("/v1/orders/SO-1/personal", REASON)
        assert (answer.status, answer.json["code"]) == (503, "busy")
        assert in_clear(answer.body) == []
    finally:
        site.broker.come_up()


def test_of_an_erased_customer_nothing_is_opened(site: Door) -> None:
    before = len(audit(site))
    with closing(FileKeyStore(site.gateway.originals.path)) as keys:
        keys.erase("default", keys=keys_of(site, "SO-2"))
    client = site.client("admin")
    for answer in (
        client.get("/v1/orders/SO-2/personal"),
        client.post("/v1/orders/SO-2/personal", REASON),
    ):
        assert (answer.json["is_erased"], answer.json["fields"]) == (True, [])
    assert "personal data was erased" in client.get("/orders/SO-2").body.decode()
    assert client.post("/orders/SO-2/personal", REASON).status == 200
    assert len(audit(site)) == before
    assert client.get("/v1/orders/SO-1/personal").json["fields"]


def keys_of(door: Door, order_id: str) -> list[str]:
    """Ids of the keys that the data of an order is sealed under."""
    events = timeline([door.tier], "default", order_id)
    return [msgspec.json.decode(event.event)["personal"]["key"] for event in events]


def test_without_the_keys_it_stays_sealed_and_the_setting_is_named(
    site: Door, tmp_path: Path
) -> None:
    with closing(FileKeyStore(tmp_path / "of-another.json")):
        pass
    client, originals = site.client("admin"), site.gateway.originals
    path, keystore = originals.path, originals.keystore
    for other in (tmp_path / "none.json", tmp_path / "of-another.json"):
        originals.path = other
        del originals.keystore
        try:
            for answer in (
                client.get("/v1/orders/SO-1/personal"),
                client.post("/v1/orders/SO-1/personal", REASON),
            ):
                assert (answer.status, answer.json["code"]) == (503, "keys_missing")
                assert answer.json["detail"].startswith("privacy.keys: ")
            page = client.get("/orders/SO-1")
            assert page.status == 200
            assert b'id="personal"' not in page.body
        finally:
            originals.path, originals.keystore = path, keystore


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("name", "张小三", "张*三"),
        ("name", "李四", "李*"),
        ("consignee.name", "Anna-Maria de la Cruz", "A*** d*** l*** C***"),
        ("name", "X", "***"),
        ("mobile", "13812341234", "138****1234"),
        ("phone", "030 123 45", "****2345"),
        ("tel", "12345", "***"),
        ("phone", "ask the neighbour", "***"),
        ("contact", "li@shop.example", "l***@shop.example"),
        ("address.city", "Wuhan", "Wuhan"),
        ("address", "1 Main St, Wuhan", "***"),
        ("passport", "E1234567", "***"),
        ("text", "she is in hospital", "***"),
    ],
)
def test_what_is_left_of_a_field(field: str, value: str, shown: str) -> None:
    assert masked(field, value) == shown


@given(st.sampled_from(["name", "phone", "text", "x.y", "mobile"]), st.text(min_size=9))
def test_most_of_any_value_is_hidden(field: str, value: str) -> None:
    shown = masked(field, value)
    assert value not in shown
    assert sum(each.isdigit() for each in shown) <= 7
