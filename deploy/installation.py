"""An installation: one settings file, and the processes of `ordertide` that use it.

The demo, the benchmarks and the tests install through this file. Door: `Installation`, whose
`start` returns a `Process`: a `Popen` that has a log and knows the port of its telemetry server.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from schemas.errors import OrdertideError
from schemas.private_files import private_binary, private_text

ROOT = Path(__file__).resolve().parents[1]  # holds run.py: the checkout, or site-packages
RUN = (sys.executable, str(ROOT / "run.py"))
PORT_VARIABLE = "ORDERTIDE_TELEMETRY_PORT"
STOP_WITHIN_S = 20.0
ANSWER_WITHIN_S = 10.0
POLL_S = 0.1
TAIL_LINES = 25

Tables = Mapping[str, Mapping[str, object]]


class ProcessEnded(OrdertideError):
    """A process of an installation ended although it should run, or is not ready in time."""

    has_lines = True  # the end of its log


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: str


# ---------------------------------------------------------------- settings
def write_settings(path: Path, tables: Tables, heading: str = "") -> Path:
    """Write a settings file, readable by its owner only; `heading` becomes a comment."""
    with private_text(path) as file:
        file.write((f"# {heading}\n" if heading else "") + to_toml(tables))
    return path


def to_toml(tables: Tables) -> str:
    """TOML of tables by name; their values are those of JSON but for null."""
    sections = (
        [f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
        for name, table in tables.items()
    )
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def toml_value(value: object) -> str:
    """A value on one line; a mapping becomes an inline table."""
    if isinstance(value, Mapping):
        pairs = (f"{toml_value(str(key))} = {toml_value(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    # TOML has JSON's escapes, but no pairs of surrogates, and wants DEL escaped.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


# ---------------------------------------------------------------- processes
def command_line(*words: str, settings: Path, program: Sequence[str] = RUN) -> list[str]:
    """The command line of `ordertide WORDS --settings FILE`."""
    return [*program, *words, "--settings", str(settings)]


class Process(subprocess.Popen[bytes]):
    """A running command. All that it prints is appended to `log`; messages name it after that.

    `environment` is added to our own; it runs in `folder`, by default in ours. `port` is that of
    its telemetry server. `has_session`: it leads a session of its own, out of reach of Ctrl-C.
    `is_leashed`: that too, and its standard input is a pipe whose other end only we hold, for a
    command that calls `telemetry.child_process.end_with_parent`.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        port: int = 0,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        has_session: bool = False,
        is_leashed: bool = False,
    ) -> None:
        self.log = log
        self.name = log.stem.replace("-", " ")  # write-warm.log: `write warm`
        self.port = port
        with private_binary(log, "ab") as stream:
            super().__init__(
                command,
                cwd=folder,
                stdin=subprocess.PIPE if is_leashed else None,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **(environment or {})},
                start_new_session=has_session or is_leashed,
            )

    def check(self) -> None:
        """Check that it runs.

        Raises:
            ProcessEnded: with the exit code and the end of its log.
        """
        if self.poll() is not None:
            raise ProcessEnded(
                f"{self.name} ended with exit code {self.returncode}; "
                f"the end of {self.log}:\n{self.log_tail()}"
            )

    def stop(self, timeout_s: float = STOP_WITHIN_S) -> int:
        """Signal it to end, and kill it where it does not in time; the exit code."""
        self.terminate()  # does nothing to one that has ended
        return self.wait_or_kill(timeout_s)

    def wait_or_kill(self, timeout_s: float) -> int:
        """Wait for its end, and kill it where it does not end in time; the exit code."""
        try:
            self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
        if self.stdin is not None:
            self.stdin.close()
        return self.returncode

    def log_text(self) -> str:
        """Output of this run and those before."""
        return self.log.read_text("utf-8", "replace")

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its log."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until /readyz says that all its checks pass.

        Raises:
            ProcessEnded: it ended, or is not ready in time.
        """
        give_up_at_s = time.monotonic() + timeout_s
        while (answer := self._readiness()).status != HTTPStatus.OK:
            self.check()
            if time.monotonic() > give_up_at_s:
                raise ProcessEnded(
                    f"{self.name} is not ready after {timeout_s:g} s: {answer.body}; "
                    f"the end of {self.log}:\n{self.log_tail()}"
                )
            time.sleep(POLL_S)

    def _readiness(self) -> Answer:
        try:
            return get(self.port, "/readyz")
        except OSError as error:  # nobody listens yet
            return Answer(0, str(error))


def get(port: int, path: str) -> Answer:
    """The answer of a server on this machine, whatever its status.

    Raises:
        OSError: nobody listens, or there is no answer.
    """
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_WITHIN_S) as answer:
            return Answer(answer.status, answer.read().decode())
    except HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.read().decode("utf-8", "replace"))
    except HTTPException as error:
        raise ConnectionError(f"port {port}: half an answer: {error}") from error


def metrics_at(port: int) -> dict[str, float]:
    """The samples at /metrics of a port, by name and labels.

    Raises:
        OSError: nobody listens, or there is no answer.
    """
    lines = get(port, "/metrics").body.splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


# ---------------------------------------------------------------- all of them
class Installation:
    """The processes over one settings file; each has a log in `logs`, named after its command.

    They run in `folder`, by default in ours. `program` runs instead of run.py; `is_leashed` is
    that of `Process`.
    """

    def __init__(
        self,
        settings: Path,
        logs: Path,
        *,
        folder: Path | None = None,
        program: Sequence[str] = RUN,
        is_leashed: bool = False,
    ) -> None:
        self.settings = settings
        self.logs = logs
        self.folder = folder
        self.program = program
        self.is_leashed = is_leashed
        self.environment = {"PYTHONPATH": str(ROOT)} if folder else {}
        self.processes: list[Process] = []

    def start(
        self, *words: str, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Run `ordertide WORDS`; its log has the name of the words before the first option.

        `environment` is for this process alone, such as a secret.
        """
        name = "-".join(takewhile(lambda word: not word.startswith("-"), words))
        process = Process(
            command_line(*words, settings=self.settings, program=self.program),
            self.logs / f"{name}.log",
            port=port,
            folder=self.folder,
            environment={**self.environment, **(environment or {}), PORT_VARIABLE: str(port)},
            is_leashed=self.is_leashed,
        )
        self.processes.append(process)
        return process

    def check(self) -> None:
        """Check that all of them run; raises `ProcessEnded`."""
        for process in self.processes:
            process.check()

    def stop(self, timeout_s: float = STOP_WITHIN_S) -> None:
        """Signal all of them to end, in the order of their starts; kill those that are late."""
        for process in self.processes:
            process.terminate()  # does nothing to one that has ended
        for process in self.processes:
            process.wait_or_kill(timeout_s)
        self.processes.clear()
