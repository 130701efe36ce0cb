"""Acting in the live demo: a table of actions, a local desk that gets some, and a worker.

The desk is a receiver of webhooks in the demo's own process, so that the order page shows an answer
to what a rule requested. All other kinds go to the worker's log.
"""

import base64
import secrets
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition
from standardwebhooks import Webhook, WebhookVerificationError

from broker.connect import Connection
from broker.fetcher import Fetcher
from broker.topics import ANSWER_TIMEOUT_S, count_partitions
from commands.act.worker import outbox_path
from commands.demo.local_server import LocalHandler, LocalServer
from schemas.private_files import private_folder
from schemas.settings.model import Settings
from schemas.topics import ORDERS_ACTIONS
from sinks.actions.outbox import Outbox
from sinks.actions.table import read_actions

SECRET_VARIABLE = "ORDERTIDE_ACT_SECRET_DESK"  # noqa: S105 - the name of a variable
SECRET_BYTES = 32
AT_THE_DESK = ("contact_carrier", "refund_payment", "start_compensation", "stop_parcel")
MOST_BYTES = 64_000


class Handler(LocalHandler):
    """Takes what is signed."""

    def __init__(self, webhook: Webhook, *connection: Any) -> None:  # noqa: ANN401 - the base class's
        """Take a connection to the desk that has the secret of `webhook`."""
        self.webhook = webhook
        super().__init__(*connection)

    def do_POST(self) -> None:  # noqa: N802 - http.server looks for this name
        """Answer 202 to an action that the worker has signed."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST_BYTES))
        try:
            self.webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(401, b"not signed")
            return
        self.answer(202, b"the desk has it")


class Desk(LocalServer):
    """A local receiver of actions, inside a `with` block."""

    def __init__(self) -> None:
        """Create a desk with a secret of its own."""
        self.secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        super().__init__("desk", partial(Handler, Webhook(self.secret)))

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
            f'options = {{url = "{self.url}/actions"}}',
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
