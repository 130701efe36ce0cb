"""Settings file of a command: the option `--settings`, the variable, or the file found here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from schemas.errors import OrdertideError

VARIABLE = "ORDERTIDE_SETTINGS"
FOUND = "ordertide.toml"  # in the working folder
HELP = f"settings file, TOML [{VARIABLE}, else ./{FOUND}]"
USED = "ordertide.settings"  # key in the context of a command
NONE = f"no settings file; name one with --settings or {VARIABLE}, or create ./{FOUND}"

Function = TypeVar("Function", bound=Callable[..., Any])


def settings_option(name: str = "path") -> Callable[[Function], Function]:
    """Option `--settings`; the parameter `name` is the path, or None for the defaults alone."""
    return click.option(
        "--settings",
        name,
        type=click.Path(path_type=Path),
        envvar=VARIABLE,
        callback=chosen,
        help=HELP,
    )


def chosen(context: click.Context, parameter: click.Parameter, given: Path | None) -> Path | None:
    """Settings file of a command, kept in its context for `note_settings`.

    Raises:
        OrdertideError: the file is missing.
    """
    path = given or found()
    source = context.get_parameter_source(parameter.name or "")
    is_variable = source is click.core.ParameterSource.ENVIRONMENT
    if path and not path.exists():
        remedy = f"correct {VARIABLE}, which names it" if is_variable else "correct --settings"
        raise OrdertideError(f"{path}: no such file; {remedy}")
    text = f"settings: {path}" if path else NONE
    context.meta[USED] = f"{text} ({VARIABLE})" if is_variable else text
    return path


def found() -> Path | None:
    """`ordertide.toml` of the working folder; None without one."""
    return Path(FOUND) if Path(FOUND).is_file() else None


def used_settings() -> str:
    """`settings: FILE` of the running command."""
    context = click.get_current_context(silent=True)
    used: str = context.meta.get(USED, NONE) if context else NONE
    return used


def note_settings(error: Exception, context: click.Context) -> None:
    """Add to an error of a server the settings file by which the server was sought."""
    is_of_server = error.names_settings if isinstance(error, OrdertideError) else True
    used = context.meta.get(USED)
    if is_of_server and used and used not in getattr(error, "__notes__", ()):
        error.add_note(used)
