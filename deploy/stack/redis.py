"""Redis: one server, which keeps what it has acknowledged."""

from collections.abc import Mapping
from pathlib import Path

from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from deploy.stack.errors import NoAnswer
from deploy.stack.ports import HOST
from deploy.stack.programs import path_of
from deploy.stack.server import Server

ASK_TIMEOUT_S = 2.0
DEFAULT_OPTIONS = {
    # On the disk before it is acknowledged. With everysec Redis puts a write off for up to 2 s
    # while an fsync is under way, and acknowledges it anyway: kill -9 would lose it.
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
}


class Redis(Server):
    """A server with one append-only file. `options` replace ours, by their names in redis.conf."""

    label = "redis"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        log: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, {"port": port}, log)
        self.options = {**DEFAULT_OPTIONS, **(options or {})}

    @property
    def address(self) -> dict[str, str]:
        """`url`, with database 0."""
        return {"url": f"redis://{HOST}:{self.ports['port']}/0"}

    def needs(self) -> list[str]:
        """The server."""
        return ["redis-server"]

    def prepare(self) -> None:
        """Make the folder for its data."""
        (self.folder / "data").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        """The server, configured by arguments alone."""
        placed = {"bind": HOST, "port": str(self.ports["port"]), "dir": str(self.folder / "data")}
        options = [
            part for key, value in (placed | self.options).items() for part in (f"--{key}", value)
        ]
        return [path_of("redis-server"), *options]

    def ask(self) -> None:
        """Send a PING; while it loads its file it answers with an error.

        Raises:
            NoAnswer: it doesn't answer.
        """
        client = Client(
            host=HOST,
            port=self.ports["port"],
            password=self.options.get("requirepass"),
            socket_timeout=ASK_TIMEOUT_S,
            socket_connect_timeout=ASK_TIMEOUT_S,
            retry=Retry(NoBackoff(), retries=0),  # by default it waits seconds before it fails
        )
        try:
            client.ping()
        except (AuthenticationError, NoPermissionError):
            return  # it answers: the rights of custom users don't matter here
        except RedisError as error:
            raise NoAnswer(str(error)) from error
        finally:
            client.close()
