"""Installed channels of actions, opened by the table of actions.

The entry point of a channel is a function of a receiver's name and its row in actions.toml that
returns an `ActionChannel`, without connecting yet. `log.open_channel` is the shortest.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint

from schemas.plugins import ACTION_CHANNELS
from sinks.actions.channels.action_channel import ActionChannel
from sinks.actions.table import ActionTable, ReceiverRow

OpenChannel = Callable[[str, ReceiverRow], ActionChannel]


def open_channel(name: str, row: ReceiverRow) -> ActionChannel:
    """The channel of a receiver.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or the row is wrong.
    """
    point = ACTION_CHANNELS.named(row.channel)
    channel = load_channel(point)(name, row)
    ACTION_CHANNELS.check(point, channel, ActionChannel)
    return channel


def load_channel(point: EntryPoint) -> OpenChannel:
    """Import the function that opens a channel.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    return ACTION_CHANNELS.load_function(point, "a receiver's name and its row")


def open_channels(table: ActionTable) -> dict[str, ActionChannel]:
    """The channel of each receiver of a table.

    Raises:
        SettingsError: one can't be opened; those before it are closed.
    """
    opened: dict[str, ActionChannel] = {}
    try:
        for name, row in table.receivers.items():
            opened[name] = open_channel(name, row)
    except BaseException:
        for channel in opened.values():
            channel.close()
        raise
    return opened
