"""A real HTTP server at the far end of a webhook that can be away, hang, drip, redirect and lie."""

import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Literal, Self

from standardwebhooks import Webhook

from tests.support.tiers.certificates import Signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Mood = tuple[int, dict[str, str], bytes] | Literal["hang", "drip", "lie", "close"]


class Handler(BaseHTTPRequestHandler):
    """Hands what comes to its server's hooks."""

    protocol_version = "HTTP/1.1"
    timeout = 30.0
    server: "Listener"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.server.hooks.hear(dict(self.headers), body):
            case "hang":
                self.server.hooks.let_go.wait(30.0)
                self.close_connection = True
            case "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not self.server.hooks.let_go.wait(0.05):
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Listener(ThreadingHTTPServer):
    """Takes connections on loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, hooks: "Hooks") -> None:
        self.hooks = hooks
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's
        """A client that breaks off is what is tested."""


class Hooks:
    """Takes what is posted; `moods` are what the next requests meet, `202` without any."""

    def __init__(self, certificate: Signed | None = None) -> None:
        self.certificate = certificate
        self.moods: deque[Mood] = deque()
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.let_go = Event()
        self._port = 0
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self._port}/hook?desk=7"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.let_go.clear()
        self._listener = Listener(self._port, self)
        self._port = self._listener.server_port
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
            self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
        Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        self.let_go.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def hear(self, headers: dict[str, str], body: bytes) -> Mood:
        if self._listener is None:  # a kept connection outlives its listener
            return "close"
        mood: Mood = self.moods.popleft() if self.moods else (202, {}, b"")
        if not isinstance(mood, str) and mood[0] < 300:
            Webhook(SECRET).verify(body, headers)
        self.calls.append((headers, body))
        return mood

    def ids(self) -> list[str]:
        """The idempotency key of each call."""
        return [headers["webhook-id"] for headers, _ in [*self.calls]]


@contextmanager
def hooks() -> Iterator[Hooks]:
    with Hooks() as running:
        yield running
