"""Progress of the servers: a table that changes on a terminal, else a line per step."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deploy.stack.stack import OnStep, Step
from schemas.display import printable
from telemetry.screen import show

MEBIBYTE = 1024 * 1024


@contextmanager
def progress(names: Sequence[str]) -> Iterator[OnStep]:
    """Yield the callback for a service's steps, safe from any thread."""
    if not sys.stdout.isatty():
        yield _lines(max(map(len, names)))
        return
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.fields[service]:<14}"))
    with Progress(*columns, TextColumn("{task.description}"), TimeElapsedColumn()) as shown:
        tasks: dict[str, TaskID] = {}

        def tell(step: Step) -> None:
            if step.service not in tasks:
                tasks[step.service] = shown.add_task("", service=step.service, total=1)
            done = int(step.is_last)
            text = escape(printable(step.text))
            shown.update(tasks[step.service], description=text, completed=done)

        yield tell


def size_text(size_bytes: int) -> str:
    """A size for people; empty for none."""
    return f"{size_bytes / MEBIBYTE:,.0f} MiB" if size_bytes else ""


def _lines(width: int) -> OnStep:
    lock = threading.Lock()

    def tell(step: Step) -> None:
        with lock:  # two threads' lines would else mix
            show(f"{step.service:<{width}}  {step.text}")

    return tell
