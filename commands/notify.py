"""`ordertide notify`: messages to customers, before any is sent."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from commands.wiring.definitions import actions_of
from commands.wiring.groups import Group
from commands.wiring.process import now_ms
from commands.wiring.settings_file import settings_option
from schemas.display import printable
from schemas.errors import SettingsError
from schemas.keys import DEFAULT_TENANT
from schemas.settings.model import Settings, read_settings
from telemetry.screen import Column, show, show_json, show_table

if TYPE_CHECKING:
    from schemas.order import OrderDocument
    from sinks.actions.table import ActionTable, KindRow

COLUMNS = [Column("field", min_width=12), Column("here"), Column("meaning")]


@click.group("notify", cls=Group)
def command() -> None:
    """Messages to customers: their templates, and how they read."""


@command.command("preview")
@click.argument("kind")
@click.option("--order", "order_id", help="an order of the tiers; a sample order without it")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="whose order")
@click.option("--language", type=click.Choice(["en", "zh"]), help="else that of the order")
@click.option("--json", "as_json", is_flag=True, help="as one JSON document")
@settings_option()
def preview(
    kind: str,
    path: Path | None,
    order_id: str | None,
    tenant: str,
    language: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the message of KIND, a kind of actions.toml or a template, and the fields it may use.

    Nothing is sent, and no personal data is opened. The link leads to the order's page.

    \b
    ordertide notify preview shipped
    ordertide notify preview delayed --order SO-2018-1 --language zh
    """
    from commands.wiring.messages import links_of, shop_of
    from schemas.alert_text import Language
    from sinks.actions.messages.fields import MEANINGS
    from sinks.actions.messages.messages import Messages
    from sinks.actions.messages.samples import action_about, sample_link, sample_order
    from sinks.actions.messages.templates import read_templates

    settings = read_settings(path)
    table, row = with_kind(actions_of(settings), kind, tenant)
    link_to = links_of(settings) if order_id else sample_link
    messages = Messages(read_templates(table), shop_of(settings), link_to)
    order = found(settings, tenant, order_id) if order_id else sample_order()
    action = action_about(order, kind)
    chosen = msgspec.convert(language or messages.language_of(row, order), Language)
    if chosen not in messages.templates[row.template or ""]:
        raise SettingsError(f"{row.template}: there is no template in {chosen}; write one")
    now_at = now_ms()
    message = messages.of(row, action, order, came_at=now_at, language=chosen)
    fields = messages.fields(row, action, order, chosen, came_at=now_at)
    if as_json:
        show_json(msgspec.json.encode({"message": message, "fields": fields._asdict()}))
        return
    show(f"Subject: {message.subject}\n\n{message.text}")
    values = {name: shown(value) for name, value in fields._asdict().items()}
    cells = [(name, values[name], meaning) for name, meaning in MEANINGS.items()]
    show_table(COLUMNS, [tuple(map(printable, each)) for each in cells])


def with_kind(table: "ActionTable", kind: str, tenant: str) -> tuple["ActionTable", "KindRow"]:
    """A table with this kind alone, and its row; a template's name is a kind, too.

    Raises:
        SettingsError: the kind has no template, or there is neither.
    """
    from schemas.type_faults import meant
    from sinks.actions.messages.templates import folder_of, names_in
    from sinks.actions.table import KindRow

    names = names_in(folder_of(table))
    row = table.row_of(kind, tenant)
    if row is None and kind not in names:
        known = [*(each for each, its in table.kinds.items() if its.template), *names]
        raise SettingsError(f"{kind}: no such kind or template; {meant(kind, known)}")
    if row is None:
        row = KindRow("", template=kind)
    if row.template is None:
        raise SettingsError(
            f"{table.name}: kinds.{kind}.template is missing, so it is no message; choose one of "
            f"{', '.join(names)}"
        )
    return msgspec.structs.replace(table, kinds={kind: row}), row


def found(settings: Settings, tenant: str, order_id: str) -> "OrderDocument":
    """An order of the tiers.

    Raises:
        UnknownOrder: none has it. Busy: a tier that may have it is unavailable.
    """
    from commands.act.tier_lookup import tier_pool
    from storage_tiering.find import find

    with closing(tier_pool(settings)) as pool, pool.taken() as tiers:
        return find(tiers, tenant, order_id).found.document


def shown(value: object) -> str:
    """A field as it is listed."""
    if isinstance(value, tuple):
        return ", ".join(" ".join(part for part in each if part) for each in value)
    return str(value)
