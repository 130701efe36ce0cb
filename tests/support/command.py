"""A command of ordertide as a process, with a settings file and a log of its own."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.embedded import EmbeddedBroker
from deploy.installation import ROOT, Answer, Process, Tables, command_line, get, write_settings
from deploy.stack.ports import free_port
from schemas.topics import TOPICS

END_WITHIN_S = 60.0


class Command:
    """`ordertide NAME --settings FILE`, which can be started again and again in `folder`."""

    def __init__(self, name: str, folder: Path, tables: Tables) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = free_port()
        file = name.replace(" ", "-")
        self.log = folder / f"{file}.log"
        self.running: Process | None = None
        self.environment: dict[str, str] = {}
        telemetry = {"port": self.port, "logs": "text", "level": "WARNING"}
        self.settings = write_settings(folder / f"{file}.toml", {**tables, "telemetry": telemetry})

    def start(self) -> None:
        self.running = Process(
            command_line(*self.name.split(), settings=self.settings),
            self.log,
            folder=ROOT,
            environment=self.environment,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        assert self.running is not None
        self.running.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait until it ends by itself."""
        assert self.running is not None
        return self.running.wait(END_WITHIN_S)

    def output(self) -> str:
        return self.log.read_text("utf-8")

    def get(self, path: str) -> Answer:
        """Status and body of what it answers over HTTP."""
        return get(self.port, path)


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


@contextmanager
def broker_with_topics() -> Iterator[EmbeddedBroker]:
    """An embedded broker that has all topics."""
    with EmbeddedBroker() as embedded:
        for topic in TOPICS:
            embedded.create(topic.name)
        yield embedded
