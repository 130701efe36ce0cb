"""A real HTTP server in a thread, at the far end of a webhook: ours, or Alertmanager's."""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from sinks.channels.alert_message import Labels
from sinks.channels.webhook import NEVER
from tests.support import web_server
from tests.support.web_server import Listener, WebServer

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
Json = dict[str, Any]


class Handler(web_server.Handler):
    """Hands what comes to the receiver."""

    def __init__(self, receiver: "Receiver", *connection: Any) -> None:  # noqa: ANN401 - the base class's
        self.receiver = receiver
        super().__init__(*connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = self.receiver.hear(self.path, dict(self.headers), body)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


class Receiver(WebServer):
    """Takes what is posted. `answers` are the statuses and headers that the next calls get."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.heard: list[Json] = []  # every alert of every call that was taken, in order

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listener(self) -> Listener:
        return Listener(("127.0.0.1", self.port), partial(Handler, self))

    def hear(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        if self.is_away:
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
