"""Server: the application over HTTP, in the main thread, until the process is to stop.

uvicorn serves it. Added are the limits that uvicorn lacks: the time and the size that the head of a
request may take. A connection that exceeds them is closed.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.certificate import PemFiles
from schemas.errors import SettingsError

HEAD_BYTES = 16_384
HEAD_WITHIN_S = 5.0
MOST_CONNECTIONS = 2_000
STOP_WITHIN_S = 5
BACKLOG = 2_048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, whose connections send what is written at once.

    asyncio turns Nagle's algorithm off for sockets of its own alone. With it the body of an answer
    waits until the client has acknowledged the head, which takes 40 ms.

    Raises:
        SettingsError: the port is taken, or the host isn't ours.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"serve: can't listen on {host}:{port}, {error.strerror or error}; set serve.port to "
            "another port, or to 0 for any"
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
    return listener


def serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: Event,
    ending: Callable[[], None],
    certificate: PemFiles | None = None,
) -> None:
    """Serve until `stop` is set; requests that run then have five seconds to end.

    `ending` is called first: it ends what would go on for ever.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    asyncio.run(Server(config, stop, ending).serve(sockets=[listener]))


class Server(uvicorn.Server):
    """A server that ends when an event is set; signals are the command's."""

    def __init__(self, config: uvicorn.Config, stop: Event, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self.stop = stop
        self.ending = ending

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return True once it is to end; called ten times a second."""
        if self.stop.is_set() and not self.should_exit:
            self.ending()
            self.should_exit = True
        return await super().on_tick(counter)


class Protocol(HttpToolsProtocol):
    """A connection whose request heads are bounded in size and time."""

    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_has_come()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; a head that grows too large closes the connection."""
        if self._is_in_head():
            self._head_bytes += len(data)
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)
        super().data_received(data)
        if self._is_in_head() and self._head_bytes > HEAD_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head has come whole."""
        self._head_has_come()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Begin to count the next head."""
        self._head_bytes = 0
        super().on_response_complete()

    def _is_in_head(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _head_has_come(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
