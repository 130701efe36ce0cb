"""A real HTTP server in a thread that can be away, and comes back on the same port."""

from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

PATIENCE_S = 30.0


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, and logs nothing."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Listener(ThreadingHTTPServer):
    """Takes connections on loopback."""

    daemon_threads = True
    allow_reuse_address = True
    # Connections that wait to be accepted; beyond them the system drops those that come, and a
    # client tries again after seconds. The base class has 5, and a sender connects from dozens.
    request_queue_size = 128


class WebServer(ABC):
    """Listens from `start` to `stop`, or inside a `with` block."""

    def __init__(self) -> None:
        self.port = 0  # any free one, until the first start
        self._listener: Listener | None = None

    @abstractmethod
    def listener(self) -> Listener:
        """A listener on 127.0.0.1 and `port`."""

    @property
    def is_away(self) -> bool:
        """Return True while it doesn't listen; a kept connection outlives its listener."""
        return self._listener is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._listener = self.listener()
        self.port = self._listener.server_port
        Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
