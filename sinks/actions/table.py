"""Action table: actions.toml, which gives each kind of action the receiver that does it.

    [receivers.desk]            [kinds.contact_carrier]
    channel = "webhook"         receiver = "desk"

Pure: texts in, faults out with file and line.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.alert_text import Language
from schemas.errors import SettingsError
from schemas.plugins import ACTION_CHANNELS
from schemas.promises import is_zone
from schemas.settings.kinds import fault_of_name
from schemas.toml_document import TomlDocument, read_text
from schemas.type_faults import Fault, Place, choice, type_faults
from sinks.actions.amounts import CURRENCY, VALUE, AmountRow, amount_faults
from sinks.actions.batches import BatchRow, batch_faults
from sinks.actions.quiet_hours import parse_quiet

SHIPPED = "actions.toml"
# Eight attempts at a time for each: 256 in all.
MOST_RECEIVERS = 32


class ReceiverRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receiver: its channel, what a plug-in's channel takes besides, and its batches."""

    channel: str
    options: dict[str, str] = {}
    batch: BatchRow | None = None


AtLeastOne = Annotated[int, Meta(ge=1)]


class TenantRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of action for one tenant: what differs from the kind."""

    receiver: str | None = None
    quiet: str | None = None
    zone: str | None = None
    most_a_day: AtLeastOne | None = None
    amounts: list[AmountRow] | None = None
    template: str | None = None
    language: Language | None = None


class KindRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of action: the receiver that does it, and when and how often it is done.

    Nothing is sent in the `quiet` hours of the recipient, nor to a person who was sent
    `most_a_day` messages that day; `zone` is that of recipients whose destination gives none.
    `amounts` are those of a compensation. A message to a customer has a `template`; `language` is
    that of orders without one of their own.
    """

    receiver: str
    quiet: str | None = None
    zone: str = "UTC"
    most_a_day: AtLeastOne | None = None
    amounts: list[AmountRow] = []
    template: str | None = None
    language: Language = "en"
    tenants: dict[str, TenantRow] = {}

    def of_tenant(self, tenant: str) -> "KindRow":
        """The kind as a tenant has it."""
        own = self.tenants.get(tenant)
        if own is None:
            return self
        given = {name: value for name, value in msgspec.structs.asdict(own).items() if value}
        return msgspec.structs.replace(self, **given)

    @property
    def needs_order(self) -> bool:
        """Return True if the order decides when or how the action is done."""
        return bool(self.quiet or self.most_a_day or self.amounts or self.template)


class ActionsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """actions.toml as it is written."""

    version: int
    receivers: dict[str, ReceiverRow]
    kinds: dict[str, KindRow]
    templates: str | None = None


class ActionTable(msgspec.Struct, frozen=True):
    """A checked table: each kind's receiver is one of the receivers, which stand at `lines`.

    `templates` is the folder of its own templates, kinds stand at `kind_lines`, batches of
    receivers at `batch_lines`.
    """

    name: str
    receivers: dict[str, ReceiverRow]
    kinds: dict[str, KindRow]
    lines: dict[str, int] = {}
    kind_lines: dict[str, int] = {}
    templates: str | None = None
    batch_lines: dict[str, int] = {}

    def row_of(self, kind: str, tenant: str) -> KindRow | None:
        """A kind as a tenant has it; None for a kind that the table lacks."""
        row = self.kinds.get(kind)
        return row.of_tenant(tenant) if row else None


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
    batches = {each: document.lines.nearest(("receivers", each, "batch")) for each in lines}
    kind_lines = {each: document.lines.nearest(("kinds", each)) for each in rows.kinds}
    return ActionTable(name, rows.receivers, rows.kinds, lines, kind_lines, rows.templates, batches)


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
        if receiver.batch:
            yield from batch_faults(receiver.batch, ("receivers", name, "batch"))
    names = [*rows.receivers]
    for kind, row in rows.kinds.items():
        yield from row_faults(row, ("kinds", kind), names)
        for tenant, own in row.tenants.items():
            yield from row_faults(own, ("kinds", kind, "tenants", tenant), names)


def row_faults(row: KindRow | TenantRow, place: Place, receivers: list[str]) -> Iterator[Fault]:
    """Faults of a kind, or of what differs for a tenant."""
    if row.receiver is not None and row.receiver not in receivers:
        problem = f"{row.receiver!r} is no receiver; "
        remedy = choice(row.receiver, receivers) if receivers else "add one under [receivers.NAME]"
        yield Fault((*place, "receiver"), f"{problem}{remedy}")
    if row.quiet is not None:
        try:
            parse_quiet(row.quiet)
        except SettingsError as error:
            yield Fault((*place, "quiet"), str(error))
    if row.zone is not None and not is_zone(row.zone):
        problem = f"{row.zone!r} is no time zone; write one like Asia/Shanghai"
        yield Fault((*place, "zone"), problem)
    yield from amount_faults(row.amounts or (), (*place, "amounts"))


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


def undeclared(table: ActionTable, attributes: Mapping[str, str]) -> Iterator[str]:
    """Faults of attributes that amounts need and rules don't declare: name → type."""
    wanted = {VALUE: ("float", "int"), CURRENCY: ("str",)}
    for kind, row in table.kinds.items():
        steps = [
            *row.amounts,
            *(step for own in row.tenants.values() for step in own.amounts or ()),
        ]
        needed = [VALUE] if any(step.percent is not None for step in steps) else []
        for name in [*needed, CURRENCY] if steps else []:
            if attributes.get(name) not in wanted[name]:
                yield (
                    f"{table.name}: kinds.{kind}.amounts: the rules declare no attribute {name}; "
                    f'add {name} = {{type = "{wanted[name][0]}"}} under their [attributes]'
                )
