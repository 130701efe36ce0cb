"""`ordertide archive`: is every file of the archive there and as it was sealed, and its repair."""

from collections.abc import Iterator
from pathlib import Path

import click

from broker.topic_ids import TopicIds
from commands.wiring.archive_audit import SpanReader, lost_ends
from commands.wiring.broker import connection_of
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import writer_group
from schemas.errors import Busy
from schemas.settings.model import Settings, read_settings
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.opening import open_archive
from storage_tiering.archive.parquet import ParquetTier
from telemetry.screen import show

DAMAGED = 1  # exit code


@click.group("archive", cls=Group)
def command() -> None:
    """Verify and repair the archive.

    \b
    ordertide archive verify --settings ordertide.toml
    ordertide archive verify --repair --settings ordertide.toml
    """


@command.command("verify")
@settings_option()
@click.option("--repair", is_flag=True, help="write lost and damaged files again from the topics")
@click.option("--offline", is_flag=True, help="don't query the broker for committed offsets")
def verify(path: Path | None, *, repair: bool, offline: bool) -> None:
    """Read all files of the archive, and compare them with their manifests, both ways.

    Names what is damaged, missing or surplus, each with its offsets; compares the files with the
    offsets committed at the broker. --repair makes manifests again from their files, and files
    from the topics as far as these reach; a damaged file is moved to .damaged first.

    Exit code 0 if the archive is whole (or was repaired), 1 if damage is left, 2 if it can't be
    read at all.

    \b
    ordertide archive verify --settings ordertide.toml
    ordertide archive verify --offline || mail -s 'archive damaged' ops@example.com
    ordertide archive verify --repair --settings ordertide.toml
    """
    if repair and offline:
        raise click.UsageError("--repair reads the topics: leave --offline out")
    settings = read_settings(path)
    tier = open_archive(settings)
    try:
        left = repaired(tier, settings) if repair else examined(tier, settings, offline=offline)
    finally:
        tier.close()
    if left:
        raise SystemExit(DAMAGED)


def examined(tier: ParquetTier, settings: Settings, *, offline: bool) -> int:
    """Show all damage; how many there are."""
    count = 0
    for damage in damages_of(tier, settings, offline=offline):
        count += 1
        show(f"{damage.kind}: {damage}")
    show(f"{count} damaged" if count else "the archive is whole")
    return count


def repaired(tier: ParquetTier, settings: Settings) -> int:
    """Repair, and show what became of each; how many are left."""
    connection = connection_of(settings.broker)
    left = 0
    with TopicIds(connection) as topic_ids:
        tier.know_topics(topic_ids.of)
        found = list(damages_of(tier, settings, offline=False))
        for each in tier.repair(SpanReader(connection)).run(found):
            left += each.did == "not repaired"
            show(f"{each.did}: {each.damage}\n  {each.reason}")
    show(f"{len(found) - left} repaired, {left} left" if found else "the archive is whole")
    return left


def damages_of(tier: ParquetTier, settings: Settings, *, offline: bool) -> Iterator[Damage]:
    """Damage found in the files, then offsets committed beyond them."""
    known = set()
    for damage in tier.verify():
        known.add(damage.span and damage.span.name)
        yield damage
    if offline:
        return
    try:
        ends = lost_ends(tier, connection_of(settings.broker), writer_group("archive"))
        yield from (damage for damage in ends if damage.span and damage.span.name not in known)
    except Busy as busy:
        show(f"not compared with what was committed: {busy}; --offline leaves that out", err=True)
