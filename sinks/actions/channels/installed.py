"""Installed channels of actions, opened by the table of actions.

The entry point of a channel is a function of the `ReceiverSettings` of a receiver that returns an
`ActionChannel`, without connecting yet. `log.open_channel` is the shortest.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint

from schemas.errors import SettingsError
from schemas.plugins import ACTION_CHANNELS
from schemas.settings.model import ActSettings
from sinks.actions.channels.action_channel import ActionChannel, BatchChannel, ReceiverSettings
from sinks.actions.recipient import PARCEL
from sinks.actions.table import ActionTable, ReceiverRow

OpenChannel = Callable[[ReceiverSettings], ActionChannel]


def open_channel(channel: str, settings: ReceiverSettings) -> ActionChannel:
    """The channel of a receiver.

    Raises:
        SettingsError: it isn't installed, the plug-in is broken, or an option is wrong.
    """
    point = ACTION_CHANNELS.named(channel)
    opened = load_channel(point)(settings)
    ACTION_CHANNELS.check(point, opened, ActionChannel)
    return opened


def load_channel(point: EntryPoint) -> OpenChannel:
    """Import the function that opens a channel.

    Raises:
        SettingsError: names the plug-in, the package it came with, the reason and the remedy.
    """
    return ACTION_CHANNELS.load_function(point, "the settings of a receiver")


def settings_of(name: str, row: ReceiverRow, act: ActSettings) -> ReceiverSettings:
    """The settings of a receiver; its secret is found as the environment names it."""
    entry = name.lower().replace("-", ".").replace("_", ".")
    secret = act.secret.get(entry)
    return ReceiverSettings(
        name=name, options=row.options, secret=secret, private=act.private, batch=row.batch
    )


def open_channels(table: ActionTable, act: ActSettings) -> Mapping[str, ActionChannel]:
    """The channel of each receiver of a table.

    Raises:
        SettingsError: some can't be opened: a line for each; the others are closed.
    """
    opened: dict[str, ActionChannel] = {}
    faults: list[str] = []
    for name, row in table.receivers.items():
        try:
            opened[name] = open_channel(row.channel, settings_of(name, row, act))
        except SettingsError as error:
            faults.append(f"{table.name}:{table.lines.get(name, 1)}: receivers.{name}: {error}")
    faults += batch_faults(table, opened)
    if faults:
        for channel in opened.values():
            channel.close()
        raise SettingsError("\n".join(faults))
    return opened


def batch_faults(table: ActionTable, opened: Mapping[str, ActionChannel]) -> Iterator[str]:
    """Faults of receivers with batches whose channels take one action at a time."""
    for name, channel in opened.items():
        row = table.receivers[name]
        if row.batch and not isinstance(channel, BatchChannel):
            yield (
                f"{table.name}:{table.batch_lines.get(name, 1)}: receivers.{name}.batch: the "
                f"channel {row.channel} takes one action at a time; take batch out, or use the "
                "channel webhook"
            )


def channel_faults(table: ActionTable, act: ActSettings) -> Iterator[str]:
    """Faults of the receivers, with file and line."""
    try:
        opened = open_channels(table, act)
    except SettingsError as error:
        yield from str(error).splitlines()
        return
    for name, channel in opened.items():
        if fault := channel.fault():
            yield f"{table.name}:{table.lines.get(name, 1)}: receivers.{name}: {fault}"
        channel.close()
    yield from template_faults(table, {name: each.needs for name, each in opened.items()})


def template_faults(table: ActionTable, needs: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Faults of kinds whose receivers write to customers, by their `needs`, without a template."""
    for kind, row in table.kinds.items():
        for each in (row, *(row.of_tenant(tenant) for tenant in row.tenants)):
            if needs[each.receiver] - {PARCEL} and not each.template:
                at = f"{table.name}:{table.kind_lines.get(kind, 1)}: kinds.{kind}"
                yield f"{at}.template is missing; {each.receiver} writes to customers"
