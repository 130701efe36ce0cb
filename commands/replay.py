"""`ordertide replay`: the engine over recorded files, exact and offline."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from commands.replay_output import RejectedRows, ResultKeys, summarise, write_all, write_json
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake
from dataflows.core.set_aside import Fault
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.replay.evaluate import Result, judge_here, judge_shared, rows
from dataflows.replay.external_sort import Record, Sorter
from dataflows.replay.recording import Bad, Counts, Recording, sort_files
from dataflows.replay.refused_facts import Refused, read_refused
from privacy.originals import seal_rejected
from privacy.seal import seal_event
from schemas.alert import AuditEntry
from schemas.display import count_of, printable
from schemas.errors import Rejected, SettingsError
from schemas.instants import parse_instant
from schemas.keys import split_order_key
from schemas.versions import MAX_GENERATION
from telemetry.screen import show

FAULTS_SHOWN = 20
SHOWN_BY_COUNT = 5


@click.command("replay")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--rules", type=click.Path(path_type=Path), help="rules file (default: the shipped rules)"
)
@click.option(
    "--lifecycle", type=click.Path(path_type=Path), help="lifecycle file (default: the shipped one)"
)
@click.option(
    "--until", help="RFC 3339 instant at which the clock stops (default: the last arrival)"
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="processes"
)
@click.option(
    "--generation",
    type=click.IntRange(0, MAX_GENERATION),
    default=0,
    show_default=True,
    help="of the state that the versions are to equal",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="folder for the results",
)
def command(
    files: tuple[str, ...],
    rules: Path | None,
    lifecycle: Path | None,
    until: str | None,
    workers: int,
    generation: int,
    out: Path,
) -> None:
    """Run the engine over event FILES (NDJSON, .gz, .zst, .parquet; - is standard input).

    The same set of events gives the same bytes in orders, alerts, actions and audit, whatever the
    order of lines, duplicates, number of files and workers.

    \b
    ordertide replay events.ndjson --out results
    ordertide replay a.ndjson.gz b.parquet --until 2018-12-31T00:00:00-03:00 --out results
    zcat events.ndjson.gz | ordertide replay - --out results
    """
    replay(files, rules, lifecycle, until_of(until), workers, out, generation)


def until_of(text: str | None) -> int | None:
    """The instant of --until."""
    try:
        return parse_instant(text) if text else None
    except ValueError as error:
        is_local = "UTC offset" in str(error)
        problem = "has no UTC offset" if is_local else "is no instant"
        message = f"--until: {text!r} {problem}; write one like 2018-12-31T00:00:00-03:00"
        raise SettingsError(message) from error


def replay(
    files: tuple[str, ...],
    rules: Path | None,
    lifecycle: Path | None,
    until: int | None,
    workers: int,
    out: Path,
    generation: int = 0,
) -> dict[str, Any]:
    """Replay `files` into the folder `out`; the summary.

    Raises:
        SettingsError: a file, the rules or the lifecycle can't be used.
    """
    started = time.monotonic()
    table = read_lifecycle(lifecycle)
    compiled = read_rules(rules, table)
    with ResultKeys(out) as keys:
        counts, sorter = Counts(), Sorter()
        decoder = Decoder(
            Intake(table, compiled),
            lambda data, event: seal_event(data, event, keys, has_all_keys=False),
            lambda data, headers: seal_rejected(data, keys, headers),
        )
        with RejectedRows(out, decoder.original) as rejected:
            sort_files(files, sorter, counts, rejected.add, decoder)
            recording = Recording(table, counts, until, rejected.add, decoder)
            with progress(counts.read - rejected.count) as advance:
                steps = (
                    (step.answers.facts, step.watermark)
                    for step in recording.steps(advance(sorter.sorted()))
                )
                results = judge(steps, rules, lifecycle, workers, generation)
            for result in results:
                for refused in read_refused(result.rejected):
                    rejected.add(bad_of(refused))
        write_all(out, results)
        summary = summarise(results, counts, rejected.count, time.monotonic() - started)
        write_json(out / "summary.json", summary)
        report(summary, out, rejected.samples)
        report_faults(rows(results, "set_aside"))
        report_outside_calendar(rows(results, "audit"))
    return summary


def bad_of(refused: Refused) -> Bad:
    """A fact that a shard rejected, as a record of the recording."""
    fact = refused.fact
    return Bad(Rejected(refused.code, refused.reason), fact.raw, fact.topic, fact.offset)


def report_faults(faults: list[Fault]) -> None:
    """Name the orders that were set aside, a line each, and the first trace."""
    for fault in faults[:FAULTS_SHOWN]:
        tenant, order_id = split_order_key(fault.key)
        show(f"order {order_id!r} of {tenant!r}: set aside, {fault.reason}", err=True)
    if len(faults) > FAULTS_SHOWN:
        show(f"and {len(faults) - FAULTS_SHOWN} more: see audit.ndjson", err=True)
    if faults:
        show(faults[0].trace, err=True)


def report_outside_calendar(audit: list[AuditEntry]) -> None:
    """Name the rules whose deadlines are outside the years of their calendar, a line each."""
    met = [entry.detail for entry in audit if entry.what == "deadline.outside_calendar"]
    for (rule, reason), count in sorted(Counter((d["rule"], d["reason"]) for d in met).items()):
        show(f"rule {rule}: never due for {count_of(count, 'order')}: {reason}", err=True)


def judge(
    steps: Iterator[tuple[list[Fact], int]],
    rules: Path | None,
    lifecycle: Path | None,
    workers: int,
    generation: int = 0,
) -> list[Result]:
    """Judge in this process or in several."""
    if workers == 1:
        return judge_here(steps, rules, lifecycle, generation)
    return judge_shared(steps, rules, lifecycle, workers, generation)


@contextmanager
def progress(total: int) -> Iterator[Callable[[Iterator[Record]], Iterator[Record]]]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda records: records
        return
    with click.progressbar(
        length=total, label="replaying", file=sys.stderr, update_min_steps=1000
    ) as bar:

        def counted(records: Iterator[Record]) -> Iterator[Record]:
            for record in records:
                bar.update(1)
                yield record

        yield counted


def report(summary: dict[str, Any], out: Path, samples: list[Bad]) -> None:
    """Report the outcome and the folder of the results; reasons if all events were rejected."""
    read, rejected = summary["events_read"], summary["events_rejected"]
    alerts = sum(summary["alerts_opened_by_rule"].values())
    actions = sum(summary["actions_by_kind"].values())
    show(
        f"{count_of(read, 'event')}, {count_of(summary['orders'], 'order')}, "
        f"{count_of(alerts, 'alert')}, {count_of(actions, 'action')} in {summary['seconds']:.1f} s"
    )
    if rejected:
        show(f"{rejected:,} rejected: see {out / 'rejected.ndjson'}")
    if rejected >= read:
        for bad in samples:
            reason = f"{bad.reason.code}: {bad.reason.reason}"
            show(printable(f"  {bad.file}:{bad.number}: {reason}"), err=True)
    if dropped := summary.get("fields_dropped"):
        total = sum(dropped.values())
        show(f"{count_of(total, 'unusable field')} left out: {counted(dropped)}")
    if unknown := summary.get("unknown_codes"):
        codes = {f"{source} {code}": n for source, of in unknown.items() for code, n in of.items()}
        total = sum(codes.values())
        signs = "a sign of life" if total == 1 else "signs of life"
        show(f"{count_of(total, 'unknown code')}, {signs}: {counted(codes)}")
    show(f"results: {out}")


def counted(counts: dict[str, int]) -> str:
    """The most frequent, with their counts."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {count}" for name, count in ranked[:SHOWN_BY_COUNT]]
    return ", ".join([*shown, *["…"][: len(ranked) - len(shown)]])
