"""The demo's processes: the dataflow and a writer per tier, started, watched and stopped."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from schemas.errors import OrdertideError
from schemas.private_files import private_binary, private_folder
from telemetry.child_process import close_input, start_child

STOP_TIMEOUT_S = 20.0
TAIL_LINES = 15


class PartDied(OrdertideError):
    """A process of the demo ended although it should run."""

    has_lines = True  # the end of its log


class Part:
    """One running command; what it prints goes to `log`."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        with private_binary(log) as stream:
            # A session of its own: Ctrl-C in a terminal is for us, and we stop the parts in order.
            self.process = start_child(
                [sys.executable, "-m", "commands.demo.process", *arguments],
                stdout=stream,
                stderr=stream,
                is_own_session=True,
            )

    def check(self) -> None:
        """Check that it runs.

        Raises:
            PartDied: with the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise PartDied(
                f"{self.name} ended with exit code {code}; the end of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:])

    def tell_to_stop(self) -> None:
        """Signal it to end; doesn't wait."""
        self.process.terminate()

    def await_end(self) -> None:
        """Wait for its end; one that doesn't end in time is killed."""
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        close_input(self.process)


class Parts:
    """All of them, between `with` and its end."""

    def __init__(self, settings: Path, logs: Path, tiers: Iterable[str]) -> None:
        private_folder(logs)
        file = ("--settings", str(settings))
        commands: dict[str, Sequence[str]] = {"track": ("track", *file)}
        commands |= {f"write {tier}": ("write", tier, *file) for tier in tiers}
        self.parts = [
            Part(name, arguments, logs / f"{name.replace(' ', '-')}.log")
            for name, arguments in commands.items()
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Check that all run; raises `PartDied`."""
        for part in self.parts:
            part.check()

    def stop(self) -> None:
        """End them all."""
        for part in self.parts:
            part.tell_to_stop()
        for part in self.parts:
            part.await_end()
