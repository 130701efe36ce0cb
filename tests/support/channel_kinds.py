"""The channels that the contract is run against, each with the receiver at its other end."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from deploy.stack.prometheus import Alertmanager
from deploy.stack.server import http_get
from sinks.channels.alert_message import Labels
from sinks.channels.alertmanager import AlertmanagerChannel
from sinks.channels.channel import Channel
from sinks.channels.memory import MemoryChannel
from sinks.channels.webhook import WebhookChannel
from tests.support.receiver import Receiver

Outage = tuple[Callable[[], None], Callable[[], None]]


@dataclass
class ChannelKind:
    """A channel; what its receiver takes for open at an instant (ms); how that goes and comes."""

    channel: Channel
    open_at: Callable[[int], list[Labels]]
    outage: Outage | None = None


def memory_kind() -> ChannelKind:
    channel = MemoryChannel()
    return ChannelKind(channel, channel.open_at)


def webhook_kind(receiver: Receiver) -> ChannelKind:
    channel = WebhookChannel(receiver.url)
    return ChannelKind(channel, receiver.open_at, (receiver.stop, receiver.start))


def alertmanager_kind(server: Alertmanager, tenant: str) -> ChannelKind:
    def start() -> None:
        server.start()
        server.wait(30.0)

    def open_at(_: int) -> list[Labels]:  # it reads its own clock
        return firing(server.address["url"], tenant=tenant)

    channel = AlertmanagerChannel(server.address["url"])
    return ChannelKind(channel, open_at, (server.kill, start))


def firing(url: str, **labels: str) -> list[Labels]:
    """The labels of the alerts with these labels that an Alertmanager shows as active."""
    filters = [("filter", f'{name}="{value}"') for name, value in labels.items()]
    answer = http_get(f"{url}/api/v2/alerts?{urlencode(filters)}")
    return [alert["labels"] for alert in json.loads(answer)]
