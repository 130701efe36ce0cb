"""`ordertide stack`: real servers on this machine, without containers."""

import subprocess
import sys
from pathlib import Path

import click

from commands.stack_progress import progress, size_text
from commands.wiring.groups import Group
from deploy.stack.prometheus import DEFAULT_WEBHOOK
from deploy.stack.services import SERVICES, StackFolder
from deploy.stack.stack import down, known, states, up, wipe
from schemas.errors import SettingsError
from telemetry.screen import Column, show, show_table

DEFAULT_FOLDER = ".stack"

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="data, logs and stack.json",
)
services_argument = click.argument(
    "services", nargs=-1, type=click.Choice(list(SERVICES)), metavar="[SERVICE]..."
)


@click.group("stack", cls=Group)
def command() -> None:
    """Start and end Kafka, Redis, Elasticsearch, HDFS, Prometheus and Alertmanager.

    On loopback, without containers: from the distribution's packages, and from jars that are
    fetched once. Without a SERVICE all are meant.

    \b
    ordertide stack up
    ordertide stack up kafka redis
    ordertide stack status
    """


@command.command("up")
@folder_option
@click.option(
    "--webhook",
    default=DEFAULT_WEBHOOK,
    show_default=True,
    help="where a newly started Alertmanager sends alerts",
)
@services_argument
def up_command(folder: Path, webhook: str, services: tuple[str, ...]) -> None:
    """Start what doesn't run, and wait until every server answers.

    The addresses are then in stack.json in the folder. The servers outlive this command.
    """
    names = services or tuple(SERVICES)
    with progress(names) as on_step:
        up(StackFolder(folder, webhook), names, on_step)
    show(f"the addresses are in {folder / 'stack.json'}")


@command.command("down")
@folder_option
@click.option("--wipe", "is_wiped", is_flag=True, help="remove their data and logs too")
@services_argument
def down_command(folder: Path, is_wiped: bool, services: tuple[str, ...]) -> None:  # noqa: FBT001 - click's flag
    """End what `up` started."""
    names = services or tuple(SERVICES)
    with progress(names) as on_step:
        down(StackFolder(folder), names, on_step)
    if is_wiped:
        wipe(StackFolder(folder), names)


@command.command("status")
@folder_option
@services_argument
def status_command(folder: Path, services: tuple[str, ...]) -> None:
    """Show every server: its address, process and memory, and whether it answers.

    The exit code is 1 where one doesn't.
    """
    found = states(StackFolder(folder), services or tuple(SERVICES))
    if not found:
        show("nothing was started here: ordertide stack up")
        sys.exit(1)
    rows = [
        (
            state.service,
            state.server,
            state.address,
            str(state.pid or ""),
            size_text(state.memory_bytes),
            state.trouble or "answers",
        )
        for state in found
    ]
    show_table([*map(Column, ("service", "server", "address", "pid", "memory", ""))], rows)
    if memory_bytes := sum(state.memory_bytes for state in found):
        show(f"together {size_text(memory_bytes)}")
    if any(state.trouble for state in found):
        sys.exit(1)


@command.command("logs")
@folder_option
@click.option("-n", "lines", type=click.IntRange(0), default=40, show_default=True, help="lines")
@click.option("-f", "--follow", is_flag=True, help="continue as it is written")
@services_argument
def logs_command(folder: Path, lines: int, follow: bool, services: tuple[str, ...]) -> None:  # noqa: FBT001 - click's flag
    """Show the end of the servers' logs.

    \b
    ordertide stack logs kafka -n 100 -f
    """
    place = StackFolder(folder)
    servers = (each for one in known(place, services or tuple(SERVICES)) for each in one.servers)
    logs = [str(server.log) for server in servers if server.log.exists()]
    if not logs:
        raise SettingsError(f"no logs in {folder}: 'ordertide stack up' writes them")
    following = ["-F"] if follow else []
    tail = ["tail", "-n", str(lines), *following, *logs]
    with subprocess.Popen(tail, stdout=subprocess.PIPE, text=True, errors="replace") as running:  # noqa: S603 - the system's tail, on our own files
        for line in running.stdout or ():
            show(line.rstrip("\n"))
