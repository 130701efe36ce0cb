"""Issuer: its discovery document, its signing keys, and the exchange of a code for a token.

Formats: OpenID Connect Discovery 1.0, RFC 7517 (keys), RFC 6749 and 7636 (the exchange). What the
issuer publishes is kept for ten minutes. A key that isn't among it is asked for at once, but not
more than once in 10 s: callers choose the id of the key, and mustn't set the pace of our requests.
While the issuer is away it is asked every 5 s, and its last keys hold for an hour.
"""

import asyncio
import logging
import math
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt
import msgspec

from gateway.problems import Problem
from schemas.errors import SettingsError
from telemetry.http_client import HttpClient, HttpFailed, Response, is_loopback, tls_context

LOGGER = logging.getLogger("ordertide.gateway")
DISCOVERY = "/.well-known/openid-configuration"
CA_SETTING = "oidc.ca"
KEEP_S, AGAIN_S, RETRY_S, WITHOUT_S = 600.0, 10.0, 5.0, 3600.0
TIMEOUT_S = 5.0
BAD_REQUEST = 400
Answer = TypeVar("Answer")
FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The discovery document of an issuer, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False
    code_challenge_methods_supported: tuple[str, ...] = ("S256",)


class Published(msgspec.Struct, frozen=True):
    """Metadata and keys of an issuer, as they were at an instant of the steady clock."""

    metadata: Metadata
    keys: list[dict[str, Any]]
    at_s: float


class KeySet(msgspec.Struct, frozen=True):
    """Keys of an issuer (RFC 7517)."""

    keys: list[dict[str, Any]]


class Exchanged(msgspec.Struct, frozen=True):
    """Answer to the exchange of a code."""

    id_token: str


class Fault(msgspec.Struct, frozen=True):
    """Refusal of an exchange (RFC 6749, 5.2)."""

    error: str
    error_description: str = ""


