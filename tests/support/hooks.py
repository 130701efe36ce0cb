"""A real HTTP server at the far end of a webhook that can be away, hang, drip, redirect and lie."""

import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any, Literal

from standardwebhooks import Webhook

from tests.support import web_server
from tests.support.tiers.certificates import Signed
from tests.support.web_server import PATIENCE_S, WebServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Mood = tuple[int, dict[str, str], bytes] | Literal["hang", "drip", "lie", "close"]


class Handler(web_server.Handler):
    """Hands what comes to the hooks."""

    def __init__(self, hooks: "Hooks", *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.hooks = hooks
        super().__init__(*connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.hooks.hear(dict(self.headers), body):
            case "hang":
                self.hooks.let_go.wait(PATIENCE_S)
                self.close_connection = True
            case "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not self.hooks.let_go.wait(0.05):
                    try:
                        self.wfile.write(b".")
                        self.wfile.flush()
                    except OSError:
                        break
                self.close_connection = True
            case "lie":
                self.wfile.write(b"HTTP/9.9 yes\r\nthis is no header\r\n\r\n")
                self.close_connection = True
            case "close":
                self.close_connection = True
            case status, headers, text:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)


class Listener(web_server.Listener):
    """Takes connections on loopback, and takes no notice of those that break."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """A client that breaks off is what is tested."""


class Hooks(WebServer):
    """Takes what is posted; `moods` are what the next requests meet, `answer` all others.

    `is_signed`: each has to be signed by Standard Webhooks.
    """

    def __init__(self, certificate: Signed | None = None, *, is_signed: bool = True) -> None:
        super().__init__()
        self.is_signed = is_signed
        self.certificate = certificate
        self.moods: deque[Mood] = deque()
        self.answer: Callable[[bytes], Mood] = lambda _body: (202, {}, b"")
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.let_go = Event()

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}/hook?desk=7"

    def listener(self) -> Listener:
        self.let_go.clear()
        listener = Listener(("127.0.0.1", self.port), partial(Handler, self))
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        return listener

    def stop(self) -> None:
        self.let_go.set()
        super().stop()

    def hear(self, headers: dict[str, str], body: bytes) -> Mood:
        if self.is_away:
            return "close"
        mood: Mood = self.moods.popleft() if self.moods else self.answer(body)
        if self.is_signed and not isinstance(mood, str) and mood[0] < 300:
            Webhook(SECRET).verify(body, headers)
        self.calls.append((headers, body))
        return mood

    def ids(self) -> list[str]:
        """The idempotency key of each call."""
        return [headers["webhook-id"] for headers, _ in [*self.calls]]


@contextmanager
def hooks(*, is_signed: bool = True) -> Iterator[Hooks]:
    with Hooks(is_signed=is_signed) as running:
        yield running
