"""Reading the lifecycle and the rules from files; the ones that ship with ordertide by default."""

from importlib.resources import files
from pathlib import Path

from dataflows.core.lifecycle import Lifecycle
from dataflows.core.lifecycle_check import parse_lifecycle
from dataflows.core.rules import Rules
from dataflows.core.rules_check import parse_rules
from schemas.toml_document import read_text


def read_lifecycle(path: Path | None = None) -> Lifecycle:
    """Read and check a lifecycle file.

    Raises:
        SettingsError: the file can't be read, or the table has faults; all of them are named.
    """
    name, text = read(path, "lifecycle.toml")
    return parse_lifecycle(text, name)


def read_rules(path: Path | None, table: Lifecycle) -> Rules:
    """Read and compile a rules file.

    Raises:
        SettingsError: the file can't be read, or a rule is wrong: file, line, rule and reason.
    """
    name, text = read(path, "rules.toml")
    return parse_rules(text, name, table)


def read(path: Path | None, default: str) -> tuple[str, str]:
    """(name, text) of a file; of the shipped `default` if `path` is None.

    Raises:
        SettingsError: it can't be read.
    """
    if path is None:
        return default, (files("dataflows.core") / default).read_text("utf-8")
    return str(path), read_text(path)
