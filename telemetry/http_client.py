"""HTTP client: requests to one server, with authorisation, TLS, and what a status means.

http.client and not urllib3: one thread needs one connection, waiting and trying again are the
caller's own, and urllib3 comes only with the extra `elasticsearch`, which a webhook shouldn't need.
"""

import ssl
from base64 import b64encode
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.errors import OrdertideError, SettingsError
from schemas.os_faults import connection_fault

TIMEOUT_S = 10.0
SHOWN_CHARACTERS = 300


class Response(NamedTuple):
    """A successful response: status 2xx."""

    status: int
    headers: Message
    body: bytes


class HttpFailed(OrdertideError):
    """A request without a response (`status` 0), or with one that is no success.

    `retry_after_s` is the delay that the server requested, None without one.
    """

    names_settings = True

    def __init__(self, text: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_about_the_body(self) -> bool:
        """Return True if the server refuses this body, and would refuse it again."""
        return self.status in {400, 413, 422}

    @property
    def is_about_the_client(self) -> bool:
        """Return True if the server refuses the user, the password or the token."""
        return self.status in {401, 403}

    @property
    def is_about_the_server(self) -> bool:
        """Return True if a retry may succeed: no response, 429, or a fault of the server."""
        return self.status in {0, 429} or self.status >= 500  # noqa: PLR2004 - HTTP's class of server errors


class HttpClient:
    """Requests to `url` over one kept connection.

    A user and password in the URL become Basic, a `token` becomes Bearer authorisation.
    """

    def __init__(
        self,
        url: str,
        *,
        setting: str = "url",
        ca_setting: str = "ca_file",
        token: str | None = None,
        ca_file: Path | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Create a client that isn't connected yet; the settings are named in errors.

        Raises:
            SettingsError: the URL is not http(s), or the CA file can't be read.
        """
        self.parts = split_address(url, setting)
        self.headers = {**authorisation(self.parts, token), **(headers or {})}
        is_tls = self.parts.scheme == "https"
        self.tls = tls_context(ca_file, ca_setting) if is_tls else None
        self.timeout_s = timeout_s
        self.connection = self._new_connection()

    @property
    def shown(self) -> str:
        """The address without user, password and query."""
        return shown_address(self.parts)

    def request(
        self,
        method: str,
        path: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request to `path` (and query) under the URL.

        Raises:
            HttpFailed: no response, or a status that isn't 2xx.
        """
        target = target_below(self.parts, path)
        all_headers = {**self.headers, **(headers or {})}
        try:
            response = self._request_once_more(method, target, body, all_headers)
        except (OSError, HTTPException) as error:
            self.close()
            reason = connection_fault(error) or str(error) or type(error).__name__
            raise HttpFailed(f"{self.shown}: no answer ({reason})") from error
        check_status(self.shown, response)
        return response

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        self.connection.close()

    def _request_once_more(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> Response:
        was_kept = self.connection.sock is not None
        try:
            return self._request(method, target, body, headers)
        except (ConnectionError, HTTPException):
            # A server may close an idle connection at any time: that is no outage yet.
            self.close()
            if not was_kept:
                raise
        return self._request(method, target, body, headers)

    def _request(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> Response:
        self.connection.request(method, target, body, headers)
        response = self.connection.getresponse()
        return Response(response.status, response.headers, response.read())

    def _new_connection(self) -> HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if self.tls:
            return HTTPSConnection(host, port, timeout=self.timeout_s, context=self.tls)
        return HTTPConnection(host, port, timeout=self.timeout_s)


def check_status(server: str, response: Response) -> None:
    """Return for a success.

    Raises:
        HttpFailed: with the beginning of the body.
    """
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - the class of responses that HTTP calls successful
        return
    text = response.body.decode(errors="replace").strip()[:SHOWN_CHARACTERS]
    reason = f"{server}: answers {status}: {text or 'nothing more'}"
    raise HttpFailed(reason, status, requested_delay_s(response.headers.get("Retry-After")))


def requested_delay_s(retry_after: str | None) -> float | None:
    """The delay (s) of a `Retry-After`; None without one, or where it is a date."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None


def split_address(url: str, setting: str) -> SplitResult:
    """The parts of an http:// or https:// URL.

    Raises:
        SettingsError: it is none; with the `setting` to correct.
    """
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_http = is_http and parts.port != 0  # raises where the port is no number
        if is_http:
            return parts
    except ValueError:  # its text may hold a part of a password
        pass
    shown = url.rpartition("@")[2].partition("?")[0]
    raise SettingsError(f"{setting}: {shown!r} is no http:// or https:// address")


def shown_address(parts: SplitResult) -> str:
    """A URL without user, password and query, which may hold a secret."""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def target_below(parts: SplitResult, path: str) -> str:
    """The request target of `path` below a URL, whose own query goes along."""
    target = parts.path.rstrip("/") + path if path else parts.path
    if parts.query:
        target += f"{'&' if '?' in path else '?'}{parts.query}"
    return target if target.startswith("/") else f"/{target}"


def authorisation(parts: SplitResult, token: str | None) -> dict[str, str]:
    """The header with the token, or the user and password of the URL; empty without either."""
    if token:
        return {"Authorization": f"Bearer {token}"}
    if parts.username is None:
        return {}
    name = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(name.encode()).decode()}"}


def tls_context(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Trust in the system's authorities, or in those of a file.

    Raises:
        SettingsError: the file can't be used; with the `setting` to correct.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"{setting}: {ca_file}: {error}") from error
