"""OpenID Connect: sign-in by the authorization code flow with PKCE, and tokens for the API.

An attempt to sign in is a signed cookie of ten minutes and nothing else, so that any `serve` of the
installation may end what another began. It holds the state (which is its id), the nonce and the
verifier (RFC 7636). It counts once: its first return creates a file that no second one can create.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from gateway.access.caller import Caller
from gateway.access.issuer import Issuer
from gateway.access.sessions import CODE_S, Sessions, new_id
from gateway.access.tokens import LEEWAY_S, Claims, caller_of, forbidden, mapped, verified
from gateway.problems import Problem
from schemas.errors import SettingsError
from schemas.instants import SECOND_MS, parse_duration
from schemas.settings.model import OidcSettings

START, RETURN = "/sign-in/oidc", "/sign-in/oidc/callback"
COOKIE = "ordertide_sign_in"
HINT = "ordertide_id_token"  # cookie with the ID token, which the issuer's sign-out asks for
LONGEST_HINT = 3_500  # a browser keeps 4 KB of a cookie
LONGEST_BACK = 1_000
SCOPE = "openid"


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """Payload of the cookie of an attempt; `to` is the page that it goes back to."""

    state: str
    nonce: str
    verifier: str
    to: str
    until_s: int


ATTEMPT = msgspec.json.Decoder(Attempt)


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters with which the issuer sends a browser back; it may add others of its own."""

    state: str = ""
    code: str = ""
    iss: str = ""
    error: str = ""
    error_description: str = ""


class SignedIn(NamedTuple):
    """Outcome of a sign-in: the caller, the page to go back to, and the ID token."""

    caller: Caller
    to: str
    token: str


