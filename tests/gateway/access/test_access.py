"""Access: keys, sessions from a printed link, and what is refused."""

import asyncio
import stat
from pathlib import Path

import pytest
from starlette.requests import Request

from gateway.access.access import Access, origin_of
from gateway.access.folder import ADMIN_KEY, SECRET, open_folder
from gateway.access.keys import KeyRing, new_key, record_of
from gateway.access.sessions import CODE_S, SESSION_S, Sessions
from gateway.access.signing import Signer
from gateway.problems import Problem
from schemas.errors import SettingsError
from tests.support.asgi import Client, Reply, scope_of
from tests.support.gateway import Door

SECRET_BYTES = b"s" * 32


@pytest.fixture
def link(door: Door) -> str:
    """A link as it is printed, for an operator's key."""
    key = door.key()
    sessions = door.gateway.access.sessions
    return f"/sign-in?code={sessions.code(key.split('_')[1], door.gateway.access.now_s())}"


def access_in(folder: Path, proxies: str = "") -> Access:
    """The access of an installation without keys."""
    signer = Signer(SECRET_BYTES)
    return Access(KeyRing(), signer, Sessions(signer, folder), proxies=proxies)


def cookie_of(answer: Reply) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_first_start_makes_a_private_key_and_later_ones_keep_it(tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    first = open_folder(folder)
    assert open_folder(folder) == first
    for name in (SECRET, ADMIN_KEY):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    (folder / ADMIN_KEY).write_text("ot_broken")
    with pytest.raises(SettingsError, match="holds no API key; delete the file"):
        open_folder(folder)


def test_a_link_signs_in_once(door: Door, link: str) -> None:
    client = Client(door.app)
    first = client.get(link)
    assert (first.status, first.headers["location"]) == (303, "/")
    assert "HttpOnly; SameSite=Lax" in first.headers["set-cookie"]
    me = client.get("/v1/me", cookie=cookie_of(first)).json
    assert me["role"] == "operator"
    assert me["csrf_token"]
    second = client.get(link)
    assert second.status == 401
    assert b"This code was used" in second.body


def test_a_session_ends_with_its_key_and_after_its_time(door: Door, link: str) -> None:
    client = Client(door.app)
    cookie = cookie_of(client.get(link))
    (key_id,) = door.keys.records
    record = door.keys.records.pop(key_id)
    assert client.get("/v1/me", cookie=cookie).status == 401
    door.keys.add(record)
    access = door.gateway.access
    assert client.get("/v1/me", cookie=cookie).status == 200
    now_s = access.now_s()
    access.now_s = lambda: now_s + SESSION_S + 1
    assert client.get("/v1/me", cookie=cookie).status == 401


def test_a_code_runs_out(tmp_path: Path) -> None:
    sessions = Sessions(Signer(SECRET_BYTES), tmp_path)
    code = sessions.code("k", 1000)
    assert sessions.redeemed(code, 1000 + CODE_S) is None
    assert sessions.redeemed(code, 1000) is not None


@pytest.mark.parametrize(
    "forged",
    ["", "x", "a.b", "a.b.c", "{}.0", "Bearer", "ot_admin00000_" + "a" * 43, "é.ü", "a" * 9000],
)
def test_a_forged_cookie_or_key_is_nobody(door: Door, forged: str) -> None:
    client = Client(door.app)
    assert client.get("/v1/me", authorization=f"Bearer {forged}").status == 401
    assert client.get("/v1/me", cookie=f"ordertide_session={forged}").status == 401


def test_a_session_of_another_installation_or_for_another_purpose_is_refused(
    tmp_path: Path,
) -> None:
    ours, theirs = Sessions(Signer(b"a" * 32), tmp_path), Sessions(Signer(b"b" * 32), tmp_path)
    assert ours.opened(theirs.session("k", 0), 1) is None
    assert ours.opened(ours.code("k", 0), 1) is None
    assert ours.redeemed(ours.session("k", 0), 1) is None
    changed = ours.session("k", 0).replace("W", "X", 1)
    assert ours.opened(changed, 1) is None


def test_a_changed_key_is_refused_and_never_kept() -> None:
    keys, key = KeyRing(), new_key()
    keys.add(record_of(key, "admin"))
    assert keys.caller_of(key) is not None
    assert keys.caller_of(key[:-1] + ("A" if key[-1] != "A" else "B")) is None
    assert key[-43:] not in repr(keys.records)


@pytest.mark.parametrize(
    ("origin", "is_right", "is_taken"),
    [
        ("http://board.test", True, True),
        ("http://board.test", False, False),
        ("http://evil.test", True, False),
        ("", True, False),
    ],
)
def test_a_write_by_a_cookie_needs_our_origin_and_the_token(
    door: Door, link: str, origin: str, *, is_right: bool, is_taken: bool
) -> None:
    access = door.gateway.access
    cookie = cookie_of(Client(door.app).get(link))
    request = Request(scope_of("POST", "/v1/x", {"cookie": cookie, "origin": origin}))
    caller = asyncio.run(access.caller_of(request))
    assert caller is not None
    token = access.sessions.csrf_token(caller.session or "") if is_right else "wrong"
    if is_taken:
        access.check_origin(request, caller, token)
        return
    with pytest.raises(Problem) as refused:
        access.check_origin(request, caller, token)
    assert refused.value.code == "forbidden"


def test_an_address_behind_proxies_is_the_first_that_is_none(tmp_path: Path) -> None:
    access = Access(
        KeyRing(),
        Signer(SECRET_BYTES),
        Sessions(Signer(SECRET_BYTES), tmp_path),
        proxies="127.0.0.0/8, 10.0.0.0/8",
    )
    hops = {"x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.1.1.1"}
    assert access.ip_of(Request(scope_of("GET", "/", hops))) == "203.0.113.9"
    assert access.ip_of(Request(scope_of("GET", "/", {}))) == "127.0.0.1"
    direct = access_in(tmp_path)
    assert direct.ip_of(Request(scope_of("GET", "/", hops))) == "127.0.0.1"
    with pytest.raises(SettingsError, match="behind_proxy"):
        Access(
            KeyRing(),
            Signer(SECRET_BYTES),
            Sessions(Signer(SECRET_BYTES), tmp_path),
            proxies="proxy.example",
        )


def test_an_origin_is_scheme_and_host() -> None:
    assert origin_of("https://track.example:8443/board?x=1") == "https://track.example:8443"
