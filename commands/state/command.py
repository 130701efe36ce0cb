"""`ordertide state`: looking into the shard store, checking it, and taking the orders out."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from commands.state import inspect as inspecting
from commands.state import set_aside
from commands.state.export import Form, export
from commands.state.files import STORE, open_files
from commands.state.verify import verify
from commands.wiring.definitions import lifecycle_of, rules_of
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from dataflows.cluster.open_store import objects_of, state_files
from dataflows.state.local.lock import ProcessLock
from dataflows.state.remote.run_start import fetch_state
from schemas.display import count_of, printable
from schemas.keys import DEFAULT_TENANT
from schemas.private_files import private_folder
from schemas.settings.model import read_settings
from telemetry.screen import show, show_json, show_table

FAULTY = 1  # exit code

Function = TypeVar("Function", bound=Callable[..., Any])


def files_options(function: Function) -> Function:
    """Which store."""
    for option in (
        settings_option("settings"),
        click.option(
            "--store",
            type=click.Path(path_type=Path, dir_okay=False),
            help="a state file, e.g. of a backup (default: the one of the settings)",
        ),
    ):
        function = option(function)
    return function


@click.group("state", cls=Group)
def command() -> None:
    """Inspect the shard store of `track`, check it, export its orders.

    The store is only read, and can be in use meanwhile: the output is one moment of it. SQLite's
    log beside the file grows as long as a command takes, and shrinks after it. `release` writes a
    request beside it.
    """


@command.command("inspect")
@files_options
@click.option("--quick", is_flag=True, help="don't open the blobs: no counts of orders, no clock")
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
def inspect_command(
    settings: Path | None, store: Path | None, *, quick: bool, as_json: bool
) -> None:
    """Show shards, their chains of blobs, pointers, orders, clock and versions.

    \b
    ordertide state inspect --settings ordertide.toml
    ordertide state inspect --store backup/shards.sqlite --json | jq .live
    """
    with open_files(read_settings(settings), store) as files:
        found = inspecting.inspect(files, is_quick=quick)
    if as_json:
        show_json(msgspec.json.encode(found))
        return
    show("\n".join([*inspecting.head(found), ""]))
    show_table(inspecting.COLUMNS, inspecting.rows(found.shards))


@command.command("verify")
@files_options
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
def verify_command(settings: Path | None, store: Path | None, *, as_json: bool) -> None:
    """Read everything and check it: exit code 1 if there is a fault, each with what to do.

    Every blob and row: checksum, version, content. Every pointer that bytewax would resume at.
    Every order: that it unpacks, and that folding its history again gives the same. The settings
    name the lifecycle that orders were folded by.

    \b
    ordertide state verify --settings ordertide.toml
    ordertide state verify --store backup/shards.sqlite
    """
    used = read_settings(settings)
    table = lifecycle_of(used)
    with open_files(used, store) as files:
        found = verify(files, table)
    show_json(msgspec.json.encode(found)) if as_json else show(found.text())
    if found.faults:
        sys.exit(FAULTY)


@command.command("export")
@files_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="default: the output")
@click.option(
    "--form",
    type=click.Choice(["documents", "packed"]),
    default="documents",
    show_default=True,
    help="as in orders.changes, or the stored bytes in base64",
)
@click.option("--retired/--live", "only_retired", default=None, help="only these (default: both)")
def export_command(
    settings: Path | None,
    store: Path | None,
    out: Path | None,
    form: Form,
    *,
    only_retired: bool | None,
) -> None:
    """Write the orders as NDJSON, one a line.

    Documents need the rules and the lifecycle that the flow runs with: name its settings.

    \b
    ordertide state export --settings ordertide.toml --out orders.ndjson
    ordertide state export --store backup/shards.sqlite --form packed | gzip > orders.ndjson.gz
    """
    used = read_settings(settings)
    table = lifecycle_of(used)
    rules = rules_of(used, table)
    with open_files(used, store) as files:
        written = export(files, table, rules, form, out, only_retired=only_retired)
    show(f"{count_of(written, 'order')} written", err=True)


@command.command("set-aside")
@files_options
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
def set_aside_command(settings: Path | None, store: Path | None, *, as_json: bool) -> None:
    """List the orders set aside, as their evaluation failed: since when, why, what waits.

    \b
    ordertide state set-aside --settings ordertide.toml
    ordertide state set-aside --settings ordertide.toml --json | jq -r '.[].order_id'
    """
    with open_files(read_settings(settings), store) as files:
        found = set_aside.list_set_aside(files)
    if as_json:
        show_json(msgspec.json.encode(found))
    elif not found:
        show("no order is set aside")
    else:
        show(f"{count_of(len(found), 'order')} set aside")
        show_table(set_aside.COLUMNS, set_aside.rows(found))


@command.command("release")
@files_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True)
@click.argument("order_id", metavar="ORDER")
def release_command(settings: Path | None, store: Path | None, tenant: str, order_id: str) -> None:
    """Release an order that is set aside: its events are applied when `track` starts next.

    The order is evaluated on a copy first, by this version and the rules of the settings: if that
    raises, it stays aside, and the exit code is 1. The request lies beside the state file; with
    several hosts, request it on each.

    \b
    ordertide state release --settings ordertide.toml A-1001
    """
    used = read_settings(settings)
    table = lifecycle_of(used)
    rules = rules_of(used, table)
    with open_files(used, store) as files:
        trial = set_aside.release(files, table, rules, tenant, order_id)
        used_by = files.in_use_by
    name = f"order {printable(order_id)} of {printable(tenant)}"
    if trial.reason is not None:
        show(f"{name}: stays set aside, it would raise again: {trial.reason}", err=True)
        sys.exit(FAULTY)
    start = f"restart it (process {used_by})" if used_by else "start it"
    show(f"{name}: {trial.events} events are applied when 'ordertide track' starts next; {start}")


@command.command("fetch")
@settings_option("settings")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="where shards.sqlite and recovery/ shall lie",
)
def fetch_command(settings: Path | None, out: Path) -> None:
    """Download the state from a bucket to files, for inspection or as a backup.

    The flow may run meanwhile, and continues.

    \b
    ordertide state fetch --settings ordertide.toml --out looked-at
    ordertide state verify --settings ordertide.toml --store looked-at/shards.sqlite
    """
    used = read_settings(settings)
    private_folder(out)
    lock = ProcessLock(out / f"{STORE}.lock", out / STORE)
    try:
        objects = objects_of(
            used.state,
            lambda: False,
            lambda reason: show(f"{reason}; waiting", err=True),
        )
        commits = fetch_state(objects, state_files(out / STORE))
    finally:
        lock.release()
    show(f"{out / STORE}: as after commit {commits}", err=True)