class Issuer:
    """An issuer at `url`; nothing is asked before it is needed."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        """Create an issuer.

        Raises:
            SettingsError: `url` isn't https, loopback apart, or the authority can't be read.
        """
        self.url = url
        self.ca = ca
        check_address(url)
        if ca:
            tls_context(ca, CA_SETTING)
        self.steady_s = time.monotonic
        self._published: Published | None = None
        self._failed_s, self._failure = -math.inf, ""
        self._lock = asyncio.Lock()

    async def published(self, within_s: float = KEEP_S) -> Published:
        """Metadata and keys as they were `within_s`, or as they were last while the issuer is away.

        Raises:
            Problem: `issuer_unreachable`, names the setting.
        """
        held, now_s = self._published, self.steady_s()
        if held and now_s - held.at_s < within_s:
            return held
        is_urgent = within_s < KEEP_S or held is None or now_s - held.at_s > WITHOUT_S
        if held and self._lock.locked() and not is_urgent:
            return held  # another request is asking
        async with self._lock:
            held, now_s = self._published, self.steady_s()
            if held and now_s - held.at_s < within_s:
                return held
            if now_s - self._failed_s >= RETRY_S:
                try:
                    self._published = await asyncio.to_thread(self._read, now_s)
                except Problem as problem:
                    self._failed_s, self._failure = now_s, problem.detail
                    LOGGER.warning("%s", problem.detail)
                else:
                    return self._published
            if held is None or now_s - held.at_s > WITHOUT_S:
                raise unreachable(self._failure)
            return held

    async def metadata(self) -> Metadata:
        """The discovery document.

        Raises:
            Problem: `issuer_unreachable`, names the setting.
        """
        return (await self.published()).metadata

    async def key(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key with an id; without an id the only one for the algorithm. None: there is none.

        Raises:
            Problem: `issuer_unreachable`.
        """
        published = await self.published()
        found = key_in(published.keys, kid, algorithm)
        if found is None:
            published = await self.published(AGAIN_S)
            found = key_in(published.keys, kid, algorithm)
        return found

    async def exchanged(self, form: Mapping[str, str], client_id: str, secret: str | None) -> str:
        """The ID token for the form of a code.

        Raises:
            Problem: the issuer refuses it, or gives no token.
        """
        metadata = await self.metadata()
        form, headers = {**form, "client_id": client_id}, dict(FORM)
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        elif secret:
            form["client_secret"] = secret
        body = urlencode(form).encode()
        try:
            answer = await asyncio.to_thread(
                self._request, metadata.token_endpoint, "POST", body, headers
            )
        except HttpFailed as error:
            raise refused(error) from error
        return decoded(answer, Exchanged, metadata.token_endpoint).id_token

    def _read(self, now_s: float) -> Published:
        address = self.url.rstrip("/") + DISCOVERY
        metadata = decoded(self._answer(address), Metadata, address)
        if metadata.issuer != self.url:
            raise unreachable(
                f"oidc.issuer: {address} calls its issuer {metadata.issuer!r}; set oidc.issuer to "
                "exactly that"
            )
        for endpoint in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
            metadata.end_session_endpoint or self.url,
        ):
            try:
                check_address(endpoint)
            except SettingsError as error:
                raise unreachable(f"{address}: {error}") from error
        keys = decoded(self._answer(metadata.jwks_uri), KeySet, metadata.jwks_uri)
        return Published(metadata, keys.keys, now_s)

    def _answer(self, address: str) -> Response:
        try:
            return self._request(address, "GET", None, {"accept": "application/json"})
        except HttpFailed as error:
            raise unreachable(
                f"oidc.issuer: {error}; check the address, that the issuer runs, and oidc.ca"
            ) from error

    def _request(
        self, address: str, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Response:
        with closing(
            HttpClient(
                address,
                setting="oidc.issuer",
                ca_setting=CA_SETTING,
                ca_file=self.ca,
                timeout_s=TIMEOUT_S,
            )
        ) as client:
            return client.request(method, "", body, headers)


def decoded(answer: Response, kind: type[Answer], address: str) -> Answer:
    """The JSON of an answer.

    Raises:
        Problem: `issuer_unreachable`, it lacks something.
    """
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreachable(
            f"oidc.issuer: {address} answers something else than an issuer ({error}); check the "
            "address"
        ) from error


def check_address(url: str) -> None:
    """Refuse an address whose tokens would be readable on the way.

    Raises:
        SettingsError: names the remedy.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise SettingsError(f"oidc.issuer: {url!r} is no address: {error}") from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not is_safe:
        raise SettingsError(
            f"oidc.issuer: {url!r} is not https, so codes and tokens would be readable on the way; "
            "use its https address (http is for loopback alone)"
        )


def key_in(keys: list[dict[str, Any]], kid: str | None, algorithm: str) -> jwt.PyJWK | None:
    """The key for signatures with an id; without an id the only one for the algorithm."""
    named = [key for key in keys if kid is None or key.get("kid") == kid]
    found = [key for key in (usable(each, algorithm) for each in named) if key]
    return found[0] if len(found) == 1 else None


def usable(key: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key for signatures with an algorithm; None for one of another kind."""
    is_ours = key.get("use", "sig") == "sig" and key.get("alg") in {None, algorithm}
    try:
        return jwt.PyJWK(key, algorithm) if is_ours else None
    except jwt.PyJWTError:
        return None


def unreachable(detail: str) -> Problem:
    """The problem of an issuer that can't be asked."""
    return Problem("issuer_unreachable", detail, retry_after_s=RETRY_S)


def refused(error: HttpFailed) -> Problem:
    """The problem of an exchange that the issuer refused."""
    if error.is_about_the_server:
        return unreachable(f"oidc.issuer: {error}; sign in again")
    fault = Fault("")
    text = str(error)
    with suppress(msgspec.DecodeError):  # any other body is quoted as it is
        fault = msgspec.json.decode(text[text.find("{") :], type=Fault)
    if error.is_about_the_client or fault.error in {"invalid_client", "unauthorized_client"}:
        remedy = "check oidc.client_id and ORDERTIDE_OIDC_CLIENT_SECRET"
    elif fault.error == "invalid_grant":
        remedy = "sign in again: a code works once and for a short time"
    else:
        remedy = "check the client's settings at the issuer, its redirect address above all"
    return Problem("unauthenticated", f"oidc.issuer: {error}; {remedy}")
