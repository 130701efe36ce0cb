"""Installed channel plug-ins, opened by the settings.

The entry point of a channel is a function of the settings under `[delivery]` that returns a
`Channel`, without connecting yet. `sinks.channels.webhook.open_channel` is the shortest.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint

from schemas.plugins import CHANNELS, missing_members
from schemas.settings.model import DeliverySettings
from sinks.channels.channel import Channel

OpenChannel = Callable[[DeliverySettings], Channel]


def open_channel(settings: DeliverySettings) -> Channel:
    """The channel that the settings name.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or a setting is wrong.
    """
    point = CHANNELS.named(settings.channel)
    channel = load_channel(point)(settings)
    if missing := missing_members(channel, Channel):
        raise CHANNELS.broken(point, f"its channel doesn't implement {', '.join(missing)}")
    if channel.name != point.name:
        raise CHANNELS.broken(
            point, f"is registered as {point.name} but its channel is called {channel.name}"
        )
    return channel


def load_channel(point: EntryPoint) -> OpenChannel:
    """Import the function that opens a channel.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    loaded = CHANNELS.load(point)
    if not callable(loaded):
        raise CHANNELS.broken(point, "is no function that takes settings and returns a channel")
    return loaded
