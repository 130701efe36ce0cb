"""Server of the stack: start, wait, kill, stop, and restart."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import ClassVar, Self

import msgspec

from deploy.stack.errors import NoAnswer, StackError
from deploy.stack.ports import HOST, is_free, kept_ports
from deploy.stack.process import Process, spawn
from deploy.stack.programs import require
from telemetry.http_client import HttpClient, HttpFailed

POLL_S = 0.05
STOP_TIMEOUT_S = 30.0
LAST_BYTES = 1500
HTTP_TIMEOUT_S = 2.0


class Server(ABC):
    """One server on loopback. Its data, its ports and its process lie in a folder of its own.

    Another `Server` made with the same folder, by any process, means the same server: so it can be
    stopped by another process than its starter, and restarted with the data and ports it had.
    As a context manager it runs, answering, for the length of the block.
    """

    label: ClassVar[str]

    def __init__(
        self, folder: Path, ports: Mapping[str, int | None], log: Path | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = (log or self.folder / "server.log").absolute()
        self.ports = kept_ports(self.folder / "ports.json", ports)
        self._record = self.folder / "process.json"

    @property
    @abstractmethod
    def address(self) -> dict[str, str]:
        """Addresses for clients, as in stack.json."""

    @abstractmethod
    def needs(self) -> list[str]:
        """The programs without which it can't be started as things are."""

    @abstractmethod
    def prepare(self) -> None:
        """Fetch what it needs, write its configuration, and format its data where it is new."""

    @abstractmethod
    def command(self) -> list[str]:
        """Command that runs it in the foreground."""

    @abstractmethod
    def ask(self) -> None:
        """One call with the server's real client.

        Raises:
            NoAnswer: with the client's reason.
        """

    def environment(self) -> dict[str, str]:
        """Variables for it beside our own."""
        return {}

    def process(self) -> Process | None:
        """The process that was started last, if it still runs."""
        if not self._record.exists():
            return None
        process = msgspec.json.decode(self._record.read_bytes(), type=Process)
        return process if process.is_running() else None

    def start(self) -> None:
        """Start it; nothing happens where it runs. Returns before it answers: see `wait`.

        Raises:
            StackError: a program is missing, a download fails or a port is taken.
        """
        if self.process() is not None:
            return
        require(self.needs())
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._check_ports()
        process = spawn(self.command(), self.log, self.folder, self.environment())
        self._record.write_bytes(msgspec.json.encode(process))

    def wait(self, timeout_s: float = 60.0) -> None:
        """Wait until it answers its real client.

        Raises:
            StackError: it ended, or doesn't answer in time; with the end of its log.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                return self.ask()
            except NoAnswer as reason:
                if self.process() is None:
                    raise StackError(f"{self.label} ended: {self._last_words()}") from reason
                if time.monotonic() > deadline_s:
                    raise StackError(
                        f"{self.label} doesn't answer after {timeout_s:.0f} s ({reason}): "
                        f"{self._last_words()}"
                    ) from reason
            time.sleep(POLL_S)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL), and wait until it is gone."""
        self._end(SIGKILL)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop it with SIGTERM and wait for its end; after `timeout_s` it is killed."""
        if not self._end(SIGTERM, timeout_s):
            self.kill()

    def _end(self, number: Signals, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        process = self.process()
        if process is None or not process.send(number):
            return True
        return process.wait(timeout_s)

    def _check_ports(self) -> None:
        taken = [port_text(name, port) for name, port in self.ports.items() if not is_free(port)]
        if taken:
            raise StackError(
                f"{self.label}: another process listens on {HOST}: {', '.join(taken)}; "
                f"end it, or remove {self.folder / 'ports.json'} to pick others"
            )

    def _last_words(self) -> str:
        last_output = self.log.read_bytes()[-LAST_BYTES:].decode("utf-8", "replace").strip()
        return f"{last_output or 'it printed nothing'} (the whole log is {self.log})"

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait()
        except StackError:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def http_get(url: str) -> bytes:
    """GET from a server whose real client is HTTP itself; the body of a 2xx answer.

    Raises:
        NoAnswer: no connection, or another status; with the beginning of what came instead.
    """
    with closing(HttpClient(url, timeout_s=HTTP_TIMEOUT_S)) as client:
        try:
            return client.request("GET").body
        except HttpFailed as failed:
            raise NoAnswer(str(failed)) from failed


def port_text(name: str, port: int) -> str:
    """`port 9092`, or `web port 9870` of a server with several."""
    return f"port {port}" if name == "port" else f"{name} port {port}"
