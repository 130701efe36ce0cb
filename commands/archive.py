"""`ordertide archive`: verification, repair and compaction of the files of the archive."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from broker.topic_ids import TopicIds
from commands.wiring.archive_audit import SpanReader, lost_ends
from commands.wiring.broker import connection_of
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import writer_group
from schemas.display import count_of
from schemas.errors import Busy
from schemas.settings.model import Settings, read_settings
from storage_tiering.archive.compaction import Merged, OnRows
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.opening import open_archive, open_compaction
from storage_tiering.archive.parquet import ParquetTier
from telemetry.screen import show

DAMAGED = 1  # exit code


@click.group("archive", cls=Group)
def command() -> None:
    """Verify and repair the archive, and merge its small files.

    \b
    ordertide archive verify --settings ordertide.toml
    ordertide archive verify --repair --settings ordertide.toml
    ordertide archive compact --settings ordertide.toml
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


@command.command("compact")
@settings_option()
@click.option("--plan", "is_plan", is_flag=True, help="show what is due, and change nothing")
def compact(path: Path | None, *, is_plan: bool) -> None:
    """Merge the small files of days that have ended into files of 128 to 512 MB.

    The archive's writer does the same every ten minutes, unless [archive] compact is false. It may
    be stopped at any time, and run beside writers, look-ups and another compaction. Files that were
    merged are moved to _replaced, and deleted after [archive] keep_replaced.

    Exit code 0 if everything that was due is merged, 1 if a damaged file prevented some of it, 2 if
    the archive can't be read or written.

    \b
    ordertide archive compact --settings ordertide.toml
    ordertide archive compact --plan --settings ordertide.toml
    30 1 * * * ordertide archive compact --settings /etc/ordertide.toml    (crontab)
    """
    compaction = open_compaction(read_settings(path))
    if not is_plan:
        compaction.settle()
    due = compaction.plan()
    if is_plan:
        for merge in due:
            show(f"{merge}, {merge.rows:,} rows, {size_text(merge.size_bytes)}")
        show(f"{count_of(len(due), 'merge')} due" if due else "nothing to merge")
        return
    damaged = 0
    with rows_shown(sum(merge.rows for merge in due)) as on_rows:
        for done in compaction.run(due, on_rows):
            damaged += done.damage is not None
            show(merged_text(done))
    gone = compaction.forget_replaced()
    if gone:
        show(f"{count_of(gone, 'file')} that had been merged earlier deleted")
    if not due:
        show("nothing to merge")
    if damaged:
        raise SystemExit(DAMAGED)


def merged_text(done: Merged) -> str:
    """Outcome of a merge for people, on one line."""
    if done.damage:
        return f"not merged: {done.merge}: {done.damage}"
    if done.size_bytes is None:
        return f"not merged: {done.merge}: another process has merged files of this partition"
    before, after = size_text(done.merge.size_bytes), size_text(done.size_bytes)
    return f"merged: {done.merge}, {done.merge.rows:,} rows, {before} became {after}"


def size_text(size_bytes: int) -> str:
    """A size in MiB, or in KiB where it is small."""
    mebibytes = size_bytes / 2**20
    return f"{mebibytes:,.1f} MiB" if mebibytes >= 1 else f"{size_bytes / 2**10:,.1f} KiB"


@contextmanager
def rows_shown(total: int) -> Iterator[OnRows]:
    """Show on a terminal how many of the rows are merged, with the time left."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rows", total=total)
        yield lambda rows: progress.advance(task, rows)


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
        tier.settle()
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
