"""The page of the operations: flow, dead letters with their replay, dead actions; who sees what."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from broker.consume import Headers, read_all
from broker.produce import Producer
from gateway.access.caller import EVERY_ROLE, OPERATORS, Role
from gateway.access.keys import id_of
from schemas import topics
from schemas.alert import Action, Because
from schemas.keys import DEFAULT_TENANT
from sinks.actions.outbox import Arrival, Outbox, Result
from tests.support.asgi import Client, Reply
from tests.support.gateway import EmbeddedDoor, open_door
from tests.support.tiers.orders import START
from tests.support.waiting import wait_until

FORM = "application/x-www-form-urlencoded"
WRONG = b'{"order_id":"SO-7","event_id":"1","status_code":"DELIVERD"}'


@pytest.fixture
def door(tmp_path: Path) -> Iterator[EmbeddedDoor]:
    """A gateway whose events.rejected has three letters of two codes, and one of a writer."""
    with open_door(tmp_path) as opened:
        for topic in (*topics.TOPICS, topics.CONTROL):
            opened.broker.create(topic.name)
        put(opened, "unknown_status", WRONG)
        put(opened, "unknown_status", WRONG.replace(b"SO-7", b"SO-8"))
        put(opened, "malformed_json", b"{<b>")
        put(opened, "wrong_key", b"{}", topic=topics.ORDERS_CHANGES)
        opened.gateway.control.start()
        opened.start()
        yield opened


def put(door: EmbeddedDoor, code: str, value: bytes, topic: str = topics.EVENTS) -> None:
    """Write a letter as `track` does."""
    with Producer(door.connection) as producer:
        headers: Headers = [
            (topics.HEADER_CODE, code.encode()),
            (topics.HEADER_REASON, f"why {code}".encode()),
            (topics.HEADER_TOPIC, topic.encode()),
            (topics.HEADER_PARTITION, b"0"),
            (topics.HEADER_OFFSET, b"17"),
            ("gateway-key", b"k-17"),
        ]
        producer.send(topics.EVENTS_REJECTED, b"SO-7", value, headers)


def page(door: EmbeddedDoor, client: Client | None = None) -> str:
    answer = (client or door.client("admin")).get("/operations")
    assert answer.status == 200
    return answer.body.decode()


def letter(html: str, code: str) -> str:
    """The part of a code."""
    (found,) = [
        part.partition("</article>")[0]
        for part in html.split('<article class="letter">')
        if f'<span class="mono">{code}</span>' in part
    ]
    return found


def signed_in(door: EmbeddedDoor, role: Role = "admin", tenant: str | None = None) -> Client:
    """A browser of a role."""
    access = door.gateway.access
    session = access.sessions.session(id_of(door.key(role, tenant)) or "", access.now_s())
    return Client(door.app, cookie=f"ordertide_session={session}", origin="http://board.test")


def confirm(client: Client, html: str, code: str, **changed: str) -> Reply:
    """Send the form that confirms the replay of a code."""
    form = letter(html, code).partition("<form")[2]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) | changed
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    return client.post("/operations/replay", body, content_type=FORM)


def test_dead_letters_stand_by_code_with_reason_origin_sender_and_original(
    door: EmbeddedDoor,
) -> None:
    html = page(door)
    unknown = letter(html, "unknown_status")
    assert "2 to replay" in unknown
    assert "why unknown_status" in unknown
    assert "events [0] 17" in unknown
    assert "key k-17" in unknown
    assert "DELIVERD" in unknown
    assert "{&lt;b&gt;" in letter(html, "malformed_json")
    assert "0 to replay" in letter(html, "wrong_key"), "what a writer put there is no event"


def test_a_replay_writes_back_what_was_confirmed_and_is_audited(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    answer = confirm(client, page(door, client), "unknown_status")
    assert (answer.status, answer.headers.get("location")) == (303, "/operations"), answer.body
    written = door.events()
    assert [message.value for message in written].count(WRONG) == 1
    assert len(written) == 2
    assert {name for name, _ in written[0].headers} == {"gateway-key"}
    entries = [
        msgspec.json.decode(message.value or b"")
        for message in read_all(door.connection, topics.ORDERS_AUDIT)
    ]
    assert {entry["order_id"] for entry in entries} == {"SO-7", "SO-8"}
    assert {entry["what"] for entry in entries} == {"rejected.replayed"}
    assert all(entry["operator"] for entry in entries)
    unknown = letter(page(door, client), "unknown_status")
    assert "0 to replay" in unknown
    assert "Last replay: 2 by" in unknown
    put(door, "unknown_status", WRONG)
    assert "1 to replay" in letter(page(door, client), "unknown_status"), "rejected again"


def test_a_replay_of_another_number_than_was_confirmed_writes_nothing(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    html = page(door, client)
    put(door, "unknown_status", WRONG)
    answer = confirm(client, html, "unknown_status")
    assert answer.status == 400
    assert "3 wait with code" in answer.body.decode()
    assert door.events() == []
    forged = confirm(client, html, "unknown_status", csrf="forged", letters="3")
    assert forged.status == 403
    assert door.events() == []


def test_another_process_learns_of_a_replay(door: EmbeddedDoor) -> None:
    client = signed_in(door)
    confirm(client, page(door, client), "malformed_json")
    replays = door.gateway.operations.replays
    replays.records.clear()
    door.gateway.control.close()
    again = door.gateway.control.__class__(
        door.connection, door.producer, {"replayed": replays.take, "api-key": door.keys.take}
    )
    again.start()
    wait_until(lambda: "malformed_json" in replays.records, "the record is read")
    again.close()


@pytest.mark.parametrize("role", sorted(EVERY_ROLE))
def test_the_page_is_for_operators_and_up(door: EmbeddedDoor, role: Role) -> None:
    answer = door.client(role, "default", "x").get("/operations")
    assert answer.status == (200 if role in OPERATORS else 403)
    if role != "ingest":
        rail = door.client(role, "default", "x").get("/orders").body.decode()
        assert ('href="/operations"' in rail) == (role in OPERATORS)


def test_letters_and_actions_are_not_for_a_viewer_of_one_tenant(door: EmbeddedDoor) -> None:
    html = page(door, door.client("operator", "acme"))
    assert "unknown_status" not in html
    assert "SO-7" not in html
    client = signed_in(door, "operator", "acme")
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page(door, client))[0]
    refused = client.post(
        "/operations/replay",
        f"csrf={csrf}&code=unknown_status&letters=2".encode(),
        content_type=FORM,
    )
    assert refused.status == 403
    assert door.events() == []


def test_the_groups_and_tiers_are_there_without_any_process(door: EmbeddedDoor) -> None:
    html = page(door)
    for label in ("Dataflow", "Writer hot", "Alert delivery", "Actions"):
        assert f"<h3>{label}</h3>" in html
    assert "set [telemetry] targets" in html
    assert "Vouches for what it holds" in html


def test_dead_actions_are_listed_with_their_reason(door: EmbeddedDoor, tmp_path: Path) -> None:
    assert 'id="actions"' not in page(door), "no outbox on this host"
    action = Action(
        action_id="a" * 32,
        kind="contact_carrier",
        tenant=DEFAULT_TENANT,
        order_id="SO-9",
        rule="carrier_silent",
        at="2026-01-01T00:00:00.000Z",
        because=Because(
            anchor="last_update",
            anchor_event="0" * 16,
            anchor_at="2026-01-01T00:00:00.000Z",
            due_at="2026-01-01T00:00:00.000Z",
            limit="48h",
            last_event="SHIPPED",
            last_event_at="2026-01-01T00:00:00.000Z",
        ),
        expires_at="2026-01-04T00:00:00.000Z",
        alert_id=None,
    )
    outbox = Outbox(tmp_path / "outbox.sqlite")
    with outbox.transaction():
        arrival = Arrival(action.action_id, "desk", START, START, msgspec.json.encode(action))
        outbox.insert([arrival], START, START)
        (task,) = outbox.take("desk", START, 1)
        outbox.settle([Result(task, "dead", 3, "refused: 410 Gone", ended_at=START)])
    outbox.close()
    html = page(door).partition('id="actions"')[2]
    for shown in ("contact_carrier", "/orders/SO-9", "desk · dead", "refused: 410 Gone"):
        assert shown in html
