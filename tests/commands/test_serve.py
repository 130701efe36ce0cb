"""`ordertide serve` as a process: its link, its key, its readiness, and its end."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.produce import Producer
from commands.key import link
from commands.serve import check_reach
from commands.wiring.gateway import examples_of, parts_of
from deploy.installation import Tables, write_settings
from gateway.server import HEAD_BYTES
from schemas.errors import SettingsError
from schemas.settings.model import ServeSettings
from tests.support.alerts import overdue, produce
from tests.support.command import Command, broker_with_topics, leaving_none
from tests.support.waiting import wait_until


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Command]:
    with broker_with_topics() as broker, Producer(broker.connection) as producer:
        produce(producer, overdue("SO-1"))
        tables: Tables = {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "serve": {"port": 0, "folder": str(tmp_path / "serve")},
            "tiers": {"lookup": "warm"},
            "warm": {"folder": str(tmp_path / "warm")},
        }
        command = Command("serve", tmp_path, tables)
        with leaving_none([command]):
            yield command


def link_of(command: Command) -> tuple[int, str]:
    """(port, path) of the printed link."""
    found: list[tuple[str, str]] = []

    def is_printed() -> bool:
        assert command.running is not None
        assert command.running.poll() is None, command.output()
        found.extend(re.findall(r"Board  http://127\.0\.0\.1:(\d+)(/\S+)", command.output()))
        return bool(found)

    wait_until(is_printed, "the link", shown=command.output)
    return int(found[0][0]), found[0][1]


def another_link(settings: Path) -> str:
    """Output of `ordertide key link`."""
    printed = CliRunner().invoke(link, ["--settings", str(settings)])
    assert printed.exit_code == 0, printed.output
    return printed.output.strip()


def get(port: int, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_serves_by_its_key_and_its_link_and_ends_cleanly(serve: Command, tmp_path: Path) -> None:
    serve.start()
    port, path = link_of(serve)
    key = (tmp_path / "serve" / "admin-key").read_text().strip()
    wait_until(lambda: serve.get("/readyz").status == 200, "ready", shown=serve.output)
    answer, body = get(port, "/v1/lanes", Authorization=f"Bearer {key}")
    assert answer.status == 200
    assert b'"overdue":{"orders":1' in body
    signed_in, _ = get(port, path)
    assert signed_in.status == 303
    cookie = str(signed_in.getheader("set-cookie")).partition(";")[0]
    me, body = get(port, "/v1/me", Cookie=cookie)
    assert (me.status, b'"admin"' in body) == (200, True)
    assert get(port, path)[0].status == 401, "a code works once"
    _, _, another = another_link(serve.settings).partition("/sign-in")
    assert get(port, f"/sign-in{another}")[0].status == 303
    metrics = serve.get("/metrics").body
    assert 'ordertide_live_view_orders{lane="overdue"} 1.0' in metrics
    assert 'ordertide_http_requests_total{method="GET",route="/v1/lanes",status="200"}' in metrics
    assert key not in serve.output()
    assert serve.end() == 0, serve.output()


def test_a_taken_port_of_metrics_is_named_and_all_that_was_opened_is_closed(
    serve: Command,
) -> None:
    with socket.create_server(("127.0.0.1", serve.port)):
        serve.start()
        assert serve.exit_code() != 0
    (line,) = serve.output().splitlines()
    assert f"can't listen on 127.0.0.1:{serve.port}" in line


def test_ctrl_c_ends_it_and_a_head_without_an_end_is_closed(serve: Command) -> None:
    serve.start()
    port, _ = link_of(serve)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * (HEAD_BYTES + 1000))
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert slow.recv(100) == b""  # closed after five seconds
    assert serve.end(signal.SIGINT) == 0, serve.output()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        (ServeSettings(host="0.0.0.0"), "serve.behind_proxy"),  # noqa: S104 - refused
        (ServeSettings(tls_certificate="c.pem"), "belong together"),
    ],
)
def test_an_address_that_others_reach_needs_tls(settings: ServeSettings, part: str) -> None:
    with pytest.raises(SettingsError, match=part):
        check_reach(settings)
    for host in ("127.0.0.1", "::1", "localhost"):
        check_reach(ServeSettings(host=host))
    check_reach(ServeSettings(host="0.0.0.0", behind_proxy="10.0.0.0/8"))  # noqa: S104 - behind one


def test_a_link_needs_a_folder_that_serve_has_used(tmp_path: Path) -> None:
    settings = write_settings(tmp_path / "o.toml", {"serve": {"folder": str(tmp_path / "none")}})
    refused = CliRunner().invoke(link, ["--settings", str(settings)])
    assert "no 'ordertide serve' was started with it yet" in str(refused.exception)


def test_an_unknown_part_is_named() -> None:
    assert parts_of(ServeSettings(parts="api, board")) == {"api", "board"}
    with pytest.raises(SettingsError, match="pages is no part"):
        parts_of(ServeSettings(parts="api,pages"))


def test_examples_have_a_text_and_lead_to_a_page_of_the_board() -> None:
    assert examples_of({"late": "/orders/SO-1?tenant=acme"})
    with pytest.raises(SettingsError, match="lost: no such example; write one of"):
        examples_of({"lost": "/orders/SO-1"})
    for elsewhere in ("https://evil.example/", "//evil.example", "orders/SO-1"):
        with pytest.raises(SettingsError, match=r"late: .* is no page of the board"):
            examples_of({"late": elsewhere})