class Oidc:
    """The sign-in and the tokens of one issuer."""

    def __init__(self, settings: OidcSettings, sessions: Sessions) -> None:
        """Create it by the settings; nothing is asked yet.

        Raises:
            SettingsError: a setting is missing, or can't be used.
        """
        self.issuer = Issuer(settings.issuer or "", Path(settings.ca) if settings.ca else None)
        self.client_id = settings.client_id or ""
        self.mapping = mapped(settings.claims, settings.roles, settings.tenant)
        self.session_s = parse_duration(settings.session, of="oidc.session") // SECOND_MS
        self._settings = settings
        self._sessions = sessions
        check_settings(settings)

    async def bearer(self, token: str) -> Caller:
        """The caller of the API who comes with a token.

        Raises:
            Problem: `unauthenticated`, `forbidden`, `issuer_unreachable`.
        """
        audience = self._settings.audience
        if not audience:
            raise Problem(
                "unauthenticated",
                "Authorization: the API takes keys alone; set oidc.audience to the audience of the "
                "tokens that it shall take",
            )
        claims = await verified(token, self.issuer, audience, "oidc.audience")
        return caller_of(claims, self.mapping, int(claims["exp"]) + LEEWAY_S)

    async def begin(self, to: str, redirect_uri: str, now_s: float) -> tuple[str, str]:
        """(the issuer's address for a browser, the cookie of the attempt).

        Raises:
            Problem: `issuer_unreachable`.
        """
        metadata = await self.issuer.metadata()
        attempt = Attempt(
            state=new_id(),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            to=to if len(to) <= LONGEST_BACK else "/",
            until_s=int(now_s) + CODE_S,
        )
        challenge = urlsafe_b64encode(sha256(attempt.verifier.encode()).digest())
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.client_id,
                "redirect_uri": redirect_uri,
                "scope": self._settings.scope,
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": challenge.decode().rstrip("="),
                "code_challenge_method": "S256",
            }
        )
        address = metadata.authorization_endpoint
        joined = f"{address}{'&' if '?' in address else '?'}{query}"
        return joined, self._sessions.signer.signed("oidc", msgspec.json.encode(attempt))

    async def end(self, came: Returned, cookie: str, redirect_uri: str, now_s: float) -> SignedIn:
        """The outcome of an attempt, at its first return.

        Raises:
            Problem: the attempt isn't this browser's, or the issuer or its token refuse it.
        """
        attempt = self._attempt(came, cookie, now_s)
        await self._check_issuer(came)
        if came.error or not came.code:
            text = f"{came.error or 'no code'} {came.error_description}".strip()
            raise Problem(
                "unauthenticated",
                f"oidc.issuer: {self.issuer.url} refuses the sign-in: {text[:500]}; sign in again, "
                "or ask whoever runs the issuer",
            )
        form = {
            "grant_type": "authorization_code",
            "code": came.code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        secret = self._settings.client_secret
        token = await self.issuer.exchanged(form, self.client_id, secret)
        claims = await verified(token, self.issuer, self.client_id, "oidc.client_id")
        self._check_party(claims, attempt)
        caller = caller_of(claims, self.mapping, int(now_s) + self.session_s)
        if caller.role == "ingest":
            raise forbidden(self.mapping, "role", "gives ingest, which sees no page; give another")
        return SignedIn(caller, attempt.to, token)

    async def signed_out(self, back: str, hint: str) -> str | None:
        """The issuer's address that ends its own session; None where it has none.

        `hint` is the ID token of the sign-in, if it is known. Without it Keycloak asks whether to
        sign out, and its session continues until that is confirmed.
        """
        endpoint = (await self.issuer.metadata()).end_session_endpoint
        if endpoint is None:
            return None
        asked = {"client_id": self.client_id, "post_logout_redirect_uri": back}
        query = urlencode(asked | ({"id_token_hint": hint} if hint else {}))
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def _attempt(self, came: Returned, cookie: str, now_s: float) -> Attempt:
        payload = self._sessions.signer.verified("oidc", cookie)
        attempt = ATTEMPT.decode(payload) if payload else None
        if (
            attempt is None
            or not hmac.compare_digest(attempt.state.encode(), came.state.encode())
            or now_s >= attempt.until_s
            or not self._sessions.use_once(attempt.state, now_s)
        ):
            raise Problem(
                "unauthenticated",
                "state: this browser began no such sign-in, or over 10 minutes ago, or it has "
                "ended already; sign in again, with cookies allowed",
                field="state",
            )
        return attempt

    async def _check_issuer(self, came: Returned) -> None:
        """RFC 9207: the answer is of the issuer that was asked."""
        metadata = await self.issuer.metadata()
        is_missing = metadata.authorization_response_iss_parameter_supported and not came.iss
        if is_missing or (came.iss and came.iss != self.issuer.url):
            raise Problem(
                "unauthenticated",
                f"iss: the answer is of {came.iss!r}, and oidc.issuer is {self.issuer.url!r}; sign "
                "in again",
                field="iss",
            )

    def _check_party(self, claims: Claims, attempt: Attempt) -> None:
        """The token answers this attempt, and was issued to us (OpenID Connect Core, 3.1.3.7)."""
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise Problem(
                "unauthenticated",
                "token: its nonce isn't that of this sign-in, so it was issued for another; sign "
                "in again, and check that the issuer passes on the nonce",
            )
        party = claims.get("azp", self.client_id)
        if party != self.client_id:
            raise Problem(
                "unauthenticated",
                f"token: it was issued to {party!r}, and oidc.client_id is {self.client_id!r}; set "
                "one to the other",
            )


def check_settings(settings: OidcSettings) -> None:
    """Refuse settings that belong together and don't.

    Raises:
        SettingsError: names the remedy.
    """
    if not settings.client_id:
        raise SettingsError(
            "oidc.client_id is missing; register ordertide at the issuer, and set it to the "
            "client's id"
        )
    if SCOPE not in settings.scope.split():
        raise SettingsError(
            f"oidc.scope: {settings.scope!r} lacks openid, without which there is no ID token; "
            'write "openid profile"'
        )
    if not settings.tenant:
        raise SettingsError('oidc.tenant: it is empty; write a tenant, or "*" for all')
