"""The lifecycle and the rules that the settings name, else the shipped ones."""

from pathlib import Path

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.settings.model import Settings


def lifecycle_of(settings: Settings) -> Lifecycle:
    """The lifecycle.

    Raises:
        SettingsError: its file can't be used.
    """
    return read_lifecycle(path_of(settings.track.lifecycle))


def rules_of(settings: Settings, table: Lifecycle) -> Rules:
    """The rules over a lifecycle.

    Raises:
        SettingsError: their file can't be used.
    """
    return read_rules(path_of(settings.track.rules), table)


def path_of(text: str | None) -> Path | None:
    """A path that may not be set."""
    return Path(text) if text else None
