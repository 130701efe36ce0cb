"""Lifecycle, rules and table of actions that the settings name, else the shipped ones."""

from pathlib import Path
from typing import TYPE_CHECKING

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.rules import Rules
from dataflows.definition_files import read_lifecycle, read_rules
from schemas.settings.model import Settings
from sinks.actions.table import ActionTable, read_actions

if TYPE_CHECKING:
    from storage_tiering.warm.elastic.vocabulary import Vocabulary


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


def actions_of(settings: Settings) -> ActionTable:
    """The table of receivers and kinds of actions.

    Raises:
        SettingsError: its file can't be used.
    """
    return read_actions(path_of(settings.act.actions))


def vocabulary_of(settings: Settings) -> "Vocabulary":
    """Statuses and declared attributes, for the fields of the warm tier in Elasticsearch.

    Raises:
        SettingsError: the lifecycle or rules file can't be used.
    """
    from storage_tiering.warm.elastic.vocabulary import Vocabulary

    table = lifecycle_of(settings)
    return Vocabulary(
        stages={row.code: row.stage for row in table.rows},
        attributes=rules_of(settings, table).attributes,
    )


def path_of(text: str | None) -> Path | None:
    """A path that may not be set."""
    return Path(text) if text else None
