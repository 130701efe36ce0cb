"""Webhook: an action as a POST, signed by Standard Webhooks (standardwebhooks.com).

    webhook-id: the action_id, the same on every attempt: the receiver's idempotency key
    webhook-timestamp: when it was sent, Unix seconds
    webhook-signature: v1,BASE64 of HMAC-SHA256 over id.timestamp.body

    {"type": "action.contact_carrier", "timestamp": "2026-11-30T14:02:11.480Z",
     "data": {"action_id": …, "order_id": …, …}}

Any 2xx means that the receiver has it. Redirects aren't followed; proxies aren't used.
"""

import datetime as dt
import socket
import ssl
from contextlib import suppress
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Timer
from typing import NamedTuple
from urllib.parse import SplitResult

import msgspec
from standardwebhooks import Webhook

from schemas.display import printable
from schemas.errors import Busy, Rejected, SettingsError
from schemas.instants import DAY_MS
from schemas.type_faults import choice
from sinks.actions.channels.action_channel import ActionChannel, ActionRequest, ReceiverSettings
from sinks.actions.channels.addresses import Allowed, connected, is_loopback, reason_of
from sinks.actions.recipient import FIELDS
from telemetry.http_client import split_address, target_below, tls_context

TIMEOUT_S = 10.0  # of each read and write
DEADLINE_S = 30.0  # of a whole request, against a receiver that answers byte by byte
MOST_ANSWER_BYTES = 1_000
SHOWN_CHARACTERS = 200
LATER_S = 60.0  # for what only an operator can mend
LONGEST_RETRY_AFTER_S = DAY_MS / 1000
SUCCESS, REDIRECTS, GONE = range(200, 300), range(300, 400), 410
REFUSED = {400, 413, 422}  # this body, however often it is sent
OPERATORS = {401, 403, 404, 405}
FEWEST_SECRET_BYTES = 24  # of Standard Webhooks
OPTIONS = {"url", "ca", "recipient"}


def open_channel(settings: ReceiverSettings) -> ActionChannel:
    """The webhook of a receiver.

    Raises:
        SettingsError: url or secret is missing or can't be used.
    """
    settings.check_options(OPTIONS, {"url"})
    ca = settings.options.get("ca")
    return WebhookChannel(
        settings.options["url"],
        signer_of(settings.secret, settings.variable),
        Allowed(settings.private),
        ca=Path(ca) if ca else None,
        needs=needs_of(settings.options.get("recipient")),
    )


def needs_of(text: str | None) -> frozenset[str]:
    """The fields of a customer's personal data that an option names.

    Raises:
        SettingsError: there is no such field.
    """
    names = [name.strip() for name in text.split(",")] if text is not None else []
    for name in names:
        if name not in FIELDS:
            raise SettingsError(f"recipient: {name!r} is no field; {choice(name, [*FIELDS])}")
    return frozenset(names)


def signer_of(secret: str | None, variable: str) -> Webhook:
    """The signer with a secret, which `variable` holds.

    Raises:
        SettingsError: it is missing, no base64, or too short.
    """
    if not secret:
        raise SettingsError(f"secret is missing; set {variable} to whsec_ and 32 bytes in base64")
    try:
        signer = Webhook(secret)
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"{variable}: is no base64 behind whsec_") from error
    if len(signer._whsecret) < FEWEST_SECRET_BYTES:  # noqa: SLF001 - the library gives no length
        raise SettingsError(f"{variable}: has fewer than {FEWEST_SECRET_BYTES} bytes; make another")
    return signer


class Answer(NamedTuple):
    """Answer of a receiver: its status, its headers, and the beginning of its body."""

    status: int
    headers: Message
    text: str


