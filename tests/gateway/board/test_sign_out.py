"""Signing out of the board: by a form with the session's token, for sessions alone."""

import re

import pytest

from tests.support.asgi import Client
from tests.support.gateway import Door, EmbeddedDoor

FORM = "application/x-www-form-urlencoded"
TOKEN = re.compile(r'action="/sign-out"><input type="hidden" name="csrf" value="([^"]+)"')


@pytest.fixture
def started(door: EmbeddedDoor) -> Door:
    door.start()
    return door


def browser_of(door: Door) -> Client:
    access = door.gateway.access
    key_id = door.key("operator", "default").split("_")[1]
    cookie = access.sessions.session(key_id, access.now_s())
    return Client(door.app, cookie=f"ordertide_session={cookie}", origin="http://board.test")


def test_the_form_of_the_menu_takes_the_cookie_away(started: Door) -> None:
    client = browser_of(started)
    (token,) = TOKEN.findall(client.get("/").body.decode())
    answer = client.post("/sign-out", f"csrf={token}".encode(), content_type=FORM)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("ordertide_session=;")
    assert "Max-Age=0;" in cookie


def test_another_site_signs_nobody_out(started: Door) -> None:
    client = browser_of(started)
    for sent in (b"", b"csrf=x"):
        refused = client.post("/sign-out", sent, content_type=FORM)
        assert refused.status == 403
        assert "set-cookie" not in refused.headers


def test_a_caller_with_a_key_has_nothing_to_sign_out_of(started: Door) -> None:
    html = started.client("operator", "default").get("/").body.decode()
    assert "/sign-out" not in html
