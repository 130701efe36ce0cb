"""An OpenID Connect issuer in a process of its own: codes with PKCE, tokens signed by joserfc.

`python -m tests.support.issuer` prints its port and serves until its input ends. What it does wrong
is set through `/behaviour`; `/mint` signs an access token for whatever claims it is sent.
"""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.support.web_server import Handler, Listener, WebServer

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENT_ID, CLIENT_SECRET = "ordertide-board", "a&b=c secret/with+signs"
REDIRECT_URI = "http://board.test/sign-in/oidc/callback"
AUDIENCE = "ordertide-api"
LIFE_S = 300
Json = dict[str, Any]
Key = RSAKey | ECKey


class IssuerServer(WebServer):
    """State of the issuer: its key, the codes it gave, and its behaviour."""

    def __init__(self) -> None:
        super().__init__()
        self.key: Key = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256", "use": "sig"})
        self.codes: dict[str, Json] = {}
        self.behaviour: Json = {}
        self.asked: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realm"

    def listener(self) -> Listener:
        server = self

        class Requests(Handler):
            def do_GET(self) -> None:  # noqa: N802 - the base class's name
                server.answer(self, "")

            def do_POST(self) -> None:  # noqa: N802 - the base class's name
                length = int(self.headers["content-length"])
                server.answer(self, self.rfile.read(length).decode())

        return Listener(("127.0.0.1", self.port), Requests)

    def answer(self, request: Handler, body: str) -> None:
        parts = urlsplit(request.path)
        name = parts.path.rpartition("/")[2]
        self.asked[name] += 1
        handle = getattr(self, f"on_{name.replace('-', '_')}", None)
        status, headers, answer = (
            handle(request, dict(parse_qsl(parts.query)), body) if handle else (404, {}, {})
        )
        data = json.dumps(answer).encode()
        request.send_response(status)
        for header, value in {**headers, "content-length": str(len(data))}.items():
            request.send_header(header, value)
        request.end_headers()
        request.wfile.write(data)

    def on_openid_configuration(self, *_: object) -> tuple[int, Json, Json]:
        metadata = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "end_session_endpoint": f"{self.url}/logout",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return 200, {}, {**metadata, **self.behaviour.get("metadata", {})}

    def on_keys(self, *_: object) -> tuple[int, Json, Json]:
        return 200, {}, {"keys": [self.key.as_dict(private=False)]}

    def on_authorize(self, _: object, query: Json, __: str) -> tuple[int, Json, Json]:
        asked = {
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        for name, value in asked.items():
            if query.get(name) != value:
                return 400, {}, {"error": "invalid_request", "error_description": name}
        answer = {"state": query["state"], "iss": self.url, "session_state": "of the issuer"}
        if error := self.behaviour.get("error"):
            answer |= {"error": error, "error_description": "the user said no"}
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self.codes[answer["code"]] = query
        answer |= self.behaviour.get("answer", {})
        return 302, {"location": f"{REDIRECT_URI}?{urlencode(answer)}"}, {}

    def on_token(self, request: Handler, _: Json, body: str) -> tuple[int, Json, Json]:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        sent = request.headers.get("authorization", "").removeprefix("Basic ")
        pair = base64.b64decode(sent).decode().split(":")
        if [unquote_plus(each) for each in pair] != [CLIENT_ID, CLIENT_SECRET]:
            return 401, {}, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, {}, {"error": "invalid_grant"}
        claims = self.claims(CLIENT_ID) | {"azp": CLIENT_ID, "nonce": asked["nonce"]}
        return 200, {}, {"id_token": self.signed(claims), "token_type": "Bearer"}

    def on_behaviour(self, _: object, __: Json, body: str) -> tuple[int, Json, Json]:
        self.behaviour = json.loads(body)
        return 200, {}, {}

    def on_rotate(self, *_: object) -> tuple[int, Json, Json]:
        self.key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"})
        return 200, {}, {}

    def on_mint(self, _: object, __: Json, body: str) -> tuple[int, Json, Json]:
        return 200, {}, {"token": self.signed(self.claims(AUDIENCE), json.loads(body))}

    def on_asked(self, *_: object) -> tuple[int, Json, Json]:
        return 200, {}, dict(self.asked)

    def claims(self, audience: str) -> Json:
        now_s = int(time.time())
        return {
            "iss": self.url,
            "sub": "b1f0-user",
            "aud": audience,
            "iat": now_s,
            "exp": now_s + LIFE_S,
            "preferred_username": "li.na",
            "ordertide_role": "operator",
        }

    def signed(self, claims: Json, changes: Json | None = None) -> str:
        """A token; `changes` of the behaviour too, and None takes a claim out."""
        changed = {**claims, **self.behaviour.get("claims", {}), **(changes or {})}
        held = {name: value for name, value in changed.items() if value is not None}
        algorithm = self.behaviour.get("algorithm")
        if algorithm == "none":
            return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(held)}."
        if algorithm == "HS256":
            return mac_token(held, self.key.as_pem(private=False), self.key.kid or "")
        header = {"alg": self.key.alg or "ES256", "kid": self.key.kid, "typ": "JWT"}
        return jwt.encode(header, held, self.key)


def part(value: Json | bytes) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def mac_token(claims: Json, secret: bytes, kid: str) -> str:
    """A token with a MAC under a secret."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"


class IssuerProcess:
    """An issuer as tests use it, from `start` to `stop`, or inside a `with` block."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.issuer"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/realm"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process."""
        self._process.communicate("")

    def post(self, name: str, body: Json | None = None) -> Json:
        """The answer of the issuer to a request of the test's."""
        _, _, answer = self._request("POST", f"/realm/{name}", json.dumps(body or {}))
        return answer

    def behave(self, **behaviour: object) -> None:
        """Set what it does wrong from now on; without any, nothing."""
        self.post("behaviour", behaviour)

    def token(self, **claims: object) -> str:
        """An access token of its for the API."""
        token: str = self.post("mint", claims)["token"]
        return token

    def visit(self, address: str) -> str:
        """The address that a browser at the issuer is sent to."""
        status, location, answer = self._request("GET", address.removeprefix(self.url[:-6]), "")
        assert status == 302, answer
        return location

    def _request(self, method: str, path: str, body: str) -> tuple[int, str, Json]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return (
                response.status,
                response.headers.get("location", ""),
                json.loads(response.read()),
            )
        finally:
            connection.close()


if __name__ == "__main__":
    with IssuerServer() as served:
        sys.stdout.write(f"{served.port}\n")
        sys.stdout.flush()
        sys.stdin.read()
