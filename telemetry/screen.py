"""Output of commands: what is shown on a terminal, escaped (schemas/display.py).

A value that came from outside is escaped with `printable` where its line is made, since only there
a line end inside it differs from one between lines. What is left is escaped here.
"""

import traceback
from types import TracebackType

import click

from schemas.display import printable, printable_json, printable_lines
from schemas.errors import OrdertideError
from schemas.settings.secrets import masked_text


def show(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print lines of text, to standard error with `err`."""
    click.echo(printable_lines(text), err=err, nl=nl)


def show_json(data: bytes) -> None:
    """Print a JSON document."""
    click.echo(printable_json(data))


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
    """An error as it may be shown, on one line unless it is made of several."""
    text = masked_text(str(error))
    return f"ordertide: {printable_lines(text) if error.has_lines else printable(text)}"
