"""`ordertide list`: what is installed and built in."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import click

from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.settings_file import settings_option
from dataflows.carriers.installed import load_carrier, load_contact, load_poller
from dataflows.core.lifecycle import Lifecycle, StatusRow
from dataflows.core.rules import Rules
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.plugins import (
    ACTION_CHANNELS,
    CARRIERS,
    CHANNELS,
    CONTACTS,
    POLLERS,
    TIERS,
    PluginKind,
    describe,
)
from schemas.settings.model import read_settings
from sinks.actions.channels.installed import load_channel as load_action_channel
from sinks.channels.installed import load_channel
from storage_tiering.installed import load_tier
from telemetry.screen import show


@click.command("list")
@settings_option()
def command(path: Path | None) -> None:
    """List carriers, pollers, contacts, tiers, channels, rules and lifecycle statuses.

    Rules and statuses are those that the settings name, else the shipped ones.

    \b
    ordertide list
    """
    settings = read_settings(path)
    table = lifecycle_of(settings)
    rules = rules_of(settings, table)
    blocks = {
        "carriers": [*plugin_lines(CARRIERS, load_carrier)],
        "pollers": [*plugin_lines(POLLERS, load_poller)],
        "contacts": [*plugin_lines(CONTACTS, load_contact)],
        "tiers": [*plugin_lines(TIERS, load_tier)],
        "channels": [*plugin_lines(CHANNELS, load_channel)],
        "action channels": [*plugin_lines(ACTION_CHANNELS, load_action_channel)],
        "rules": [*rule_lines(rules)],
        "statuses": [*status_lines(table)],
    }
    for name, lines in blocks.items():
        show("\n".join([name, *(f"  {line}" for line in lines or ["none"])]))


def plugin_lines(kind: PluginKind, load: Callable[[EntryPoint], object]) -> Iterator[str]:
    """Each plug-in of a kind and where it comes from; a broken one with the reason."""
    for point in kind.installed().values():
        try:
            load(point)
        except SettingsError as error:
            yield printable(str(error))
        else:
            yield printable(f"{point.name:<20} {describe(point)}")


def rule_lines(rules: Rules) -> Iterator[str]:
    """Id, severity, labels, action."""
    for rule in rules.rules:
        row = rule.row
        severity: str = row.severity or "-"
        if row.escalate:
            severity += f" → {row.escalate.severity}"
        action = f"  does {row.action.kind}" if row.action else ""
        yield f"{row.id:<20} {severity:<18} {labels(row.label)}{action}"


def status_lines(table: Lifecycle) -> Iterator[str]:
    """Code, of what, labels, what is special."""
    for row in table.rows:
        yield f"{row.code:<20} {row.scope:<18} {labels(row.label)}{specials(row)}"


def specials(row: StatusRow) -> str:
    """Further effects of a status."""
    notes = [name for name in ("creates", "ends") if getattr(row, name)]
    notes += [f"retires after {row.retire_after}"] if row.retire_after else []
    return f"  {', '.join(notes)}" if notes else ""


def labels(label: dict[str, str]) -> str:
    """English and Chinese."""
    return " / ".join(label[language] for language in ("en", "zh") if language in label)
