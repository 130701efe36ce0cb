"""`ordertide config`: check settings before anything runs by them."""

import json
from pathlib import Path

import click

from commands.config_check import config_faults
from commands.config_show import effective_settings
from schemas.settings.model import read_sourced
from schemas.settings.page import settings_schema
from telemetry.screen import show


@click.group("config")
def command() -> None:
    """Check, show or describe the settings.

    \b
    ordertide config check ordertide.toml
    ordertide config show --settings ordertide.toml
    ordertide config schema > ordertide.schema.json
    """


@command.command("check")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def check(path: Path) -> None:
    """Check FILE, the environment over it, and the rules and lifecycle files that it names.

    Connects to no server (`ordertide doctor` does). Prints every fault; exit code 2 if there is
    one.
    """
    faults = config_faults(path)
    for fault in faults:
        show(fault, err=True)
    if faults:
        raise SystemExit(2)
    show(f"{path}: ok")


@command.command("show")
@click.option("--settings", "path", type=click.Path(path_type=Path), help="settings file (TOML)")
def show_settings(path: Path | None) -> None:
    """Print the effective settings as TOML, each with where it came from; secrets masked."""
    show(effective_settings(read_sourced(path)), nl=False)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    show(json.dumps(settings_schema(), indent=2))
