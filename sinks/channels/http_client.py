"""POST over one kept connection, and what an answer means for what was posted.

http.client and not urllib3: one thread needs one connection, waiting and trying again are
delivery's own, and urllib3 comes only with the extra `stack`, which a webhook shouldn't need.
"""

import ssl
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.errors import Busy, Rejected, SettingsError

TIMEOUT_S = 10.0
RETRY_AFTER_S = 0.5
LATER_S = 5.0  # for what only an operator can mend
LONGEST_WAIT_S = 60.0
SHOWN_CHARACTERS = 300
NOT_THIS = {400, 413, 422}  # the answers that are about what was posted, not about who or where


class Poster:
    """Posts to `url`; a user and password in it become Basic, a `token` Bearer authorisation."""

    def __init__(self, url: str, *, token: str | None = None, ca_file: Path | None = None) -> None:
        """Nothing is connected yet.

        Raises:
            SettingsError: the URL is not http(s), or the CA file can't be read.
        """
        self.parts = urlsplit(url)
        if self.parts.scheme not in {"http", "https"} or not self.parts.hostname:
            raise SettingsError(f"delivery.url: {self.shown!r} is no http:// or https:// address")
        self.headers = {"Content-Type": "application/json", **authorisation(self.parts, token)}
        self.tls = tls_of(ca_file) if self.parts.scheme == "https" else None
        self.connection = self._new_connection()

    @property
    def shown(self) -> str:
        """The address without its password."""
        host = self.parts.netloc.rpartition("@")[2]
        return f"{self.parts.scheme}://{host}{self.parts.path}"

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Post to `path` under the URL; a 2xx answer is a yes.

        Raises:
            Busy: no answer, 3xx, 401, 403, 404, 429, 5xx: nothing is wrong with the body.
            Rejected: `http_400`, `http_413`, `http_422`.
        """
        target = self.parts.path.rstrip("/") + path or "/"
        if self.parts.query:
            target += f"?{self.parts.query}"
        try:
            status, retry_after, text = self._ask(target, body, self.headers | (headers or {}))
        except (OSError, HTTPException) as error:
            self.close()
            raise Busy(f"{self.shown}: no answer: {str(error) or type(error).__name__}") from error
        judge(self.shown, status, retry_after, text)

    def close(self) -> None:
        """Give up the connection; the next post makes a new one."""
        self.connection.close()

    def _ask(self, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        was_kept = self.connection.sock is not None
        try:
            return self._once(target, body, headers)
        except (ConnectionError, HTTPException):
            # A server may close an idle connection at any time: that is no outage yet.
            self.close()
            if not was_kept:
                raise
        return self._once(target, body, headers)

    def _once(self, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
        self.connection.request("POST", target, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
        return answer.status, answer.getheader("Retry-After") or "", text[:SHOWN_CHARACTERS]

    def _new_connection(self) -> HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if self.tls:
            return HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self.tls)
        return HTTPConnection(host, port, timeout=TIMEOUT_S)


def judge(where: str, status: int, retry_after: str, text: str) -> None:
    """Return for a yes; raise as `Poster.post` says."""
    if 200 <= status < 300:  # noqa: PLR2004 - the class of answers that HTTP calls successful
        return
    said = f"{where}: answers {status}: {text or 'nothing more'}"
    if status in NOT_THIS:
        raise Rejected(f"http_{status}", said)
    if status == 429 or status >= 500:  # noqa: PLR2004 - too many requests; the server's own faults
        seconds = float(retry_after) if retry_after.isdigit() else RETRY_AFTER_S
        raise Busy(said, min(seconds, LONGEST_WAIT_S))
    raise Busy(f"{said}; check delivery.url and delivery.token", LATER_S)


def authorisation(parts: SplitResult, token: str | None) -> dict[str, str]:
    """The header that says who we are, if anything does."""
    if token:
        return {"Authorization": f"Bearer {token}"}
    if parts.username is None:
        return {}
    name = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(name.encode()).decode()}"}


def tls_of(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities, or those of a file.

    Raises:
        SettingsError: the file can't be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"delivery.ca_file: {ca_file}: {error}") from error
