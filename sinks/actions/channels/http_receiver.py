"""HTTP receiver: requests to one address of a receiver, and what its answers mean.

Connections go to checked addresses alone and are kept for the requests that follow. Redirects
aren't followed, proxies aren't used, and a whole request has a deadline.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, LifoQueue
from typing import NamedTuple
from urllib.parse import SplitResult

from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.instants import DAY_MS
from sinks.actions.channels.addresses import Allowed, connected, cut, is_loopback, reason_of
from sinks.actions.channels.deadlines import DEADLINES
from telemetry.http_client import requested_delay_s, split_address, target_below, tls_context

TIMEOUT_S = 10.0  # of each read and write
DEADLINE_S = 30.0  # of a whole request, against a receiver that answers byte by byte
MOST_ANSWER_BYTES = 1_000
SHOWN_CHARACTERS = 200
LATER_S = 60.0  # for what only an operator can mend
LONGEST_RETRY_AFTER_S = DAY_MS / 1000
SUCCESS, REDIRECTS, GONE = range(200, 300), range(300, 400), 410
REFUSED = {400, 413, 422}  # this body, however often it is sent
OPERATORS = {401, 403, 404, 405}


class Answer(NamedTuple):
    """Answer of a receiver: its status, its headers, and the beginning of its body."""

    status: int
    headers: Message
    text: str


class HttpReceiver:
    """A receiver at `url`; its requests are made in any thread.

    At most `most_bytes` of an answer are read.
    """

    def __init__(
        self,
        url: str,
        allowed: Allowed,
        *,
        ca: Path | None = None,
        deadline_s: float = DEADLINE_S,
        most_bytes: int = MOST_ANSWER_BYTES,
    ) -> None:
        """Create a receiver that isn't connected yet.

        Raises:
            SettingsError: the URL is not https, nor http on this machine.
        """
        self.parts = checked_url(url)
        self.host = self.parts.hostname or ""
        is_tls = self.parts.scheme == "https"
        self.allowed = allowed
        self.deadline_s = deadline_s
        self.most_bytes = most_bytes
        self.tls = tls_context(ca, "ca") if is_tls else None
        self.port = self.parts.port or (443 if is_tls else 80)
        self._idle = LifoQueue[HTTPConnection]()

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Make a request to `path` below the URL.

        Raises:
            Busy: no answer; it may have arrived.
        """
        try:
            connection, is_kept = self._connection()
            try:
                return self._answer(connection, method, path, body, headers)
            except (ConnectionError, HTTPException):
                if not is_kept:
                    raise
                # A receiver may close an idle connection at any time: that is no failure yet.
                return self._answer(self._new_connection(), method, path, body, headers)
        except (OSError, HTTPException) as error:
            raise Busy(f"{self.host}: no answer ({reason_of(error)})") from error

    def judged(self, answer: Answer) -> str:
        """An answer that has the action, as it is shown; raises as `judged`."""
        text = printable(answer.text[:SHOWN_CHARACTERS])
        return judged(self.host, answer.status, text, answer.headers.get("Retry-After"))

    def fault(self) -> str | None:
        """Return the fault of an address that may not be connected to."""
        return self.allowed.fault(self.host, self.port)

    def close(self) -> None:
        """Close the connections that are kept."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _connection(self) -> tuple[HTTPConnection, bool]:
        """A connection, and True if it was used before."""
        try:
            return self._idle.get_nowait(), True
        except Empty:
            return self._new_connection(), False

    def _new_connection(self) -> HTTPConnection:
        connection = HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        raw = connected(self.allowed, self.host, self.port, TIMEOUT_S)
        try:
            wrapped = self.tls.wrap_socket(raw, server_hostname=self.host) if self.tls else raw
        except (OSError, ssl.SSLError):
            raw.close()
            raise
        connection.sock = wrapped
        connection.auto_open = 0  # it would resolve the name again, unchecked
        return connection

    def _answer(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        """The answer to a request over a connection."""
        try:
            with DEADLINES.within(self.deadline_s, partial(cut, connection.sock)):
                connection.request(method, target_below(self.parts, path), body, dict(headers))
                response = connection.getresponse()
                answer = response.read(self.most_bytes)
        except BaseException:
            connection.close()
            raise
        self._keep(connection, response)
        return Answer(response.status, response.headers, answer.decode("utf-8", "replace").strip())

    def _keep(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.isclosed() and not response.will_close:
            self._idle.put(connection)
        else:  # more is on its way than is read
            connection.close()


def judged(host: str, status: int, text: str, retry_after: str | None) -> str:
    """The answer of a receiver that has the action, as it is shown on the order.

    Raises:
        Busy: not now; a `Retry-After` in seconds is kept. Rejected: never.
    """
    answer = f"{status} {text}".strip()
    shown = f"{host}: answers {answer}"
    if status in SUCCESS:
        return answer
    if status in REFUSED:
        raise Rejected(f"http_{status}", shown)
    if status == GONE:
        raise Rejected("http_410", f"{shown}; it wants no more: take the receiver out")
    if status in REDIRECTS:
        raise Busy(f"{shown}; redirects aren't followed, correct the url", LATER_S)
    if status in OPERATORS:
        raise Busy(f"{shown}; check its url and secret", LATER_S)
    raise Busy(shown, kept_delay_s(retry_after, 1.0))


def kept_delay_s(retry_after: str | None, otherwise_s: float) -> float:
    """The delay (s) of a `Retry-After`, a day at most."""
    delay_s = requested_delay_s(retry_after)
    return otherwise_s if delay_s is None else min(delay_s, LONGEST_RETRY_AFTER_S)


def checked_url(url: str) -> SplitResult:
    """The parts of a receiver's address.

    Raises:
        SettingsError: it is none, is not https, nor http on this machine, or holds a user.
    """
    parts = split_address(url, "url")
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise SettingsError("url: is not https; http goes to this machine only")
    if parts.username is not None:
        raise SettingsError("url: holds a user; take it out, the signature authenticates")
    return parts
