"""`ordertide bench`: the programs of benchmarks/, which are run from a checkout."""

import os
import sys
from pathlib import Path

import click

from schemas.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(args: tuple[str, ...]) -> None:
    """Run the benchmarks, in a checkout (`ordertide bench --help` lists them)."""
    if not (ROOT / "benchmarks").is_dir():
        raise SettingsError(
            "the benchmarks aren't in the installed package: clone the repository and run "
            "`make bench` there"
        )
    # In a process of its own, from this one on: `benchmarks` is no installed package.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *args], environment)  # noqa: S606 - our own program
