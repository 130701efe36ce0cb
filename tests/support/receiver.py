"""A real HTTP server in a thread, at the far end of a webhook: ours, or Alertmanager's."""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from sinks.channels.alert_message import Labels
from sinks.channels.webhook import NEVER

PATIENCE_S = 30.0
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
Json = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """Hands what comes to its server's receiver."""

    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = PATIENCE_S
    server: "Listener"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = self.server.receiver.hear(self.path, dict(self.headers), body)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Listener(ThreadingHTTPServer):
    """Takes connections on loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, receiver: "Receiver") -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", port), Handler)


class Receiver:
    """Takes what is posted. `answers` are the statuses and headers that the next calls get."""

    def __init__(self) -> None:
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.heard: list[Json] = []  # every alert of every call that was taken, in order
        self._port = 0
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._listener = Listener(self._port, self)
        self._port = self._listener.server_port
        Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def hear(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        if self._listener is None:  # a kept connection outlives its listener
            return 503, {"Connection": "close"}
        self.calls.append((path, headers, body))
        if self.answers:
            return self.answers.popleft()
        alerts = json.loads(body)["alerts"]
        if any(not LABEL_NAME.fullmatch(name) for alert in alerts for name in alert["labels"]):
            return 400, {}
        self.heard += alerts
        return 200, {}

    def last(self) -> dict[str, Json]:
        """The last word on each alert, by its labels."""
        return {json.dumps(alert["labels"], sort_keys=True): alert for alert in [*self.heard]}

    def open_at(self, at: int) -> list[Labels]:
        """The labels of what it takes for open at `at` (ms): firing, and not run out."""
        return [
            alert["labels"]
            for alert in self.last().values()
            if alert["status"] == "firing"
            and (alert["endsAt"] == NEVER or instant(alert["endsAt"]) > at)
        ]

    def saw(self, status: str, **labels: str) -> bool:
        """Return True if it received this for an alert with these labels."""
        return any(
            alert["status"] == status and labels.items() <= alert["labels"].items()
            for alert in [*self.heard]
        )


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
