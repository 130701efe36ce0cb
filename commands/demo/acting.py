"""Acting in the live demo: a table of actions, a local desk that gets some, and a worker.

The desk is a receiver of webhooks in the demo's own process, so that the order page shows an answer
to what a rule requested. All other kinds go to the worker's log.
"""

import base64
import secrets
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from confluent_kafka import TopicPartition
from standardwebhooks import Webhook, WebhookVerificationError

from broker.connect import Connection
from broker.fetcher import Fetcher
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from commands.act.worker import outbox_path
from schemas.private_files import private_folder
from schemas.settings.model import Settings
from schemas.topics import ORDERS_ACTIONS
from sinks.actions.outbox import Outbox
from sinks.actions.table import read_actions

SECRET_VARIABLE = "ORDERTIDE_ACT_SECRET_DESK"  # noqa: S105 - the name of a variable
SECRET_BYTES = 32
AT_THE_DESK = ("contact_carrier", "refund_payment", "start_compensation", "stop_parcel")
MOST_BYTES = 64_000


class Handler(BaseHTTPRequestHandler):
    """Takes what is signed, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def __init__(self, webhook: Webhook, *connection: Any) -> None:  # noqa: ANN401 - the base class's
        """Take a connection to the desk that has the secret of `webhook`."""
        self.webhook = webhook
        super().__init__(*connection)

    def do_POST(self) -> None:
        """Answer 202 to an action that the worker has signed."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        try:
            self.webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(401, b"not signed")
            return
        self.answer(202, b"the desk has it")

    def answer(self, status: int, text: bytes) -> None:
        """Answer with a text."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the demo's terminal is for its own lines."""


class Desk:
    """A local receiver of actions, inside a `with` block."""

    def __init__(self) -> None:
        """Create a desk with a secret of its own."""
        self.secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, Webhook(self.secret)))
        self.server.daemon_threads = True

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, name="desk", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which the worker signs."""
        return {SECRET_VARIABLE: self.secret}

    @property
    def table(self) -> str:
        """The table of actions: some kinds to the desk, all others to the log."""
        lines = [
            "version = 1",
            '[receivers.log]\nchannel = "log"',
            '[receivers.desk]\nchannel = "webhook"',
            f'options = {{url = "http://127.0.0.1:{self.server.server_port}/actions"}}',
        ]
        for kind in read_actions(None).kinds:
            receiver = "desk" if kind in AT_THE_DESK else "log"
            lines.append(f'[kinds.{kind}]\nreceiver = "{receiver}"')
        return "\n".join([*lines, ""])


def begin_now(settings: Settings, connection: Connection) -> None:
    """Let the action worker begin with what is requested from now on.

    What the history requested is void, and its outcomes would bring old orders back.
    """
    with Fetcher(connection, settings.act.group) as fetcher:
        client = fetcher.client
        places = [
            TopicPartition(ORDERS_ACTIONS, number)
            for number in range(count_partitions(client, ORDERS_ACTIONS))
        ]
        for place in places:
            place.offset = client.get_watermark_offsets(place, timeout=ANSWER_TIMEOUT_S)[1]
        client.commit(offsets=places, asynchronous=False)
    private_folder(Path(settings.act.folder))
    with closing(Outbox(outbox_path(settings))) as outbox, outbox.transaction():
        outbox.move_to({(each.topic, each.partition): each.offset for each in places})
