"""Output of commands: what is shown on a terminal, escaped (schemas/display.py).

A value that came from outside is escaped with `printable` where its line is made, since only there
a line end inside it differs from one between lines. What is left is escaped here.
"""

import shutil
import sys
import traceback
from collections.abc import Iterable, Sequence
from io import StringIO
from types import TracebackType
from typing import NamedTuple

import click

from schemas.display import printable, printable_json, printable_lines
from schemas.errors import OrdertideError
from schemas.settings.secrets import masked_text

UNLIMITED = 10**6


def show(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print lines of text, to standard error with `err`."""
    click.echo(printable_lines(text), err=err, nl=nl)


def show_json(data: bytes) -> None:
    """Print a JSON document."""
    click.echo(printable_json(data))


class Column(NamedTuple):
    """A column of a table: its head, numbers to the right, and its smallest width."""

    head: str = ""
    is_number: bool = False
    min_width: int = 0


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: on a terminal within its width, elsewhere a line a row."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    show(table_text(columns, rows, width))


def table_text(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int | None = None
) -> str:
    """The lines of a table. Cells longer than `width` allows are continued on further lines.

    Columns are as wide as their characters show: Chinese ones take two places. Each cell is
    escaped, and no cell is taken for markup. Without any head there is no line of heads.
    """
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    has_heads = any(column.head for column in columns)
    table = Table(box=None, pad_edge=False, show_header=has_heads)
    for column in columns:
        table.add_column(
            Text(printable(column.head)),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
            overflow="fold",
            min_width=column.min_width or None,
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    out = StringIO()
    console = Console(file=out, width=width or UNLIMITED, color_system=None, legacy_windows=False)
    if width is None:
        console.width = Measurement.get(console, console.options, table).maximum
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def show_error(error: OrdertideError) -> None:
    """Print an error to standard error, without the passwords that a client's text may hold."""
    click.echo(error_text(error), err=True)


def show_fault(
    kind: type[BaseException], fault: BaseException, trace: TracebackType | None
) -> None:
    """Print the trace of a fault of ours: its text may hold what came from outside."""
    text = "".join(traceback.format_exception(kind, fault, trace)).rstrip("\n")
    click.echo(printable_lines(masked_text(text)), err=True)


def error_text(error: OrdertideError) -> str:
    """An error as it may be shown, on one line unless it is made of several.

    Its notes follow in brackets.
    """
    text = masked_text(str(error))
    notes = "".join(f" ({printable(note)})" for note in getattr(error, "__notes__", ()))
    return f"ordertide: {printable_lines(text) if error.has_lines else printable(text)}{notes}"
