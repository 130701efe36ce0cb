"""Sign-in and tokens of an OpenID Connect issuer: a real one, in a process of its own."""

import json
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from gateway.access.issuer import AGAIN_S, KEEP_S, RETRY_S, WITHOUT_S
from gateway.access.oidc import Oidc
from gateway.access.sessions import CODE_S
from schemas.settings.model import OidcSettings
from tests.support.alerts import order
from tests.support.asgi import Client, Reply
from tests.support.gateway import Door, EmbeddedDoor, open_door
from tests.support.issuer import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    IssuerProcess,
    mac_token,
    part,
)

Json = dict[str, Any]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def running() -> Iterator[IssuerProcess]:
    with IssuerProcess() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: IssuerProcess) -> IssuerProcess:
    running.behave()
    return running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDoor]:
    folder: Path = tmp_path_factory.mktemp("serve")
    with open_door(folder) as opened:
        opened.start()
        own = {"customer_id": "C-1", "supplier_id": "S-1", "carrier": "sf"}
        opened.put(msgspec.structs.replace(order("OURS-1", 1), **own), order("OTHERS-1", 1))
        yield opened


@pytest.fixture
def board(site: EmbeddedDoor, issuer: IssuerProcess) -> Door:
    """The gateway, with an issuer of which it knows nothing yet."""
    use(site, issuer)
    return site


def use(door: Door, issuer: IssuerProcess, **changes: Any) -> Oidc:  # noqa: ANN401 - any setting
    """Let a gateway use an issuer, with some settings changed."""
    settings = OidcSettings(
        issuer=issuer.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, audience=AUDIENCE
    )
    changed = msgspec.structs.replace(settings, **changes)
    door.gateway.access.oidc = Oidc(changed, door.gateway.access.sessions)
    return door.gateway.access.oidc


class Browser(NamedTuple):
    """A browser at the gateway, after it was sent to the issuer."""

    client: Client
    sent_to: str
    cookie: str

    def returns(self, address: str, cookie: str | None = None) -> Reply:
        """The answer to an address that the issuer sent it back to."""
        parts = urlsplit(address)
        assert (parts.scheme, parts.netloc) == ("http", "board.test")
        sent = {"cookie": self.cookie if cookie is None else cookie}
        return self.client.get(f"{parts.path}?{parts.query}", **sent)


def begin(door: Door, to: str = "/") -> Browser:
    client = Client(door.app)
    answer = client.get(f"/sign-in/oidc?to={quote(to, safe='')}")
    assert answer.status == 303, answer.body
    header = answer.headers["set-cookie"]
    assert "Path=/sign-in; Max-Age=600; HttpOnly; SameSite=Lax" in header
    return Browser(client, answer.headers["location"], header.partition(";")[0])


def sign_in(door: Door, issuer: IssuerProcess, to: str = "/") -> Reply:
    browser = begin(door, to)
    return browser.returns(issuer.visit(browser.sent_to))


def session_of(answer: Reply) -> str:
    assert answer.status == 303, answer.body
    cookie = SimpleCookie(answer.headers["set-cookie"])["ordertide_session"]
    return f"ordertide_session={cookie.value}"


def test_a_browser_signs_in_and_out(board: Door, issuer: IssuerProcess) -> None:
    nobody = Client(board.app)
    page = nobody.get("/orders?q=OURS")
    assert page.headers["location"] == "/sign-in?to=%2Forders%3Fq%3DOURS"
    way = b'href="/sign-in/oidc?to=%2Forders%3Fq%3DOURS"'
    assert way in nobody.get(page.headers["location"]).body
    browser = begin(board, "/orders?q=OURS")
    asked = dict(parse_qsl(urlsplit(browser.sent_to).query))
    assert (asked["code_challenge_method"], asked["scope"]) == ("S256", "openid profile")
    answer = browser.returns(issuer.visit(browser.sent_to))
    assert answer.headers["location"] == "/orders?q=OURS"
    cookie = session_of(answer)
    hint = SimpleCookie(answer.headers["set-cookie"])["ordertide_id_token"]
    assert (hint["path"], hint["httponly"], hint["samesite"]) == ("/sign-out", True, "Lax")
    me = nobody.get("/v1/me", cookie=cookie).json
    assert {name: me[name] for name in ("key_id", "name", "role", "tenant")} == {
        "key_id": "oidc:b1f0-user",
        "name": "li.na",
        "role": "operator",
        "tenant": "default",
    }
    assert b"OURS-1" in nobody.get("/orders?q=OURS", cookie=cookie).body
    form = f"csrf={me['csrf_token']}".encode()
    cookies = f"{cookie}; ordertide_id_token={hint.value}"
    sent = {"cookie": cookies, "content_type": FORM, "origin": "http://board.test"}
    left = nobody.post("/sign-out", form, **sent)
    ended = SimpleCookie(left.headers["set-cookie"])
    assert {name: (each.value, each["max-age"]) for name, each in ended.items()} == {
        "ordertide_session": ("", "0"),
        "ordertide_id_token": ("", "0"),
    }
    there = urlsplit(left.headers["location"])
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{issuer.url}/logout"
    assert dict(parse_qsl(there.query)) == {
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": "http://board.test/sign-in",
        "id_token_hint": hint.value,
    }
    assert unpacked(hint.value.split(".")[1])["sub"] == "b1f0-user"


