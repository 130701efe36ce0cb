"""Running a load to its end, or to where it is stopped; either way its counts are complete."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import click

from loadgen.output import Output
from loadgen.pace import Pace
from loadgen.stream import Stream
from schemas.errors import SettingsError
from schemas.instants import format_instant


def run(stream: Stream, output: Output, pace: Pace, stop: Event) -> dict[str, Any]:
    """Write a stream's messages; return the result expected of their readers.

    When `stop` is set the network is mended, as at the planned end: what is held back arrives.
    """
    end_at = stream.plan.end_at
    with output, progress(stream) as seen:
        for until, messages in stream.slices():
            pace.write(messages, until)
            stream.expected.messages += len(messages)
            seen(until)
            if stop.is_set():
                end_at = until
                break
        rest = stream.flush(end_at)
        stream.expected.messages += len(rest)
        pace.end(rest, end_at)
    return expectation(stream, pace, end_at)


def expectation(stream: Stream, pace: Pace, end_at: int) -> dict[str, Any]:
    """The expected result, with the plan behind it."""
    report = pace.report()
    stream.expected.ticks = report.pop("ticks", 0)
    plan = stream.plan
    return {
        **stream.expected.expectation(),
        **report,
        "seed": plan.seed,
        "start": format_instant(plan.start_at),
        "end": format_instant(end_at),
        "orders_per_day": round(plan.orders_per_day),
        "live_orders": plan.live_orders,
        "life_scale": plan.scale,
    }


@contextmanager
def progress(stream: Stream) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    seen_at = stream.begins_at
    length_ms = stream.plan.end_at - seen_at
    # A thousandth at a time: redrawing for every slice would cost more than the slice.
    with click.progressbar(
        length=length_ms, label="loading", file=sys.stderr, update_min_steps=length_ms // 1000
    ) as bar:

        def seen(until: int) -> None:
            nonlocal seen_at
            bar.update(until - seen_at)
            seen_at = until

        yield seen


def write_expectation(path: Path, expected: dict[str, Any]) -> None:
    """Write what is to be expected.

    Raises:
        SettingsError: the file can't be written.
    """
    try:
        path.write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--expect {path}: {error.strerror}") from error
