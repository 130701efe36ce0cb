"""/metrics, /healthz and /readyz over HTTP, from a thread of their own.

/healthz returns 200 as long as the process answers at all. /readyz runs the checks and returns the
result of each by name with its reason, with status 503 when one fails:

    {"ready": false, "checks": {"broker": {"ok": false, "reason": "no answer for 12 s"}}}
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from schemas.display import printable_json
from schemas.errors import SettingsError
from schemas.settings.secrets import masked_text
from telemetry.scrape_target import ScrapeTarget

log = logging.getLogger(__name__)


class Finding(msgspec.Struct, frozen=True):
    """Result of a check; `reason` explains success and failure alike."""

    ok: bool
    reason: str


Check = Callable[[], Finding]
Answer = tuple[HTTPStatus, str, bytes]
JSON = "application/json"


class HealthServer:
    """Answers from `start` to `close`. Checks are called from other threads, several at a time."""

    def __init__(
        self,
        registry: CollectorRegistry,
        checks: Mapping[str, Check],
        host: str = "127.0.0.1",
        port: int = 0,
        target: ScrapeTarget | None = None,
    ) -> None:
        """Listen on `host` (loopback by default) and `port`; 0 lets the system choose one.

        `target` registers the address with Prometheus until `close`.

        Raises:
            SettingsError: the port is in use, or the host is no address of this machine.
        """
        self.registry = registry
        self.checks = dict(checks)
        self.host = host
        self.target = target
        try:
            self.server = Listener((host, port), self)
        except OSError as error:
            raise SettingsError(
                f"metrics and health: can't listen on {host}:{port}, {error.strerror or error}; "
                "choose another port, or 0 for any"
            ) from error
        self.thread = Thread(target=self._serve, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server.server_port

    def start(self) -> None:
        """Begin to answer."""
        self.thread.start()
        if self.target:
            self.target.put(self.host, self.port)

    def _serve(self) -> None:
        self.server.serve_forever(poll_interval=0.1)  # seconds until a close is noticed

    def close(self) -> None:
        """Stop answering and close the port."""
        if self.target:
            self.target.remove()
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
        self.server.server_close()

    def answer(self, path: str, accept: str) -> Answer:
        """(status, content type, body) of a request."""
        match path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return HTTPStatus.OK, content_type, encode(self.registry)
            case "/healthz":
                return HTTPStatus.OK, JSON, b'{"alive":true}\n'
            case "/readyz":
                return self.readiness()
            case _:
                paths = b'{"error":"not found","paths":["/metrics","/healthz","/readyz"]}\n'
                return HTTPStatus.NOT_FOUND, JSON, paths

    def readiness(self) -> Answer:
        """Build the answer to /readyz."""
        found = {name: asked(name, check) for name, check in self.checks.items()}
        ready = all(finding.ok for finding in found.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        page = printable_json(msgspec.json.encode({"ready": ready, "checks": found}))
        return status, JSON, page + b"\n"


def asked(name: str, check: Check) -> Finding:
    """Run a check; a check that raises counts as failed."""
    try:
        return check()
    except Exception as error:
        log.exception("readiness check %s failed", name)
        reason = masked_text(f"the check failed: {type(error).__name__}: {error}")
        return Finding(ok=False, reason=reason)


class Listener(ThreadingHTTPServer):
    """A thread per request, so that a slow client or check never holds up a probe."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: HealthServer) -> None:
        """Bind `address`; requests are answered by `health`."""
        self.health = health
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """Reads a request and hands it to the server's `health`."""

    server: Listener
    server_version = "ordertide"
    sys_version = ""
    timeout = 10  # seconds until a client has sent its request

    def do_GET(self) -> None:
        """Answer with the body."""
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._reply(with_body=False)

    def _reply(self, *, with_body: bool) -> None:
        accept = self.headers.get("Accept", "")
        status, content_type, body = self.server.health.answer(self.path, accept)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Probes come every few seconds: for the log they are details."""
        log.debug(format, *args)
