"""`ordertide carriers`: payloads of carriers as events, before there is a gateway."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from broker.produce import Producer
from commands.list_plugins import plugin_lines
from commands.wiring.broker import prepared
from commands.wiring.groups import Group
from commands.wiring.settings_file import settings_option
from dataflows.carriers.carrier import Carrier, PushContents
from dataflows.carriers.installed import load_carrier, open_carrier, set_option
from schemas import topics
from schemas.display import count_of, printable
from schemas.errors import Rejected, SettingsError
from schemas.plugins import CARRIERS
from schemas.settings.model import read_settings
from telemetry.screen import show, show_json

# The secret of a carrier proves where a push is from; a payload in a file needs none.
NO_SECRET = "no secret is needed for a file"  # noqa: S105 - no password
MAX_SHOWN = 80  # characters of a text

NAME = click.argument("name")
FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="a setting of the carrier, e.g. zone=Asia/Bangkok or statuses.777=LOST",
)


@click.group("carriers", cls=Group)
def command() -> None:
    """List carrier plug-ins, and read payloads with them.

    FILE holds a push as it was posted; for Kuaidi100 also what its field `param` holds.

    \b
    ordertide carriers list
    ordertide carriers test kuaidi100 push.json
    ordertide carriers events sf push.txt >> events.ndjson
    """


@command.command("list")
def list_carriers() -> None:
    """Print the installed carrier plug-ins, and where each comes from.

    \b
    ordertide carriers list
    """
    for line in plugin_lines(CARRIERS, load_carrier):
        show(line)


@command.command("test")
@NAME
@FILE
@SET
def test_payload(name: str, path: Path, assignments: tuple[str, ...]) -> None:
    """Print what carrier NAME reads in FILE: time, status, code or text, and place of each scan.

    Below, the codes and texts without a mapping with their counts, and the scans that can't be
    read. Exit code 1 if there are any.

    \b
    ordertide carriers test kuaidi100 push.json
    ordertide carriers test sf push.txt --set statuses.777=LOST
    """
    contents = read_payload(name, path, assignments)
    show("\n".join(table_of(contents)))
    if contents.unmapped or contents.unreadable:
        raise SystemExit(1)


@command.command("events")
@NAME
@FILE
@SET
@click.option("--topic", is_flag=True, help=f"write into the topic {topics.EVENTS}")
@settings_option("settings")
def events(
    name: str, path: Path, assignments: tuple[str, ...], settings: Path | None, *, topic: bool
) -> None:
    """Write the events of FILE, a push of carrier NAME, as NDJSON or with --topic to the broker.

    Writing a push twice does no harm: events are known by source and event_id.

    \b
    ordertide carriers events kuaidi100 push.json > events.ndjson
    ordertide carriers events sf push.txt --topic --settings ordertide.toml
    """
    contents = read_payload(name, path, assignments)
    if not topic:
        for event in contents.events:
            show_json(msgspec.json.encode(event))
    else:
        with Producer(prepared(read_settings(settings).broker)) as producer:
            for event in contents.events:
                key = str(event.get("waybill") or event.get("order_id") or "").encode()
                producer.send(topics.EVENTS, key, msgspec.json.encode(event), [])
        show(f"{count_of(len(contents.events), 'event')} written to {topics.EVENTS}")
    for line in faults_of(contents):
        show(line, err=True)


def read_payload(name: str, path: Path, assignments: tuple[str, ...]) -> PushContents:
    """Decode a file as a push to carrier `name`.

    Raises:
        SettingsError: the carrier, a setting, the file or its content can't be used.
    """
    carrier = open_for_files(name, settings_of(assignments))
    try:
        return carrier.contents(path.read_bytes())
    except OSError as error:
        message = f"{path}: {error.strerror or error}; name a file with a payload"
        raise SettingsError(message) from error
    except Rejected as error:
        message = f"{path}: {error.code}: {error.reason}; name a whole push of {name}"
        raise SettingsError(message) from error


def open_for_files(name: str, settings: dict[str, object]) -> Carrier:
    """A carrier for payloads in files: settings without a default that are texts are filled in.

    Raises:
        SettingsError: as `open_carrier`.
    """
    points = CARRIERS.installed()
    if name in points:
        for field in msgspec.structs.fields(load_carrier(points[name]).Config):
            if field.required:
                settings.setdefault(field.encode_name, NO_SECRET)
    return open_carrier(name, settings)


def settings_of(assignments: tuple[str, ...]) -> dict[str, object]:
    """The settings of `--set KEY=VALUE`; `statuses.777=LOST` is an entry of a table.

    Raises:
        SettingsError: one isn't KEY=VALUE.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            message = f"--set {assignment}: is no KEY=VALUE; write e.g. --set zone=Asia/Bangkok"
            raise SettingsError(message)
        set_option(settings, key, value, of=f"--set {assignment}")
    return settings


def table_of(contents: PushContents) -> Iterator[str]:
    """A line a scan, then what is wrong."""
    for event in contents.events:
        place = (event.get("location") or {}).get("name", "")
        time, status = event["timestamp"], event["status_code"]
        yield f"{printable(time):<26} {printable(status):<18} {shown(event)}  {printable(place)}"
    if not contents.events:
        yield "no scans"
    yield from faults_of(contents)


def faults_of(contents: PushContents) -> Iterator[str]:
    """Codes and texts without a mapping, most frequent first, and what can't be read."""
    unmapped = Counter(shown(contents.events[number]) for number in sorted(contents.unmapped))
    for raw, count in unmapped.most_common():
        yield f"unmapped: {count:>4}  {raw}"
    for place, error, is_lost in contents.unreadable:
        fate = "left out" if is_lost else "without it"
        yield printable(f"unreadable: {place}: {error.reason}; {fate}")


def shown(event: dict[str, Any]) -> str:
    """The carrier's own code of a scan and its text."""
    raw, personal = event.get("raw_status"), event.get("personal") or {}
    parts = [str(part)[:MAX_SHOWN] for part in (raw, personal.get("text")) if part]
    return printable(" ".join(parts) or "-")
