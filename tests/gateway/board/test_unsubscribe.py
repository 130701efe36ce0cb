"""Unsubscribing: by a button of the page or of a mail program, and back; never by opening it."""

from typing import Any

import msgspec
import pytest

from broker.consume import read_all
from gateway.unsubscribing import FollowedRefusals, Refusals
from schemas.errors import Busy
from schemas.keys import SEPARATOR
from schemas.topics import CONTROL, ORDERS_AUDIT
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door, EmbeddedDoor
from tests.support.waiting import wait_until

PERSON, KIND = f"default{SEPARATOR}C-secret", "notify_delayed"
FORM = "application/x-www-form-urlencoded"
# As RFC 8058 has it for mail programs.
ONE_CLICK = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)


@pytest.fixture
def open_door(door: EmbeddedDoor) -> EmbeddedDoor:
    door.gateway.control.start()
    wait_until(lambda: door.gateway.control.is_loaded, "the control topic is read")
    return door


def link(door: Door) -> str:
    return f"/u/{door.gateway.refusals.token(PERSON, KIND, 'default', 'SO-1')}"


def refusals_for_act(door: Door) -> FollowedRefusals:
    return FollowedRefusals(door.gateway.refusals, door.gateway.control)


def choice(door: Door, path: str, form: bytes, **headers: str) -> Reply:
    return Client(door.app).post(f"{path}/choice", form, content_type=FORM, **headers)


def audit(door: Door) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(each.value or b"") for each in read_all(door.connection, ORDERS_AUDIT)
    ]


def test_the_button_of_a_mail_program_ends_messages_of_a_kind(open_door: EmbeddedDoor) -> None:
    door, path = open_door, link(open_door)
    page = Client(door.app).get(f"{path}?lang=zh").body.decode()
    assert "不再接收此类消息？" in page
    assert "<script" not in page
    assert not refusals_for_act(door).refuses(PERSON, KIND), "opening the link changes nothing"
    content_type = "multipart/form-data; boundary=x"
    for _ in range(2):  # a mail program may send it again
        answer = Client(door.app).post(f"{path}?lang=en", ONE_CLICK, content_type=content_type)
        assert (answer.status, answer.body) == (200, b"")
    assert refusals_for_act(door).refuses(PERSON, KIND)
    assert not refusals_for_act(door).refuses(PERSON, "confirm_order")
    assert not refusals_for_act(door).refuses(f"default{SEPARATOR}C-other", KIND)
    (entry,) = audit(door)
    assert (entry["what"], entry["order_id"], entry["detail"]) == (
        "message.refused",
        "SO-1",
        {"kind": KIND},
    )
    (record,) = read_all(door.connection, CONTROL.name)
    assert b"C-secret" not in (record.key or b"") + (record.value or b""), "it names nobody"
    assert "C-secret" not in path
    after_restart = Refusals(b"s" * 32)
    after_restart.take((record.key or b"").decode().partition("/")[2], record.value)
    assert [*after_restart.records] == [after_restart.name_of(PERSON, KIND)]


def test_the_page_ends_messages_and_takes_it_back(open_door: EmbeddedDoor) -> None:
    door, path = open_door, link(open_door)
    stopped = choice(door, path, b"choice=stop&lang=en")
    assert (stopped.status, stopped.headers["location"]) == (303, f"{path}?lang=en")
    assert "You get no more messages of this kind." in Client(door.app).get(path).body.decode()
    assert refusals_for_act(door).refuses(PERSON, KIND)
    assert choice(door, path, b"choice=resume").status == 303
    assert not refusals_for_act(door).refuses(PERSON, KIND)
    assert "No more messages of this kind?" in Client(door.app).get(path).body.decode()
    assert [each["what"] for each in audit(door)] == ["message.refused", "message.resumed"]


def test_what_is_no_link_or_no_choice_of_ours_changes_nothing(open_door: EmbeddedDoor) -> None:
    door, path = open_door, link(open_door)
    forged = path[:-4] + ("0000" if not path.endswith("0000") else "1111")
    assert Client(door.app).get(forged).status == 404
    assert Client(door.app).post(forged, ONE_CLICK).status == 404
    assert choice(door, forged, b"choice=stop").status == 404
    assert choice(door, path, b"choice=maybe").status == 400
    assert choice(door, path, b"choice=stop", origin="https://elsewhere.example").status == 403
    assert not audit(door)
    assert not door.gateway.refusals.records


def test_nothing_is_known_before_the_topic_is_read(door: EmbeddedDoor) -> None:
    with pytest.raises(Busy, match=r"unsubscribed customers: reading ordertide\.control"):
        refusals_for_act(door).refuses(PERSON, KIND)
    assert Client(door.app).post(link(door), ONE_CLICK).status == 503
