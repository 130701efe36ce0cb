"""Installed channel plug-ins, opened by the settings.

The entry point of a channel is a function of the settings under `[delivery]` that returns a
`Channel`, without connecting yet. `sinks.channels.webhook.open_channel` is the shortest.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint

from schemas.plugins import CHANNELS
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
    CHANNELS.check(point, channel, Channel)
    return channel


def load_channel(point: EntryPoint) -> OpenChannel:
    """Import the function that opens a channel.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    return CHANNELS.load_function(point, "settings")
