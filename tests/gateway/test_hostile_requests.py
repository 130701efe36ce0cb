"""Hostile requests are refused as problems, change nothing and never break the gateway."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from gateway.access.keys import new_key
from gateway.access.sessions import Sessions
from gateway.access.shares import Share, Shares
from gateway.access.signing import Signer
from gateway.body import MIB
from gateway.problems import MEDIA_TYPE
from gateway.routes import ROUTES
from tests.support.asgi import Client, Reply
from tests.support.gateway import REST_TOKEN, Door, open_door
from tests.support.tiers.orders import document
from tests.support.waiting import wait_until

FAR_S = 1 << 40
FORM = "application/x-www-form-urlencoded"
WRITES = [
    (route.method, route.path.replace("{id}", "SO-1"))
    for route in ROUTES
    if route.method != "GET" and route.part == "api"
]
DEEP = 100_000
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "deep lists": (b"[" * DEEP, {}),
    "deep objects": (b'{"reason":' * DEEP + b"1" + b"}" * DEEP, {}),
    "broken UTF-8": (b'{"status": "\xff\xfe", "text": "\xc3("}', {}),
    "broken UTF-8 in a form": (b"text=\xff&to=\xfe", {"content_type": FORM}),
    "a thousand fields": (b"&".join(b"a%d=1" % n for n in range(1000)), {"content_type": FORM}),
    "a bomb of gzip": (gzip.compress(b" " * (64 * MIB), 1), {"content_encoding": "gzip"}),
    "a bomb of zstd": (zstandard.compress(b" " * (64 * MIB)), {"content_encoding": "zstd"}),
    "no gzip": (b"{}", {"content_encoding": "gzip"}),
    "another packer": (b"{}", {"content_encoding": "br"}),
    "too much": (b" " * (4 * MIB + 1), {}),
    "a surrogate": (b'{"status": "\\ud800", "to": "\\ud800"}', {}),
    "a zero byte": (b"\0", {}),
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("serve")) as opened:
        opened.put(document("SO-1"))
        opened.start()
        opened.gateway.control.start()
        wait_until(lambda: opened.gateway.control.is_loaded, "the keys are read")
        yield opened


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_a_problem_on_every_route_that_writes(door: Door, name: str) -> None:
    body, headers = BODIES[name]
    clients = [door.client("admin"), door.client("ingest", "default")]
    for method, path in WRITES:
        for client in clients:
            reply = client.request(method, path, body, **headers)
            assert 400 <= reply.status < 500, (method, path, reply.body)
            assert reply.headers["content-type"] in {MEDIA_TYPE, "application/json"}
    assert door.events() == []


@pytest.mark.parametrize("id_", ["%ff", "%00", "%ed%a0%80", "..%2f..%2fetc", "%25ff", "a%0d%0ab"])
def test_a_hostile_id_is_never_found_and_never_an_error(door: Door, id_: str) -> None:
    clients = [door.client("admin"), door.client("ingest", "default"), Client(door.app)]
    for route in ROUTES:
        path = route.path
        for name in ("id", "lane", "code", "token", "carrier", "account", "name"):
            path = path.replace(f"{{{name}}}", id_)
        if path == route.path:
            continue
        for client in clients:
            reply = client.request(route.method, path, b"")
            assert 300 <= reply.status < 500, (route.method, path, reply.body)
            assert "\n" not in "".join(reply.headers.values())


def flipped(token: str, at: int) -> str:
    """A token with one character changed for another of its alphabet."""
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def test_twenty_forged_tokens_are_refused(door: Door, tmp_path: Path) -> None:
    """Each is one that is let in, but for one thing."""
    gateway, now_s = door.gateway, door.gateway.access.now_s()
    key = door.key("admin")
    key_id = key.split("_")[1]
    theirs = Sessions(Signer(b"x" * 32), tmp_path)
    ours = gateway.access.sessions
    cookie, code = ours.session(key_id, now_s), ours.code(key_id, now_s)
    share = gateway.shares.sealed(Share("default", "SO-1", "town", FAR_S))
    nobody = Client(door.app)

    def by_key(token: str) -> Reply:
        return nobody.get("/v1/me", authorization=f"Bearer {token}")

    def by_cookie(token: str) -> Reply:
        return nobody.get("/v1/me", cookie=f"ordertide_session={token}")

    def by_code(token: str) -> Reply:
        return nobody.get(f"/sign-in?code={token}")

    def by_link(token: str) -> Reply:
        return nobody.get(f"/t/{token}")

    def by_push(token: str) -> Reply:
        return nobody.post(f"/v1/carriers/rest/depot/callback/{token}", b"[]")

    forged: list[tuple[Callable[[str], Reply], str]] = [
        (by_key, new_key()),
        (by_key, flipped(key, -1)),
        (by_key, flipped(key, 5)),
        (by_key, key[:-1]),
        (by_key, key + "A"),
        (by_key, cookie),
        (by_cookie, flipped(cookie, 3)),
        (by_cookie, flipped(cookie, -5)),
        (by_cookie, theirs.session(key_id, now_s)),
        (by_cookie, ours.session("0" * 10, now_s)),
        (by_cookie, ours.session(key_id, now_s - FAR_S)),
        (by_cookie, code),
        (by_code, cookie),
        (by_code, theirs.code(key_id, now_s)),
        (by_link, flipped(share, 20)),
        (by_link, share[:-4]),
        (by_link, Shares(b"x" * 32).sealed(Share("default", "SO-1", "town", FAR_S))),
        (
            by_link,
            gateway.shares.sealed(Share("default", "SO-1", "town", until_s=1)),
        ),
        (by_push, flipped(REST_TOKEN, 0)),
        (by_push, REST_TOKEN[:-1]),
    ]
    assert len(forged) == 20
    for send, token in forged:
        reply = send(token)
        assert 400 <= reply.status < 500, (send.__name__, token, reply.body)
    assert by_key(key).status == by_cookie(cookie).status == by_link(share).status == 200
    assert by_code(code).status == 303
