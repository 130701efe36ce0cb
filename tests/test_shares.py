"""Sequence of the tests in the shares of xdist's workers."""

from pathlib import Path

from tests.support.inner_run import run_pytest

SCRIPT = """
import os
import time
import pytest

def note(what):
    with open({path!r}, "a") as log:
        log.write(f"{{os.environ['PYTEST_XDIST_WORKER']}} {{what}}\\n")

@pytest.fixture(scope="module")
def server():
    note("starts")

@pytest.mark.parametrize("number", range(40))
def test_short(number):
    note("short")

@pytest.mark.parametrize("number", range(6))
def test_with_server(server, number):
    note("with server")

@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(2))
def test_long(number):
    note("long")
    time.sleep(1 + 2 * number)  # so that the worker with the server is done first
"""


def test_each_worker_begins_with_long_tests_and_one_starts_a_shared_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = SCRIPT.format(path=str(log))
    ended = run_pytest(tmp_path, script, "-n", "2", "--dist", "worksteal")
    assert ended.returncode == 0, ended.stdout
    workers: dict[str, list[str]] = {}
    for line in log.read_text("utf-8").splitlines():
        worker, _, what = line.partition(" ")
        workers.setdefault(worker, []).append(what)
    assert [done[0] for done in workers.values()] == ["long", "long"]
    (with_server,) = (done for done in workers.values() if "starts" in done)
    assert with_server[1:8] == ["starts", *["with server"] * 6]
    assert sum(map(len, workers.values())) == 49, "none is lost"