NOW = time.time()
FAULTS: dict[str, tuple[dict[str, Any], int, list[str]]] = {
    "audience": ({"claims": {"aud": "shop"}}, 401, ["'shop'", "oidc.client_id", CLIENT_ID]),
    "party": (
        {"claims": {"aud": [CLIENT_ID, "shop"], "azp": "shop"}},
        401,
        ["issued to 'shop'", "oidc.client_id"],
    ),
    "nonce": ({"claims": {"nonce": "of another"}}, 401, ["its nonce", "sign in again"]),
    "no nonce": ({"claims": {"nonce": None}}, 401, ["its nonce"]),
    "expired": ({"claims": {"exp": int(NOW) - 90}}, 401, ["has expired", "NTP"]),
    "clock ahead": ({"claims": {"iat": int(NOW) + 3600}}, 401, ["later instant", "NTP"]),
    "no expiry": ({"claims": {"exp": None}}, 401, ["no claim 'exp'"]),
    "issuer": ({"claims": {"iss": "https://evil.test"}}, 401, ["'https://evil.test'", "oidc.iss"]),
    "unsigned": ({"algorithm": "none"}, 401, ["signed with 'none'", "RS256"]),
    "MAC under the public key": ({"algorithm": "HS256"}, 401, ["signed with 'HS256'"]),
    "refused": ({"error": "access_denied"}, 401, ["access_denied the user said no"]),
    "answer of another": ({"answer": {"iss": "https://evil.test"}}, 401, ["oidc.issuer", "iss:"]),
    "code of another": ({"answer": {"code": "stolen"}}, 401, ["invalid_grant", "works once"]),
    "unknown role": (
        {"claims": {"ordertide_role": "boss"}},
        403,
        ["'ordertide_role' holds 'boss'", "one of admin", "oidc.claims.role"],
    ),
    "no role": (
        {"claims": {"ordertide_role": None}},
        403,
        ["'ordertide_role' is missing", "ID token", "oidc.claims.role"],
    ),
    "feeder": ({"claims": {"ordertide_role": "ingest"}}, 403, ["sees no page"]),
    "no customer": (
        {"claims": {"ordertide_role": "customer"}},
        403,
        ["'customer_id' is missing", "needs a customer id", "oidc.claims.customer"],
    ),
    "two tenants": (
        {"claims": {"tenant": ["acme", "shop"]}},
        403,
        ["'tenant' holds", "one tenant", "oidc.claims.tenant"],
    ),
    "no tenant": ({"claims": {"tenant": ""}}, 403, ["'tenant' holds ''"]),
    "no subject": ({"claims": {"sub": ""}}, 401, ["'sub'"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_isnt_right_signs_nobody_in(
    board: Door, issuer: IssuerProcess, fault: str
) -> None:
    behaviour, status, words = FAULTS[fault]
    issuer.behave(**behaviour)
    answer = sign_in(board, issuer)
    text = answer.body.decode().replace("&#39;", "'")
    assert answer.status == status, text
    assert [word for word in words if word not in text] == []
    assert answer.headers["set-cookie"].startswith("ordertide_sign_in=; Path=/sign-in; Max-Age=0")


def test_a_state_counts_once_and_in_its_browser_alone(board: Door, issuer: IssuerProcess) -> None:
    browser = begin(board)
    back = issuer.visit(browser.sent_to)
    assert browser.returns(back, cookie="").status == 401, "another browser's"
    stranger = begin(board)
    assert browser.returns(back, cookie=stranger.cookie).status == 401, "of another sign-in"
    assert browser.returns(back, cookie=f"{browser.cookie}0").status == 401, "forged"
    assert browser.returns(f"{back}&code=another").status == 400, "two codes"
    assert browser.returns(back).status == 303
    replayed = browser.returns(back)
    assert replayed.status == 401
    assert b"began no such sign-in" in replayed.body
    late, access = begin(board), board.gateway.access
    back, now_s = issuer.visit(late.sent_to), access.now_s
    access.now_s = lambda: now_s() + CODE_S
    try:
        assert late.returns(back).status == 401
    finally:
        access.now_s = now_s


def test_a_code_of_another_browser_is_worth_nothing(board: Door, issuer: IssuerProcess) -> None:
    """PKCE: who puts a stolen code into a sign-in of its own lacks the verifier."""
    victim, thief = begin(board), begin(board)
    stolen = dict(parse_qsl(urlsplit(issuer.visit(victim.sent_to)).query))["code"]
    back = urlsplit(issuer.visit(thief.sent_to))
    own = dict(parse_qsl(back.query))["code"]
    answer = thief.returns(back._replace(query=back.query.replace(own, stolen)).geturl())
    assert answer.status == 401
    assert b"invalid_grant" in answer.body


@pytest.mark.parametrize(
    "to",
    [
        *("https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test", "javascript:x"),
        *("/\t/evil.test", "/\n/evil.test", "evil.test", "", "http:evil.test"),
    ],
)
def test_a_sign_in_leads_to_our_own_pages_alone(
    board: Door, issuer: IssuerProcess, to: str
) -> None:
    assert sign_in(board, issuer, to).headers["location"] == "/"
    door = Client(board.app).get(f"/sign-in?to={quote(to, safe='')}").body
    assert b"evil" not in door
    key_id, access = board.key("operator").split("_")[1], board.gateway.access
    code = access.sessions.code(key_id, access.now_s())
    linked = Client(board.app).get(f"/sign-in?code={code}&to={quote(to, safe='')}")
    assert linked.headers["location"] == "/"


def test_a_page_too_long_for_a_cookie_is_left_out(board: Door, issuer: IssuerProcess) -> None:
    assert sign_in(board, issuer, "/" + "a" * 2000).headers["location"] == "/"


def test_a_session_ends_after_its_time_and_with_the_issuers_settings(
    board: Door, issuer: IssuerProcess
) -> None:
    use(board, issuer, session="1h")
    client, access = Client(board.app), board.gateway.access
    cookie = session_of(sign_in(board, issuer))
    now_s = access.now_s
    try:
        access.now_s = lambda: now_s() + 3590
        assert client.get("/v1/me", cookie=cookie).status == 200
        access.now_s = lambda: now_s() + 3610
        assert client.get("/v1/me", cookie=cookie).status == 401
    finally:
        access.now_s = now_s
    access.oidc = None
    assert client.get("/v1/me", cookie=cookie).status == 401
    assert client.get("/sign-in/oidc").status == 404


def test_a_rotated_key_is_found_and_unknown_keys_set_no_pace(
    board: Door, issuer: IssuerProcess
) -> None:
    oidc = use(board, issuer)
    assert oidc is not None
    steady_s = time.monotonic()
    oidc.issuer.steady_s = lambda: steady_s
    client, before = Client(board.app), issuer.token()
    assert client.get("/v1/me", authorization=f"Bearer {before}").status == 200
    issuer.post("rotate")
    after, asked = issuer.token(), issuer.post("asked")["keys"]
    for _ in range(3):
        assert client.get("/v1/me", authorization=f"Bearer {after}").status == 401
    assert issuer.post("asked")["keys"] == asked, "within 10 s nothing is asked again"
    steady_s += AGAIN_S
    assert client.get("/v1/me", authorization=f"Bearer {after}").status == 200
    assert client.get("/v1/me", authorization=f"Bearer {before}").status == 401
    assert issuer.post("asked")["keys"] == asked + 1
    assert session_of(sign_in(board, issuer))


def test_without_its_issuer_keys_and_sessions_hold_and_the_reason_is_named(
    board: Door, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(board.app)
    caplog.set_level(logging.WARNING, "ordertide.gateway")
    with IssuerProcess() as passing:
        oidc = use(board, passing)
        steady_s = time.monotonic()
        oidc.issuer.steady_s = lambda: steady_s
        token = passing.token()
        cookie = session_of(sign_in(board, passing))
        assert client.get("/v1/me", authorization=f"Bearer {token}").status == 200
    steady_s += KEEP_S
    assert client.get("/v1/me", authorization=f"Bearer {token}").status == 200
    assert client.get("/v1/me", cookie=cookie).status == 200
    assert "oidc.issuer: http://127.0.0.1" in caplog.text
    steady_s += WITHOUT_S
    away = client.get("/v1/me", authorization=f"Bearer {token}")
    assert (away.status, away.json["code"]) == (503, "issuer_unreachable")
    assert "oidc.issuer: http://127.0.0.1" in away.json["detail"]
    assert away.headers["retry-after"] == f"{RETRY_S:.0f}"
    page = client.get("/sign-in/oidc")
    assert page.status == 503
    assert b"check the address, that the issuer runs, and oidc.ca" in page.body
    assert b"ordertide key link" in page.body
    assert board.client("operator").get("/v1/me").status == 200


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"issuer": "https://login.test/other"}, ["calls its issuer", "to exactly that"]),
        ({"token_endpoint": "http://login.test/token"}, ["not https"]),
        ({"jwks_uri": None}, ["something else than an issuer"]),
    ],
)
def test_an_issuer_that_cant_be_used_says_why(
    board: Door, issuer: IssuerProcess, metadata: dict[str, Any], words: list[str]
) -> None:
    issuer.behave(metadata=metadata)
    page = Client(board.app).get("/sign-in/oidc")
    assert page.status == 503
    assert [word for word in words if word.encode() not in page.body] == []


