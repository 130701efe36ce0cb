"""Action table: actions.toml, which gives each kind of action the receiver that does it.

    [receivers.desk]            [kinds.contact_carrier]
    channel = "webhook"         receiver = "desk"

Pure: texts in, faults out with file and line.
"""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas.errors import SettingsError
from schemas.plugins import ACTION_CHANNELS
from schemas.settings.kinds import fault_of_name
from schemas.toml_document import TomlDocument, read_text
from schemas.type_faults import Fault, choice, type_faults

SHIPPED = "actions.toml"
# Eight attempts at a time for each: 256 in all.
MOST_RECEIVERS = 32


class ReceiverRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver: its channel, and what a plug-in's channel takes besides."""

    channel: str
    options: dict[str, str] = {}


class KindRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of action: the receiver that does it."""

    receiver: str


class ActionsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """actions.toml as it is written."""

    version: int
    receivers: dict[str, ReceiverRow]
    kinds: dict[str, KindRow]


class ActionTable(msgspec.Struct, frozen=True):
    """A checked table: each kind's receiver is one of the receivers, which stand at `lines`."""

    name: str
    receivers: dict[str, ReceiverRow]
    kinds: dict[str, KindRow]
    lines: dict[str, int] = {}

    def receiver_of(self, kind: str) -> str | None:
        """The receiver of a kind; None for a kind that the table lacks."""
        row = self.kinds.get(kind)
        return row.receiver if row else None


def read_actions(path: Path | None) -> ActionTable:
    """Read and check a table; the shipped one if `path` is None.

    Raises:
        SettingsError: the file can't be read, or has faults: each with file and line.
    """
    if path is None:
        return parse_actions((files("sinks.actions") / SHIPPED).read_text("utf-8"), SHIPPED)
    return parse_actions(read_text(path), str(path))


def parse_actions(text: str, name: str) -> ActionTable:
    """The table of a document.

    Raises:
        SettingsError: a line for each fault.
    """
    document = TomlDocument(text, name)
    found = [*type_faults(document.values, msgspec.inspect.type_info(ActionsFile))]
    document.refuse(worded(fault) for fault in found)
    rows = msgspec.convert(document.values, ActionsFile)
    document.refuse(worded(fault) for fault in faults_of(rows))
    lines = {each: document.lines.nearest(("receivers", each)) for each in rows.receivers}
    return ActionTable(name, rows.receivers, rows.kinds, lines)


def faults_of(rows: ActionsFile) -> Iterator[Fault]:
    """Faults of a table whose values have the right types."""
    if rows.version != 1:
        yield Fault(("version",), f"{rows.version} is no version of this file; write 1")
    if len(rows.receivers) > MOST_RECEIVERS:
        yield Fault(
            ("receivers",),
            f"{len(rows.receivers)} receivers, each with threads of its own; merge some, "
            f"{MOST_RECEIVERS} is the most",
        )
    for name, receiver in rows.receivers.items():
        if fault := fault_of_name(name):
            yield Fault(("receivers", name), fault)
        try:
            ACTION_CHANNELS.named(receiver.channel)
        except SettingsError as error:
            yield Fault(("receivers", name, "channel"), str(error))
    names = [*rows.receivers]
    for kind, row in rows.kinds.items():
        if row.receiver not in rows.receivers:
            problem = f"{row.receiver!r} is no receiver; "
            remedy = choice(row.receiver, names) if names else "add one under [receivers.NAME]"
            yield Fault(("kinds", kind, "receiver"), f"{problem}{remedy}")


def worded(fault: Fault) -> Fault:
    """A fault whose text begins with its keys: `kinds.send_survey.receiver: …`."""
    keys = ".".join(str(part) for part in fault.place)
    return Fault(fault.place, f"{keys}: {fault.text}" if keys else fault.text)


def missing_kinds(table: ActionTable, requested: Iterable[str]) -> Iterator[str]:
    """Faults of kinds that rules request and the table lacks."""
    for kind in requested:
        if kind not in table.kinds:
            yield (
                f"{table.name}: the rules request {kind}, which has no receiver here; add "
                f"[kinds.{kind}] with its receiver"
            )
