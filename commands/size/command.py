"""`ordertide size`: what an installation needs, worked out from measured unit costs."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from commands.size.figures import FIGURES, Figures, figures
from commands.size.model import Need, size
from commands.size.table import columns, each_part_once, figure_rows, markdown, rows
from telemetry.screen import show, show_table


@click.command("size")
@click.option(
    "--orders-per-day",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(1e6,),
    help="several give several columns [1e6]",
)
@click.option("--figures", "path", type=click.Path(path_type=Path), help="TOML file of figures")
@click.option("--set", "changed", multiple=True, metavar="NAME=VALUE", help="change one figure")
@click.option("--list", "is_list", is_flag=True, help="show the figures and where they are from")
@click.option("--json", "as_json", is_flag=True, help="for programs: bytes, counts, rates a second")
@click.option("--markdown", "as_markdown", is_flag=True, help="tables as in docs/scale.md")
def command(
    orders_per_day: tuple[float, ...],
    path: Path | None,
    changed: tuple[str, ...],
    *,
    is_list: bool,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Work out partitions, workers, memory, network, nodes, disk and cost.

    \b
    ordertide size --orders-per-day 10e6
    ordertide size --orders-per-day 1e6 --orders-per-day 100e6 --set rest_days=3
    ordertide size --list
    """
    given = figures(path, changed)
    if as_json:
        found = {"figures": given.values} if is_list else sizings(orders_per_day, given)
        show(json.dumps(found, indent=2))
        return
    table = figure_rows(given) if is_list else rows(orders_per_day, sized(orders_per_day, given))
    if as_markdown:
        show(markdown(table))
    else:
        show_table(columns(next(table)), each_part_once(table))


def sized(orders_per_day: Sequence[float], given: Figures) -> list[list[Need]]:
    """A sizing for each load."""
    return [size(orders, given) for orders in orders_per_day]


def sizings(orders_per_day: Sequence[float], given: Figures) -> dict[str, object]:
    """Sizings as plain values, with the figures that were changed."""
    shipped = {name: figure.value for name, figure in FIGURES.items()}
    found = []
    for orders, needs in zip(orders_per_day, sized(orders_per_day, given), strict=True):
        parts: dict[str, dict[str, float]] = {}
        for need in needs:
            parts.setdefault(need.part, {})[need.name] = need.value
        found.append({"orders_per_day": orders, **parts})
    yours = {name: value for name, value in given.values.items() if value != shipped[name]}
    return {"sizings": found, "changed_figures": yours}
