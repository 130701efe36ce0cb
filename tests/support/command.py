"""A command of ordertide as a process, with a settings file and a log of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from deploy.stack.ports import free_port
from tests.support.engine import ROOT

Tables = Mapping[str, Mapping[str, Any]]


class Command:
    """`ordertide NAME --settings FILE`, which can be started again and again in `folder`."""

    def __init__(self, name: str, folder: Path, tables: Tables) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = free_port()
        self.settings = folder / f"{name}.toml"
        self.log = folder / f"{name}.log"
        self.running: subprocess.Popen[bytes] | None = None
        telemetry = {"port": self.port, "logs": "text", "level": "WARNING"}
        self.settings.write_text(to_toml({**tables, "telemetry": telemetry}), "utf-8")

    def start(self) -> None:
        arguments = [sys.executable, "run.py", self.name, "--settings", str(self.settings)]
        with self.log.open("ab") as said:
            self.running = subprocess.Popen(arguments, cwd=ROOT, stdout=said, stderr=said)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        assert self.running is not None
        self.running.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait until it ends by itself."""
        assert self.running is not None
        return self.running.wait(60)

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of what it answers over HTTP."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def leaving_none(commands: Iterable[Command]) -> Iterator[None]:
    """Leave none of them running."""
    try:
        yield
    finally:
        for command in commands:
            if command.running is not None:
                command.running.kill()  # does nothing to one that has ended
                command.running.wait()


def to_toml(tables: Tables) -> str:
    """TOML of tables of plain values, whose JSON is the same."""
    return "\n".join(
        line
        for name, table in tables.items()
        for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()))
    )
