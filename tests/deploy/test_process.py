"""A process is its id and its start: another one is never taken for it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import msgspec
import pytest

from deploy.stack.process import Process, spawn

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
END_S = 60.0


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = spawn(SLEEPER, tmp_path / "log", tmp_path, {})
    yield process
    process.send(SIGKILL)
    assert process.wait(END_S)


def test_a_recycled_pid_is_never_signalled(sleeper: Process) -> None:
    boot, _, ticks = sleeper.started.partition("/")
    earlier = msgspec.structs.replace(sleeper, started=f"{boot}/{int(ticks) - 1}")
    before_the_boot = msgspec.structs.replace(sleeper, started=f"another/{ticks}")
    for stranger in (earlier, before_the_boot):
        assert not stranger.is_running()
        assert stranger.memory_bytes() == 0
        assert not stranger.send(SIGKILL)
        assert stranger.wait(0)
    assert sleeper.is_running()


def test_a_process_that_runs_is_known_as_such(sleeper: Process) -> None:
    assert sleeper.is_running()
    assert sleeper.memory_bytes() > 0
    assert not sleeper.wait(0)


def test_a_process_that_ended_is_not_running_and_leaves_no_zombie(tmp_path: Path) -> None:
    process = spawn(SLEEPER, tmp_path / "log", tmp_path, {})
    assert process.send(SIGTERM)
    assert process.wait(END_S)
    assert not process.is_running()
    assert not process.send(SIGTERM)
    assert not Path("/proc", str(process.pid)).exists()


def test_a_zombie_of_somebody_else_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
    assert not Process(child.pid, "any").is_running()
    assert child.wait() == 0


def test_a_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    starter = """
import sys
from pathlib import Path
from deploy.stack.process import spawn
folder = Path(sys.argv[1])
process = spawn(sys.argv[2:], folder / "log", folder, {})
print(process.pid, process.started)
"""
    command = [sys.executable, "-c", starter, str(tmp_path), *SLEEPER]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pid, started = said.split()
    process = Process(int(pid), started)
    assert process.is_running()
    assert process.send(SIGKILL)
    assert process.wait(END_S)


def test_what_it_says_is_added_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    talker = [sys.executable, "-c", "import os; print(os.environ['SAID'])"]
    assert spawn(talker, log, tmp_path, {"SAID": "after"}).wait(END_S)
    assert log.read_text() == "before\nafter\n"