def test_a_client_with_a_wrong_secret_is_told_which_setting(
    board: Door, issuer: IssuerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    use(board, issuer, client_secret="not-the-secret")
    answer = sign_in(board, issuer)
    assert answer.status == 401
    assert b"check oidc.client_id and ORDERTIDE_OIDC_CLIENT_SECRET" in answer.body
    use(board, issuer)
    session = session_of(sign_in(board, issuer)).partition("=")[2]
    for secret in ("not-the-secret", CLIENT_SECRET, session):
        assert secret not in caplog.text
    assert "not-the-secret" not in answer.body.decode()


def test_claims_are_mapped_by_the_settings(board: Door, issuer: IssuerProcess) -> None:
    use(
        board,
        issuer,
        claims={"role": "realm_access.roles", "name": "email", "tenant": "https://x.test/tenant"},
        roles={"Logistics": "operator", "Heads.of": "manager"},
        tenant="*",
    )

    def me(**claims: object) -> Reply:
        token = issuer.token(**claims)
        return Client(board.app).get("/v1/me", authorization=f"Bearer {token}")

    held = {"realm_access": {"roles": ["x", "Logistics", "Heads.of", 7]}, "email": "li@x.test"}
    found = me(**held).json
    assert (found["role"], found["tenant"], found["name"]) == ("manager", None, "li@x.test")
    assert me(**held, **{"https://x.test/tenant": ["acme"]}).json["tenant"] == "acme"
    # A name of ours means nothing once values are mapped: realms have an admin of their own.
    assert me(realm_access={"roles": ["admin"]}).status == 403
    assert me(realm_access="admin").status == 403
    use(board, issuer, tenant="*")
    refused = me(ordertide_role="customer", customer_id="C-1")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert "needs one of its own" in refused.json["detail"]


@pytest.mark.parametrize(
    ("role", "claim", "party"),
    [("customer", "customer_id", "C-1"), ("supplier", "supplier_id", "S-1")],
)
def test_a_token_sees_its_own_orders_alone(
    board: Door, issuer: IssuerProcess, role: str, claim: str, party: str
) -> None:
    token = issuer.token(ordertide_role=role, **{claim: party})
    client = Client(board.app, authorization=f"Bearer {token}")
    assert client.get("/v1/orders/OURS-1").status == 200
    assert client.get("/v1/orders/OTHERS-1").status == 404
    found = client.get("/v1/orders").json["orders"]
    assert [each["order_id"] for each in found] == ["OURS-1"]
    other = issuer.token(ordertide_role=role, tenant="acme", **{claim: party})
    stranger = Client(board.app, authorization=f"Bearer {other}")
    assert stranger.get("/v1/orders/OURS-1?tenant=default").status == 404


def changed(token: str, header: Json | None = None, **claims: object) -> str:
    """A token with its header or claims changed and its signature kept."""
    head, body, signature = token.split(".")
    first, second = {**unpacked(head), **(header or {})}, {**unpacked(body), **claims}
    return f"{part(first)}.{part(second)}.{signature}"


def unpacked(text: str) -> Json:
    found: Json = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def forgeries(issuer: IssuerProcess) -> dict[str, str]:
    """Tokens that a stranger could make, or that are of the issuer and for something else."""
    token = issuer.token()
    head, body, signature = token.split(".")
    header, claims = unpacked(head), {**unpacked(body), "ordertide_role": "admin"}
    (published,) = issuer.post("keys")["keys"]
    public, kid = JWKRegistry.import_key(published), header["kid"]
    assert isinstance(public, RSAKey | ECKey)
    own = RSAKey.generate_key(2048, {"kid": kid})
    jwk = own.as_dict(private=False)

    def signed(**named: object) -> str:
        return jwt.encode({"alg": "RS256", "kid": kid, **named}, claims, own)

    late, early, now_s = {"exp": int(NOW) - 90}, {"nbf": int(NOW) + 3600}, int(time.time())
    return {
        "unsigned": f"{part({'alg': 'none'})}.{part(claims)}.",
        "unsigned, in other letters": f"{part({**header, 'alg': 'nOnE'})}.{part(claims)}.",
        "unsigned with a signature": f"{part({**header, 'alg': 'none'})}.{body}.{signature}",
        "no algorithm": f"{part({'kid': kid})}.{part(claims)}.{signature}",
        "MAC under the public key": mac_token(claims, public.as_pem(private=False), kid),
        "MAC under the published key": mac_token(claims, json.dumps(published).encode(), kid),
        "MAC under the client's secret": mac_token(claims, CLIENT_SECRET.encode(), kid),
        "MAC under nothing": mac_token(claims, b"", kid),
        "changed role": changed(token, ordertide_role="admin"),
        "changed end": changed(token, exp=now_s + 10**6),
        "no signature": f"{head}.{body}.",
        "signature of another": f"{head}.{part(claims)}.{issuer.token(sub='x').split('.')[2]}",
        "key of a stranger": signed(),
        "key in the token": signed(jwk=jwk),
        "key at an address": signed(jku="http://evil.test/keys"),
        "unknown key": signed(kid="../../dev/null"),
        "no key": jwt.encode({"alg": "RS256"}, claims, own),
        "other algorithm": changed(token, {"alg": "PS512"}),
        "must be understood": changed(token, {"crit": ["exp"]}),
        "expired": issuer.token(**late),
        "not yet": issuer.token(**early),
        "endless": issuer.token(exp=None),
        "end in words": issuer.token(exp="tomorrow"),
        "of another issuer": issuer.token(iss="https://evil.test"),
        "for another audience": issuer.token(aud="shop"),
        "for no audience": issuer.token(aud=None),
        "ID token": issuer.token(aud=CLIENT_ID),
        "of nobody": issuer.token(sub=None),
        "no object": f"{head}.{part(b'[]')}.{signature}",
        "not even JSON": "a.b.c",
        "too long": issuer.token(note="x" * 20_000),
    }


def test_forged_tokens_are_refused(board: Door, issuer: IssuerProcess) -> None:
    client = Client(board.app)
    good = client.get("/v1/me", authorization=f"Bearer {issuer.token()}")
    assert (good.status, good.json["role"]) == (200, "operator")
    answers = {
        name: client.get("/v1/me", authorization=f"Bearer {forged}")
        for name, forged in forgeries(issuer).items()
    }
    assert len(answers) > 20
    assert {name: each.status for name, each in answers.items() if each.status != 401} == {}
    for name, each in answers.items():
        assert each.json["detail"].startswith("token: "), name
    use(board, issuer, audience=None)
    refused = client.get("/v1/me", authorization=f"Bearer {issuer.token()}")
    assert refused.status == 401
    assert "set oidc.audience" in refused.json["detail"]
