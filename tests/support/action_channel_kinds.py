"""The action channels that the contract is run against, each with the receiver at its end."""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from commands.act.carrier_channel import open_channel as open_carrier_channel
from sinks.actions.batches import BatchRow
from sinks.actions.channels.action_channel import ActionChannel, ReceiverSettings
from sinks.actions.channels.addresses import Allowed
from sinks.actions.channels.chat import open_channel as open_chat
from sinks.actions.channels.log import LogChannel
from sinks.actions.channels.mail import MailChannel
from sinks.actions.channels.mail import MailServer as Server
from sinks.actions.channels.memory import MemoryChannel
from sinks.actions.channels.webhook import WebhookBatches, WebhookChannel
from tests.support.hooks import SECRET, Hooks
from tests.support.mail_server import MailServer

Outage = tuple[Callable[[], None], Callable[[], None]]


@dataclass
class ActionChannelKind:
    """A channel; the idempotency keys that its receiver has got; how that goes and comes."""

    channel: ActionChannel
    received: Callable[[], list[str]]
    outage: Outage | None = None


def memory_kind() -> ActionChannelKind:
    channel = MemoryChannel()

    def goes() -> None:
        channel.is_away = True

    def comes() -> None:
        channel.is_away = False

    def received() -> list[str]:
        return [each.action.action_id for each in channel.taken]

    return ActionChannelKind(channel, received, (goes, comes))


def webhook_kind(receiver: Hooks) -> ActionChannelKind:
    channel = WebhookChannel(receiver.url, Webhook(SECRET), Allowed())
    return ActionChannelKind(channel, receiver.ids, (receiver.stop, receiver.start))


def batches_kind(receiver: Hooks) -> ActionChannelKind:
    """A webhook with batches."""
    alone = WebhookChannel(receiver.url, Webhook(SECRET), Allowed())

    def received() -> list[str]:
        return [
            each["data"]["action_id"]
            for _, body in receiver.calls
            for each in json.loads(body)["data"].get("actions", [json.loads(body)])
        ]

    outage = (receiver.stop, receiver.start)
    return ActionChannelKind(WebhookBatches(alone, BatchRow(most=3)), received, outage)


def mail_kind(server: MailServer, ca: Path) -> ActionChannelKind:
    place = Server("127.0.0.1", server.port, ca=ca)
    channel = MailChannel(place, Allowed(), sender="shop@example.com", to="desk@example.com")

    def received() -> list[str]:
        return [mail["Message-ID"].strip("<>").partition("@")[0] for mail in server.kept.mails]

    return ActionChannelKind(channel, received, (server.stop, server.start))


def log_kind(caplog: pytest.LogCaptureFixture) -> ActionChannelKind:
    caplog.set_level(logging.INFO, "ordertide.actions")

    def received() -> list[str]:
        found = [re.search(r"\(([0-9a-f]{32})\)$", line) for line in caplog.messages]
        return [each[1] for each in found if each]

    return ActionChannelKind(LogChannel(), received)


def chat_kind(receiver: Hooks) -> ActionChannelKind:
    address = f"json://127.0.0.1:{receiver.port}/hook"
    channel = open_chat(ReceiverSettings(name="team", secret=address))

    def received() -> list[str]:
        texts = [json.loads(body)["message"] for _, body in receiver.calls]
        return [re.findall(r"^action: ([0-9a-f]{32})$", text, re.MULTILINE)[-1] for text in texts]

    return ActionChannelKind(channel, received, (receiver.stop, receiver.start))


def carrier_kind(receiver: Hooks) -> ActionChannelKind:
    options = {"url": receiver.url}
    settings = ReceiverSettings(name="carrier", options=options, secret="the desk's own token")
    channel = open_carrier_channel(settings)

    def received() -> list[str]:
        return [json.loads(body)["reference"] for _, body in receiver.calls]

    return ActionChannelKind(channel, received, (receiver.stop, receiver.start))
