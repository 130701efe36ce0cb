"""A proxy with TLS and authentication before the stack's Elasticsearch, which has neither.

The jars that the stack runs come without the module that does both.
"""

import http.client
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from tests.support.tiers.certificates import Signed

KEPT = ("Content-Type", "X-Elastic-Product")
REFUSED = b'{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}'


class Proxy(ThreadingHTTPServer):
    """Lets through whose Authorization is one of `allowed`."""

    daemon_threads = True

    def __init__(self, behind: str, allowed: Collection[str], signed: Signed) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = urlsplit(behind).netloc
        self.allowed = allowed
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificate, signed.key)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that doesn't trust us breaks the handshake off: that is what is tested."""


class Handler(BaseHTTPRequestHandler):
    """Hands a request on and brings the answer back."""

    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") not in self.server.allowed:
            self.reply(401, {KEPT[0]: "application/json", KEPT[1]: "Elasticsearch"}, REFUSED)
            return
        headers = {k: v for k, v in self.headers.items() if k not in {"Authorization", "Host"}}
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = {name: answer.headers[name] for name in (*KEPT, "Content-Encoding")}
        self.reply(answer.status, kept, content)
        connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_any  # noqa: N815 - names of the base class

    def reply(self, status: int, headers: dict[str, str | None], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing is written to the terminal."""


@contextmanager
def tls_proxy(behind: str, allowed: Collection[str], signed: Signed) -> Iterator[str]:
    """The URL of a proxy before the server at the URL `behind`."""
    proxy = Proxy(behind, allowed, signed)
    thread = Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
