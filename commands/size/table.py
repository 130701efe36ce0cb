"""A sizing as a table: for a terminal, for Markdown, and as plain values."""

import math
from collections.abc import Iterable, Iterator, Sequence

from commands.size.figures import FIGURES, Figures
from commands.size.model import Need
from telemetry.screen import Column

PREFIXES = ("", "k", "M", "G", "T", "P", "E")
SIGNIFICANT = 3
MILLION = 10**6
Row = tuple[str, ...]


def shown(need: Need) -> str:
    """A value with its unit, three digits: `4.05 TB`, `12`, `8,420 USD`, `71 %`."""
    if need.unit in {"B", "B/s"}:
        scaled, prefix = scale(need.value)
        return f"{rounded(scaled)} {prefix}{need.unit}"
    if need.unit in {"USD", "%"}:
        return f"{need.value:,.0f} {need.unit}"
    if need.value >= MILLION:
        scaled, prefix = scale(need.value)
        return f"{rounded(scaled)} {prefix}{need.unit}".rstrip()
    return f"{need.value:,.0f}{need.unit}"


def scale(value: float) -> tuple[float, str]:
    """(value, prefix) by powers of a thousand."""
    power = min(int(math.log10(value) // 3), len(PREFIXES) - 1) if value >= 1 else 0
    return value / 1000**power, PREFIXES[power]


def rounded(value: float) -> str:
    """Three significant digits."""
    digits = max(SIGNIFICANT - 1 - int(math.log10(value)), 0) if value >= 1 else SIGNIFICANT - 1
    return f"{value:,.{digits}f}"


def rows(orders_per_day: Sequence[float], sizings: Sequence[list[Need]]) -> Iterator[Row]:
    """A head, and a row for each need: part, what, a column for each load, how it is reckoned."""
    loads = (
        f"{rounded(scale(orders)[0])}{scale(orders)[1]} orders/day" for orders in orders_per_day
    )
    yield ("", "", *loads, "how")
    for needs in zip(*sizings, strict=True):
        first = needs[0]
        yield (first.part, first.name, *map(shown, needs), first.how)


def columns(head: Row) -> list[Column]:
    """The columns of a table with this head, for a terminal: two of texts, numbers, a text."""
    last = len(head) - 1
    return [Column(name, is_number=1 < at < last) for at, name in enumerate(head)]


def each_part_once(table: Iterable[Row]) -> Iterator[Row]:
    """The rows of a table, where the first cell is left out if it is that of the row before."""
    before = ""
    for first, *others in table:
        yield (first if first != before else "", *others)
        before = first


def markdown(table: Iterable[Row]) -> str:
    """The same as a Markdown table."""
    head, *held = table
    rule = ["---", "---", *("--:" for _ in head[2:-1]), "---"]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, tuple(rule), *held))


def figure_rows(given: Figures) -> Iterator[Row]:
    """Every figure in force: name, value, unit, source."""
    yield ("figure", "unit", "value", "source")
    for name, figure in FIGURES.items():
        value = given.values[name]
        source = figure.source if value == figure.value else "yours"
        yield (name, figure.unit, f"{value:,g}", source)
