"""Access: names the caller of a request, by its API key, an issuer's token or a session's cookie.

A request that writes by a cookie has to come from our own pages: its `Origin` is our own address,
and it carries the session's CSRF token, in the header `X-CSRF-Token` or the form field `csrf`.
"""

import hmac
import time
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from gateway.access.caller import Caller
from gateway.access.keys import KeyRing
from gateway.access.oidc import Oidc
from gateway.access.sessions import Sessions
from gateway.access.signing import Signer
from gateway.problems import Problem
from schemas.errors import SettingsError

COOKIE = "ordertide_session"
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
DOTS_OF_A_TOKEN = 2  # of a signed JWT; a key has none
SAFE = frozenset({"GET", "HEAD"})


class Access:
    """Callers by keys, tokens and sessions; `signer` signs what else clients bring back.

    `oidc` is the issuer's part, None where keys alone sign in.

    `public_url` is the address that browsers use, None for that of each request. `proxies` are the
    networks whose `X-Forwarded-For` is believed. `now_s` is the wall clock.
    """

    def __init__(
        self,
        keys: KeyRing,
        signer: Signer,
        sessions: Sessions,
        *,
        oidc: Oidc | None = None,
        public_url: str | None = None,
        proxies: str = "",
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Create the access of an installation.

        Raises:
            SettingsError: `proxies` are no networks.
        """
        self.keys = keys
        self.signer = signer
        self.sessions = sessions
        self.oidc = oidc
        self.now_s = now_s
        self._origin = origin_of(public_url) if public_url else None
        self._proxies = networks_of(proxies)

    async def caller_of(self, request: Request) -> Caller | None:
        """The caller of a request; None where it brings neither key, token nor session.

        Raises:
            Problem: a key or token that isn't valid, or an issuer that can't be asked for its keys.
        """
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        if scheme:
            caller = None
            if scheme.lower() == "bearer":
                caller = await self._bearer(credential.strip())
            if caller is None:
                raise Problem("unauthenticated", "Authorization: it holds no valid API key")
            return caller
        cookie = request.cookies.get(COOKIE)
        ticket = self.sessions.opened(cookie, self.now_s()) if cookie else None
        if ticket is None:
            return None
        caller = ticket.caller or self.keys.caller_with(ticket.key_id)
        if caller is None or not self.holds(caller):
            return None
        return msgspec.structs.replace(caller, session=ticket.id)

    def holds(self, caller: Caller) -> bool:
        """Return True while the key or the token of a caller is valid."""
        if caller.until_s is None:
            return self.keys.caller_with(caller.key_id) is not None
        return self.oidc is not None and self.now_s() < caller.until_s

    async def _bearer(self, credential: str) -> Caller | None:
        if self.oidc and credential.count(".") == DOTS_OF_A_TOKEN:
            return await self.oidc.bearer(credential)
        return self.keys.caller_of(credential)

    def check_origin(self, request: Request, caller: Caller, token: str) -> None:
        """Refuse a write by a cookie that doesn't come from our own pages.

        Raises:
            Problem: `forbidden`.
        """
        if caller.session is None or request.method in SAFE:
            return
        if request.headers.get("origin") != self.origin(request):
            raise Problem("forbidden", "Origin: a write with a session comes from our own pages")
        expected = self.sessions.csrf_token(caller.session)
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise Problem("forbidden", f"{CSRF_HEADER}: it isn't the session's token; reload")

    def check_public_form(self, request: Request) -> None:
        """Refuse a form of a page without sign-in that another site's page sends.

        Raises:
            Problem: `forbidden`.
        """
        if request.headers.get("origin") not in {None, self.origin(request)}:
            raise Problem("forbidden", "Origin: this form is sent from our own page")

    def sign_in(self, code: str) -> str | None:
        """The cookie of a new session, at the first use of a code; else None."""
        ticket = self.sessions.redeemed(code, self.now_s())
        if ticket is None or self.keys.caller_with(ticket.key_id) is None:
            return None
        return self.sessions.session(ticket.key_id, self.now_s())

    def cookie_header(
        self, request: Request, value: str, max_age_s: int, *, name: str = COOKIE, path: str = "/"
    ) -> str:
        """`Set-Cookie` of a session, or of another cookie; 0 seconds take it from the browser."""
        is_secure = self.origin(request).startswith("https:")
        secure = "; Secure" if is_secure else ""
        return f"{name}={value}; Path={path}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"

    def origin(self, request: Request) -> str:
        """Our own address, as browsers use it."""
        return self._origin or origin_of(str(request.base_url))

    def ip_of(self, request: Request) -> str:
        """The caller's address: the last one in `X-Forwarded-For` that is no proxy of ours."""
        ip = request.client.host if request.client else ""
        if not self._proxies:
            return ip
        hops = request.headers.get("x-forwarded-for", "").split(",")
        while hops and self._is_proxy(ip):
            ip = hops.pop().strip() or ip
        return ip

    def _is_proxy(self, ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def origin_of(url: str) -> str:
    """`https://host:port` of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def networks_of(proxies: str) -> list[IPv4Network | IPv6Network]:
    """The networks of `serve.behind_proxy`.

    Raises:
        SettingsError: one is no network.
    """
    try:
        return [ip_network(each.strip()) for each in proxies.split(",") if each]
    except ValueError as error:
        raise SettingsError(
            f"serve.behind_proxy: {error}; write networks like 10.0.0.0/8,192.168.1.7"
        ) from error
