"""A server of HTTP on loopback, in a thread of the demo's own process."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self


class LocalHandler(BaseHTTPRequestHandler):
    """Keeps connections, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, text: bytes) -> None:
        """Answer with a text."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the demo's terminal is for its own lines."""


class LocalServer:
    """Listens on any free port inside a `with` block."""

    def __init__(self, name: str, handler: Callable[..., LocalHandler]) -> None:
        """Create a server whose connections `handler` serves, called as a handler's class is."""
        self.name = name
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, name=self.name, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
