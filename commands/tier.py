"""`ordertide tier`: prepare the warm tier's Elasticsearch, show how tiers are, rebuild one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
import msgspec

from commands.stack_progress import size_text
from commands.wiring.definitions import vocabulary_of
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import written_tiers
from commands.wiring.wording import shown_ms
from schemas.display import count_of, printable
from schemas.errors import Busy, SettingsError, StateError
from schemas.instants import DAY_MS, parse_duration
from schemas.settings.model import Settings, read_settings
from schemas.settings.secrets import masked_text
from storage_tiering import rebuild as rebuilding
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.installed import open_tier
from storage_tiering.tier import Staleness, Tier
from storage_tiering.warm.opening import open_elastic
from telemetry.screen import Column, show, show_table

if TYPE_CHECKING:
    from storage_tiering.warm.elastic.tier import ElasticTier

STATES = [Column(min_width=9), Column()]
PERIODS = [Column(), Column(is_number=True), Column(is_number=True)]
PERIOD_MS = 31 * DAY_MS  # a period ends up to a month after its first order


@click.group("tier", cls=Group)
def command() -> None:
    """Prepare the warm tier in Elasticsearch, show the status of tiers, or rebuild one.

    \b
    ordertide tier init --settings ordertide.toml
    ordertide tier status hot warm archive --settings ordertide.toml
    ordertide tier rebuild warm --settings ordertide.toml
    """


@command.command("init")
@settings_option()
def init(path: Path | None) -> None:
    """Install or update the index templates, and add new fields to the existing indices.

    Statuses of the lifecycle and attributes that the rules declare get fields of their types: run
    it again when they change. Prints what was done to each. A second run changes nothing.
    """
    settings = read_settings(path)
    vocabulary = vocabulary_of(settings)
    with opened(settings) as tier:
        for change in tier.templates.install(vocabulary, tier.periods, tier.letter_periods):
            reason = f": {change.reason}" if change.reason else ""
            show(printable(f"{change.did:<10}{change.what}{reason}"))
        if advice := advice_on_outdated(tier):
            show(advice)


@command.command("status")
@click.argument("tiers", nargs=-1)
@settings_option()
def status(tiers: tuple[str, ...], path: Path | None) -> None:
    """Show whether TIERS (the warm one unless named) can be vouched for.

    Of Elasticsearch also the templates, the periods, and how far the tier has been written. The
    exit code is 1 where a writer could not begin, or a tier has lost writes.

    \b
    ordertide tier status --settings ordertide.toml
    ordertide tier status hot warm archive --settings ordertide.toml
    """
    settings = read_settings(path)
    is_well = True
    if settings.warm.url and (not tiers or "warm" in tiers):
        is_well = show_elastic(settings)
    for name in tiers or ("warm",):
        staleness = staleness_of(name, settings)
        if staleness:
            is_well = False
            show_table(STATES, [("stale", masked_text(f"{name}: {staleness}"))])
        elif tiers or not settings.warm.url:
            show_table(STATES, [("holds", f"{name}: all that was written to it")])
    if not is_well:
        raise SystemExit(1)


def show_elastic(settings: Settings) -> bool:
    """Show templates and periods; whether a writer could begin."""
    with opened(settings) as tier:
        trouble = template_trouble(tier)
        states = [
            ("templates", masked_text(trouble or "as they should be")),
            *([("before", advice)] if (advice := advice_on_outdated(tier)) else []),
            ("written", f"through {shown_ms(tier.progress.watermark())}"),
        ]
        show_table(STATES, states)
        periods = [
            (index, count_of(documents, "document"), size_text(size_bytes))
            for index, documents, size_bytes in tier.searches.measured()
        ]
        if periods:
            show_table(PERIODS, periods)
    return trouble is None


def staleness_of(name: str, settings: Settings) -> str | None:
    """Why a tier can't be vouched for, or isn't there."""
    tier = written_tiers(settings, [name]).get(name)
    if tier is None:
        return "its folder is missing: nothing was written to it yet"
    try:
        staleness = tier.staleness()
    except Busy as busy:
        return f"no answer: {busy.reason}"
    finally:
        tier.close()
    return str(staleness) if staleness else None


@command.command("rebuild")
@click.argument("name", metavar="TIER", type=click.Choice(["hot", "warm"]))
@settings_option()
@click.option("--from-topics", is_flag=True, help="write it all again from the topics")
@click.option("--outdated", is_flag=True, help="only the indices that 'tier init' calls outdated")
def rebuild(name: str, path: Path | None, *, from_topics: bool, outdated: bool) -> None:
    """Rebuild a TIER that has lost writes.

    The warm tier gets data missing in the topics from the archive: orders that have retired,
    and events before their retention. With --from-topics, and the hot tier always, its writer reads
    all topics again, at once if it runs. Nothing is deleted; look-ups report the tier as stale
    until it is done.

    With --outdated, documents of Elasticsearch that were written before the templates changed are
    made again from themselves. An index whose fields have another type now is deleted, and filled
    from the archive and, by the writer, from the topics.

    \b
    ordertide tier rebuild warm --settings ordertide.toml
    ordertide tier rebuild warm --outdated --settings ordertide.toml
    ordertide tier rebuild warm --from-topics --settings ordertide.toml
    ordertide tier rebuild hot --settings ordertide.toml
    """
    settings = read_settings(path)
    tier = open_tier(name, settings)
    try:
        if outdated:
            rewrite_outdated(tier, settings)
        elif from_topics or name == "hot":
            rebuilding.from_topics(tier)
            show(f"{name}: its writer ('ordertide write {name}') reads the topics again")
        else:
            copy_archive(tier, settings)
    finally:
        tier.close()


def rewrite_outdated(tier: Tier, settings: Settings) -> None:
    """Make the outdated documents again, and fill the indices that can't have the new fields.

    Raises:
        SettingsError: the tier has no indices, or there is no archive to fill them from.
    """
    if not settings.warm.url or tier.name != "warm":
        raise SettingsError("--outdated is for the warm tier in Elasticsearch: set warm.url")
    from storage_tiering.warm.elastic.rewriting import Rewriting

    rewriting = Rewriting(cast("ElasticTier", tier).templates)
    unfit = []
    for each in rewriting.outdated():
        if each.has_fields:
            show(f"{each.name}: {count_of(rewriting.rewrite(each.name), 'document')} made again")
        else:
            unfit.append(each.name)
    if unfit:
        names = ", ".join(unfit)
        if "archive" not in written_tiers(settings, ["archive"]):
            raise SettingsError(
                f"{names}: their fields have other types now, and there is no archive to fill them"
                " from; delete them, and their writer reads the topics again"
            )
        lasting = f"{names}: being filled again; run 'ordertide tier rebuild warm'"
        held = tier.staleness() or Staleness(reason="")
        tier.set_staleness(msgspec.structs.replace(held, lasting=lasting))
        for index in unfit:
            rewriting.drop(index)
        copy_archive(tier, settings)


def advice_on_outdated(tier: "ElasticTier") -> str | None:
    """The indices of before, and the command that fills them again."""
    from storage_tiering.warm.elastic.rewriting import Rewriting

    names = [each.name for each in Rewriting(tier.templates).outdated()]
    if not names:
        return None
    return (
        f"documents of {', '.join(names)} were written before and lack new fields: look-ups find "
        "them, searches by the new fields don't; 'ordertide tier rebuild warm --outdated' makes "
        "them again"
    )


def copy_archive(tier: Tier, settings: Settings) -> None:
    """Write into the warm tier what the archive has of the time that it keeps."""
    archive = written_tiers(settings, ["archive"]).get("archive")
    if not isinstance(archive, ParquetTier):
        raise SettingsError(
            f"archive.folder: {settings.archive.folder} is missing, so nothing older than the "
            "topics is left; --from-topics writes what they have"
        )
    try:
        keep_ms = parse_duration(settings.warm.keep, of="warm.keep") + PERIOD_MS
        since_ms = (archive.watermark() or 0) - keep_ms
        changes, events = rebuilding.from_archive(tier, archive, since_ms)
    finally:
        archive.close()
    written = f"{count_of(changes, 'change')} and {count_of(events, 'event')}"
    show(f"{tier.name}: {written} of the archive written")
    staleness = tier.staleness()
    show(f"stale until {staleness}" if staleness else "it can be vouched for")


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
