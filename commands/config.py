"""`ordertide config`: check settings before anything runs by them."""

import json
from pathlib import Path

import click

from commands.config_check import config_faults
from commands.config_show import effective_settings
from commands.wiring.groups import Group
from commands.wiring.settings_file import NONE, settings_option
from schemas.errors import SettingsError
from schemas.settings.model import read_sourced
from schemas.settings.page import settings_schema
from telemetry.screen import show


@click.group("config", cls=Group)
def command() -> None:
    """Check, show or describe the settings.

    \b
    ordertide config check ordertide.toml
    ordertide config show --settings ordertide.toml
    ordertide config schema > ordertide.schema.json
    """


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@settings_option()
def check(file: Path | None, path: Path | None) -> None:
    """Check FILE, the environment over it, and the rules and lifecycle files that it names.

    Without FILE: the settings file of the other commands. Connects to no server (`ordertide doctor`
    does). Prints every fault; exit code 2 if there is one.
    """
    if file and not file.exists():
        raise SettingsError(f"{file}: no such file; correct the name")
    path = file or path
    faults = config_faults(path)
    for fault in faults:
        show(fault, err=True)
    if faults:
        raise SystemExit(2)
    show(f"{path}: ok" if path else f"the defaults are ok: {NONE}")


@command.command("show")
@settings_option()
def show_settings(path: Path | None) -> None:
    """Print the effective settings as TOML, each with where it came from; secrets masked."""
    show(effective_settings(read_sourced(path)), nl=False)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    show(json.dumps(settings_schema(), indent=2))
