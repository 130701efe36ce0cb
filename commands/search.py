"""`ordertide search`: orders by a number or by their fields, from the warm tier."""

import sys
from pathlib import Path
from typing import Literal, get_args

import click
import msgspec

from commands.wiring.settings_file import settings_option
from commands.wiring.tiers import written_tiers
from commands.wiring.wording import shown, shown_ms
from schemas.errors import SettingsError, UnknownOrder
from schemas.order import Lane, OrderDocument
from schemas.search import LEAST_PART, MOST_ORDERS, OrderQuery, Sort
from schemas.settings.model import read_settings
from storage_tiering.tier import Search
from telemetry.screen import Column, show, show_error, show_json, show_table

COLUMNS = [
    Column("order"),
    Column("status"),
    Column("lane"),
    Column("promised"),
    Column("updated"),
    Column("carrier"),
]
NOT_FOUND = 1  # exit code
TIER: Literal["warm"] = "warm"


@click.command("search")
@click.argument("number", required=False)
@settings_option()
@click.option("--tenant", help="of one tenant only")
@click.option("--status", help="a code of the lifecycle, such as SHIPPED")
@click.option("--lane", type=click.Choice(get_args(Lane)), help="normal, warning or overdue")
@click.option("--carrier", help="a carrier's code")
@click.option("--supplier", "supplier_id", help="a supplier's id")
@click.option("--rule", help="with an open alert of a rule, such as late_shipping")
@click.option("--flag", help="a flag of the order, such as conflicting_duplicate")
@click.option(
    "--sort",
    type=click.Choice(get_args(Sort)),
    default="updated",
    show_default=True,
    help="updated or created: the newest first; silent: the oldest change; due: what is due first",
)
@click.option(
    "--limit", type=click.IntRange(1, MOST_ORDERS), default=20, show_default=True, help="at most"
)
@click.option("--json", "as_json", is_flag=True, help="a JSON document a line")
def command(
    number: str | None, path: Path | None, limit: int, *, as_json: bool, **fields: str | None
) -> None:
    """Find orders by NUMBER (order id, waybill, reference), or by their fields.

    A number is found whole, or by its first or last four characters or more; spaces, hyphens and
    upper or lower case make no difference. The order that changed last is first, unless --sort asks
    for another sequence. Exit code 1 if there is none.

    \b
    ordertide search 8877
    ordertide search --lane overdue --carrier sf --json | jq .order_id
    ordertide search --rule late_shipping --sort due
    """
    query = msgspec.convert({"number": number, **fields}, OrderQuery)
    if number is not None and not query.form:
        raise SettingsError(f"{number!r} has no letter or digit; write a number like SF0099 8877")
    (tier,) = written_tiers(read_settings(path), [TIER]).values()
    try:
        if not isinstance(tier, Search):
            raise SettingsError(f"the tier {TIER} of the settings has no search")
        page = tier.search(query, limit=limit)
    finally:
        tier.close()
    if not page.orders:
        part = f"; a part of a number needs {LEAST_PART} characters" if number else ""
        show_error(UnknownOrder(f"no order of the {TIER} tier matches{part}"))
        sys.exit(NOT_FOUND)
    if as_json:
        for order in page.orders:
            show_json(msgspec.json.encode(order))
        return
    show_table(COLUMNS, [cells(order) for order in page.orders])
    show(f"written through {shown_ms(page.watermark)}")
    if page.after is not None:
        show(f"the first {limit}; --limit shows more")


def cells(order: OrderDocument) -> tuple[str, ...]:
    """A row of the table."""
    times = shown(order.promised_at), shown(order.updated_at)
    return order.order_id, order.status or "-", order.lane, *times, order.carrier or "-"
