"""`ordertide tier`: what the warm tier's Elasticsearch needs from us, and how it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.stack_progress import size_text
from commands.wiring.tiers import open_elastic
from commands.wiring.wording import shown_ms
from schemas.display import printable
from schemas.errors import StateError
from schemas.settings.model import Settings, read_settings
from schemas.settings.secrets import masked_text
from telemetry.screen import show

if TYPE_CHECKING:
    from storage_tiering.warm.elastic.tier import ElasticTier

settings_option = click.option(
    "--settings", "path", type=click.Path(path_type=Path), help="settings file (TOML)"
)


@click.group("tier")
def command() -> None:
    """Prepare or look at the warm tier in Elasticsearch.

    \b
    ordertide tier init --settings ordertide.toml
    ordertide tier status --settings ordertide.toml
    """


@command.command("init")
@settings_option
def init(path: Path | None) -> None:
    """Install or renew the index templates, and add new fields to the indices that there are.

    Says of each thing what was done. Done again it changes nothing.
    """
    with opened(read_settings(path)) as tier:
        for change in tier.templates.install(tier.periods, tier.letter_periods):
            reason = f": {change.reason}" if change.reason else ""
            show(printable(f"{change.did:<10}{change.what}{reason}"))


@command.command("status")
@settings_option
def status(path: Path | None) -> None:
    """Show the templates, the periods, and how far the tier has been written.

    The exit code is 1 where a writer could not begin.
    """
    with opened(read_settings(path)) as tier:
        trouble = template_trouble(tier)
        show(printable(masked_text(f"templates  {trouble or 'as they should be'}")))
        show(f"written    through {shown_ms(tier.progress.through())}")
        for index, documents, size_bytes in tier.searches.measured():
            show(f"{printable(index):<32} {documents:>12,} documents {size_text(size_bytes):>10}")
    if trouble:
        raise SystemExit(1)


@contextmanager
def opened(settings: Settings) -> "Iterator[ElasticTier]":
    """The tier, closed afterwards."""
    tier = open_elastic(settings)
    try:
        yield tier
    finally:
        tier.close()


def template_trouble(tier: "ElasticTier") -> str | None:
    """Why a writer would not begin; None if it would."""
    try:
        tier.templates.check()
    except StateError as error:
        return str(error)
    return None
