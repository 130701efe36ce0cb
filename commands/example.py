"""`ordertide example`: the events of a sample data set, as its adapter reads them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from commands.wiring.groups import Group
from schemas.errors import SettingsError

Events = Callable[[Path], Iterator[dict[str, Any]]]
CSV = click.argument("csv", required=False, type=click.Path(path_type=Path, dir_okay=False))


@click.group("example", cls=Group)
def command() -> None:
    """Write the events of a sample data set as NDJSON.

    The adapters are in examples/, each with the origin and the licence of its data.

    \b
    ordertide example olist > events.ndjson
    ordertide replay events.ndjson --until 2018-12-31T00:00:00-03:00 --out results
    """


@command.command("olist")
@CSV
def olist(csv: Path | None) -> None:
    """Write the orders of a Brazilian shop, 2016 to 2018: four milestones an order.

    Of the sample, or of CSV in the form of Olist's orders file. Its licence is CC BY-NC-SA 4.0: not
    for commercial use.
    """
    from examples.olist.adapter import SAMPLE, events

    write(events, csv or SAMPLE)


@command.command("cargo2000")
@CSV
def cargo2000(csv: Path | None) -> None:
    """Write the transports of an air-freight forwarder: every milestone, with the plan.

    Of the sample, or of CSV in its form.
    """
    from examples.cargo2000.adapter import SAMPLE, events

    write(events, csv or SAMPLE)


def write(events: Events, path: Path) -> None:
    """Write the events of a file to standard output.

    Raises:
        SettingsError: there is no such file.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; run this in a checkout, or name a CSV file")
    for event in events(path):
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()
