"""The action channels that the contract is run against, each with the receiver at its end."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sinks.actions.channels.action_channel import ActionChannel
from sinks.actions.channels.log import LogChannel
from sinks.actions.channels.memory import MemoryChannel

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


def log_kind(caplog: pytest.LogCaptureFixture) -> ActionChannelKind:
    caplog.set_level(logging.INFO, "ordertide.actions")

    def received() -> list[str]:
        found = [re.search(r"\(([0-9a-f]{32})\)$", line) for line in caplog.messages]
        return [each[1] for each in found if each]

    return ActionChannelKind(LogChannel(), received)
