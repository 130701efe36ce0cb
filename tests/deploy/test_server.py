"""A server is started, killed and started again; shown on Redis, which takes milliseconds."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.stack.errors import NoAnswer, StackError
from deploy.stack.ports import HOST
from deploy.stack.programs import find
from deploy.stack.redis import Redis

pytestmark = pytest.mark.skipif(find("redis-server") is None, reason="no redis-server on the PATH")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as server:
        yield server


def client_of(server: Redis) -> redis.Redis:
    return redis.Redis.from_url(server.address["url"])


def test_it_comes_back_after_a_kill_with_its_data_on_its_port(server: Redis) -> None:
    before = server.address
    with client_of(server) as client:
        client.set("order", "found")
    server.kill()
    with pytest.raises(NoAnswer):
        server.ask()
    server.start()
    server.wait()
    assert server.address == before
    with client_of(server) as client:
        assert client.get("order") == b"found"


def test_starting_it_again_changes_nothing(server: Redis) -> None:
    process = server.process()
    server.start()
    assert server.process() == process
    with client_of(server) as client:
        assert process is not None
        assert client.info()["process_id"] == process.pid


def test_whoever_knows_its_folder_can_stop_it(server: Redis) -> None:
    same = Redis(server.folder)
    assert same.address == server.address
    same.stop()
    assert server.process() is None


def test_stopping_what_does_not_run_is_fine(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    server.stop()
    server.kill()
    assert server.process() is None


def test_a_server_that_ends_slowly_is_given_its_time_and_then_killed(server: Redis) -> None:
    for timeout_s, farewells in ((60.0, 1), (0.1, 1)):
        server.start()
        server.wait()
        process = server.process()
        assert process is not None
        process.send(signal.SIGSTOP)  # it takes the SIGTERM once it is continued
        later = threading.Timer(1.0, process.send, (signal.SIGCONT,))
        later.start()
        server.stop(timeout_s)
        later.join()
        assert server.process() is None
        assert server.log.read_text().count("ready to exit, bye bye") == farewells


def test_a_process_that_took_over_the_pid_is_left_alone(server: Redis, tmp_path: Path) -> None:
    other = Redis(tmp_path / "other")
    record = json.loads((server.folder / "process.json").read_text())
    boot, _, ticks = record["started"].partition("/")
    record["started"] = f"{boot}/{int(ticks) - 1}"
    (other.folder / "process.json").write_text(json.dumps(record))
    assert other.process() is None
    other.kill()
    server.ask()


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    port = server.ports["port"]
    with (
        socket.create_server((HOST, port)),
        pytest.raises(StackError, match=rf"redis: .* port {port}; .* remove .*ports\.json"),
    ):
        server.start()


def test_a_server_that_ends_at_once_is_shown_with_its_own_words(tmp_path: Path) -> None:
    server = Redis(tmp_path, options={"maxmemory": "plenty"})
    server.start()
    with pytest.raises(StackError, match=r"(?s)redis ended: .*maxmemory.*server\.log"):
        server.wait()


def test_options_replace_the_defaults(tmp_path: Path) -> None:
    with Redis(tmp_path, options={"appendonly": "no"}) as server, client_of(server) as client:
        assert client.config_get("appendonly") == {"appendonly": "no"}


def test_a_server_with_a_password_is_waited_for(tmp_path: Path) -> None:
    with Redis(tmp_path, options={"requirepass": "made-up"}) as server:
        server.ask()
