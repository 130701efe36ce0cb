"""`ordertide stack`: brings up what isn't, and takes down what it brought up and nothing else."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.stack.programs import find
from deploy.stack.services import SERVICES, StackFolder
from deploy.stack.stack import down
from tests.support import stack

ROOT = Path(__file__).resolve().parents[2]
needs_redis = pytest.mark.skipif(find("redis-server") is None, reason="no redis-server on the PATH")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A stack's folder; what still runs at the end is taken down."""
    folder = tmp_path / "stack"
    yield folder
    down(StackFolder(folder), SERVICES, lambda _: None)


def ordertide(
    folder: Path, step: str, *arguments: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a step of `ordertide stack`, as a user would."""
    command = [sys.executable, str(ROOT / "run.py"), "stack", step, "--folder", str(folder)]
    environment = None if path is None else {"PATH": path}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env=environment
    )


def recorded(folder: Path) -> dict[str, dict[str, str]]:
    record: dict[str, dict[str, str]] = json.loads((folder / "stack.json").read_text())
    return record


@needs_redis
def test_a_second_up_finds_everything_running(folder: Path) -> None:
    first, second = (ordertide(folder, "up", "redis") for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "redis  answers after" in first.stdout
    assert "redis  already runs" in second.stdout
    assert list(recorded(folder)) == ["redis"]
    with redis.Redis.from_url(recorded(folder)["redis"]["url"]) as client:
        assert client.ping()


@needs_redis
def test_what_died_is_started_again_with_its_address(folder: Path) -> None:
    ordertide(folder, "up", "redis")
    before = recorded(folder)
    SERVICES["redis"](StackFolder(folder)).servers[0].kill()
    assert ordertide(folder, "up", "redis").returncode == 0
    assert recorded(folder) == before


@needs_redis
def test_status_shows_address_process_and_memory(folder: Path) -> None:
    ordertide(folder, "up", "redis")
    process = SERVICES["redis"](StackFolder(folder)).servers[0].process()
    assert process is not None
    shown = ordertide(folder, "status")
    assert shown.returncode == 0, shown.stderr
    words = next(line for line in shown.stdout.splitlines() if line.startswith("redis")).split()
    assert words[2] == recorded(folder)["redis"]["url"]
    assert words[3] == str(process.pid)
    assert int(words[4]) > 0
    assert words[-1] == "answers"


@needs_redis
def test_status_says_what_does_not_run_and_fails(folder: Path) -> None:
    assert "nothing was started" in ordertide(folder, "status").stdout
    ordertide(folder, "up", "redis")
    SERVICES["redis"](StackFolder(folder)).servers[0].kill()
    shown = ordertide(folder, "status")
    assert shown.returncode == 1
    assert "doesn't run" in shown.stdout


@needs_redis
def test_down_ends_what_up_started_and_keeps_the_data(folder: Path) -> None:
    ordertide(folder, "up", "redis")
    url = recorded(folder)["redis"]["url"]
    with redis.Redis.from_url(url) as client:
        client.set("order", "found")
    assert ordertide(folder, "down").returncode == 0
    assert recorded(folder) == {}
    assert "redis  doesn't run" in ordertide(folder, "down", "redis").stdout
    ordertide(folder, "up", "redis")
    assert recorded(folder)["redis"]["url"] == url
    with redis.Redis.from_url(url) as client:
        assert client.get("order") == b"found"


@needs_redis
def test_wipe_removes_data_and_logs_but_not_what_was_fetched(folder: Path) -> None:
    fetched = folder / "lib" / "kafka"
    fetched.mkdir(parents=True)
    ordertide(folder, "up", "redis")
    assert ordertide(folder, "down", "--wipe").returncode == 0
    assert not (folder / "redis").exists()
    assert not (folder / "logs" / "redis.log").exists()
    assert fetched.exists()


@needs_redis
def test_logs_show_what_the_server_said(folder: Path) -> None:
    ordertide(folder, "up", "redis")
    shown = ordertide(folder, "logs", "redis", "-n", "100")
    assert "Ready to accept connections" in shown.stdout
    assert len(ordertide(folder, "logs", "redis", "-n", "1").stdout.splitlines()) == 1


def test_all_that_is_missing_is_said_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    names = ("redis", "prometheus", "alertmanager")
    done = ordertide(folder, "up", *names, path=str(tmp_path / "bin"))
    assert done.returncode == 2
    assert done.stderr == (
        "ordertide: not installed: prometheus, prometheus-alertmanager, redis-server; "
        "run 'apt-get install -y --no-install-recommends "
        "prometheus prometheus-alertmanager redis-server'\n"
    )


@needs_redis
def test_what_comes_up_beside_a_failure_runs_and_is_recorded(folder: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(str(find("redis-server")))
    (programs / "prometheus-alertmanager").symlink_to(str(shutil.which("false")))
    done = ordertide(folder, "up", "redis", "alertmanager", path=str(programs))
    assert done.returncode == 2
    assert "alertmanager  failed" in done.stdout
    assert "alertmanager ended: it printed nothing" in done.stderr
    assert list(recorded(folder)) == ["redis"]


def test_a_test_without_its_server_is_skipped_or_fails_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "RECORD", tmp_path / "stack.json")
    monkeypatch.delenv(stack.REQUIRE_VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="ordertide stack up"):
        stack.address("kafka")
    monkeypatch.setenv(stack.REQUIRE_VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match="kafka was not started"):
        stack.address("kafka")


@needs_redis
def test_a_recorded_server_that_is_gone_counts_as_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordertide(folder, "up", "redis")
    monkeypatch.setattr(stack, "RECORD", folder / "stack.json")
    assert stack.address("redis") == recorded(folder)["redis"]
    SERVICES["redis"](StackFolder(folder)).servers[0].kill()
    monkeypatch.setenv(stack.REQUIRE_VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match="redis doesn't listen at redis://"):
        stack.address("redis")


def test_namespaces_differ() -> None:
    names = {stack.namespace() for _ in range(100)}
    assert len(names) == 100
    assert all(name.isidentifier() and name == name.lower() for name in names)