class WebhookChannel(ActionChannel):
    """One receiver at `url`; connections are kept for the requests that follow.

    While a secret is being replaced, the `former` one signs too.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        signer: Webhook,
        allowed: Allowed,
        *,
        ca: Path | None = None,
        deadline_s: float = DEADLINE_S,
        needs: frozenset[str] = frozenset(),
        former: Webhook | None = None,
    ) -> None:
        """Create a channel that isn't connected yet.

        Raises:
            SettingsError: the URL is not https, nor http on this machine.
        """
        self.parts = checked_url(url)
        self.host = self.parts.hostname or ""
        is_tls = self.parts.scheme == "https"
        self.signers = [signer, former] if former else [signer]
        self.allowed = allowed
        self.needs = needs
        self.deadline_s = deadline_s
        self.tls = tls_context(ca, "ca") if is_tls else None
        self.port = self.parts.port or (443 if is_tls else 80)
        self._idle = LifoQueue[HTTPConnection]()

    def send(self, request: ActionRequest) -> str:
        answer = self.post(request.action.action_id, request.sent_at, body_of(request))
        text = printable(answer.text[:SHOWN_CHARACTERS])
        return self._judged(answer.status, text, answer.headers.get("Retry-After"))

    def post(self, identity: str, sent_at: int, body: bytes) -> Answer:
        """Post a body, signed under its `identity` at `sent_at` (wall clock, ms).

        Raises:
            Busy: no answer; it may have arrived.
        """
        headers = {"Content-Type": "application/json", **self._signed(identity, sent_at, body)}
        try:
            connection, is_kept = self._connection()
            try:
                return self._posted(connection, body, headers)
            except (ConnectionError, HTTPException):
                if not is_kept:
                    raise
                # A receiver may close an idle connection at any time: that is no failure yet.
                return self._posted(self._new_connection(), body, headers)
        except (OSError, HTTPException) as error:
            raise Busy(f"{self.host}: no answer ({reason_of(error)})") from error

    def fault(self) -> str | None:
        return self.allowed.fault(self.host, self.port)

    def close(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _signed(self, identity: str, sent_at: int, body: bytes) -> dict[str, str]:
        at = dt.datetime.fromtimestamp(sent_at // 1000, dt.UTC)
        return {
            "webhook-id": identity,
            "webhook-timestamp": str(sent_at // 1000),
            "webhook-signature": " ".join(
                signer.sign(identity, at, body.decode()) for signer in self.signers
            ),
        }

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

    def _posted(self, connection: HTTPConnection, body: bytes, headers: dict[str, str]) -> Answer:
        """The answer to a POST."""
        watch = Timer(self.deadline_s, cut, [connection.sock])
        watch.daemon = True
        watch.start()
        try:
            connection.request("POST", target_below(self.parts, ""), body, headers)
            response = connection.getresponse()
            answer = response.read(MOST_ANSWER_BYTES)
        except BaseException:
            connection.close()
            raise
        finally:
            watch.cancel()
        self._keep(connection, response)
        return Answer(response.status, response.headers, answer.decode("utf-8", "replace").strip())

    def _keep(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.isclosed() and not response.will_close:
            self._idle.put(connection)
        else:  # more is on its way than is read
            connection.close()

    def _judged(self, status: int, text: str, retry_after: str | None) -> str:
        answer = f"{status} {text}".strip()
        shown = f"{self.host}: answers {answer}"
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
        after_s = float(retry_after) if retry_after and retry_after.isdecimal() else 1.0
        raise Busy(shown, min(after_s, LONGEST_RETRY_AFTER_S))


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


def body_of(request: ActionRequest) -> bytes:
    """The body, the same on every attempt."""
    action = request.action
    data = msgspec.structs.asdict(action)
    if request.amount:
        data["amount"] = request.amount
    if request.message:
        data["message"] = request.message
    if request.recipient.fields:
        data["recipient"] = request.recipient.fields
    fields = {"type": f"action.{action.kind}", "timestamp": action.at, "data": data}
    return msgspec.json.encode(fields)


def cut(connected_socket: socket.socket) -> None:
    """End a connection under the thread that waits for it."""
    with suppress(OSError):
        connected_socket.shutdown(socket.SHUT_RDWR)
