"""The HTTP client: request targets, kept connections, and what a status is about."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from schemas.errors import SettingsError
from telemetry.http_client import HttpClient, HttpFailed


class Handler(BaseHTTPRequestHandler):
    """Answers with the request target, and closes the connection if the server says so."""

    protocol_version = "HTTP/1.1"
    server: "Listener"

    def do_GET(self) -> None:
        server = self.server
        server.targets.append(self.path)
        server.connections.add(self.client_address[1])
        body = self.path.encode()
        self.send_response(server.status)
        for name, value in {"Content-Length": str(len(body)), **server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if server.is_hanging_up:  # without the header that would announce it
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Listener(ThreadingHTTPServer):
    """A server on loopback. It notes the targets, and the clients' ports."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.is_hanging_up = False
        self.targets: list[str] = []
        self.connections: set[int] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    yield listener
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "", "/"),
        ("/", "", "/"),
        ("/hook/", "", "/hook/"),
        ("/hook?room=7", "", "/hook?room=7"),
        ("?room=7", "", "/?room=7"),
        ("/prefix/", "/api", "/prefix/api"),
        ("/prefix?token=t", "/api?query=1", "/prefix/api?query=1&token=t"),
    ],
)
def test_path_and_query_of_the_address_are_kept(
    server: Listener, base: str, path: str, target: str
) -> None:
    client = HttpClient(f"{server.url}{base}")
    assert client.request("GET", path).body.decode() == target
    client.close()


def test_requests_share_one_connection(server: Listener) -> None:
    client = HttpClient(server.url)
    for _ in range(3):
        client.request("GET", "/")
    client.close()
    assert len(server.connections) == 1


def test_a_connection_that_the_server_closed_while_idle_is_no_failure(server: Listener) -> None:
    server.is_hanging_up = True
    client = HttpClient(server.url)
    for _ in range(3):
        client.request("GET", "/")
    client.close()
    assert len(server.targets) == 3


@pytest.mark.parametrize(
    ("status", "about"),
    [
        (400, "body"), (413, "body"), (422, "body"), (401, "client"), (403, "client"),
        (429, "server"), (500, "server"), (503, "server"), (301, ""), (404, ""), (418, ""),
    ],
)  # fmt: skip
def test_a_status_says_what_the_failure_is_about(server: Listener, status: int, about: str) -> None:
    server.status = status
    client = HttpClient(server.url)
    with pytest.raises(HttpFailed, match=f"answers {status}: /x") as failed:
        client.request("GET", "/x")
    client.close()
    found = {
        "body": failed.value.is_about_the_body,
        "client": failed.value.is_about_the_client,
        "server": failed.value.is_about_the_server,
    }
    assert [name for name, is_so in found.items() if is_so] == ([about] if about else [])


@pytest.mark.parametrize(("after", "wait_s"), [("7", 7.0), ("", None), ("Fri, 13", None)])
def test_a_server_may_ask_to_come_back_later(
    server: Listener, after: str, wait_s: float | None
) -> None:
    server.status, server.headers = 503, {"Retry-After": after}
    client = HttpClient(server.url)
    with pytest.raises(HttpFailed) as failed:
        client.request("GET")
    client.close()
    assert failed.value.retry_after_s == wait_s


def test_no_answer_has_no_status() -> None:
    with pytest.raises(HttpFailed, match="no answer") as failed:
        HttpClient("http://127.0.0.1:1").request("GET")
    assert (failed.value.status, failed.value.is_about_the_server) == (0, True)


def test_user_password_and_query_are_not_shown() -> None:
    client = HttpClient("http://user:geheim@127.0.0.1:1/x?token=geheim2")
    with pytest.raises(HttpFailed) as failed:
        client.request("GET")
    assert "http://127.0.0.1:1/x:" in str(failed.value)
    assert "geheim" not in str(failed.value)


@pytest.mark.parametrize(
    "url", ["http://u:ge#heim@host", "http://u:geheim@host:port", "u:geheim@h"]
)
def test_a_password_in_an_address_that_is_none_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="here: ") as refused:
        HttpClient(url, setting="here")
    assert "heim" not in str(refused.value)
