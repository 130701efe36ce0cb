"""Child processes end with their parent, also by kill -9, and with the thread that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from telemetry.child_process import close_input, end_program, start_child, start_program
from tests.support.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, time
from telemetry.child_process import end_with_parent

end_with_parent()
print(os.getpid(), flush=True)
time.sleep(600)
"""
# Starts both kinds of children in a thread that has ended when they are used.
PARENT = """
import subprocess, sys, threading, time
from pathlib import Path
from telemetry.child_process import start_child, start_program

def start():
    child = start_child([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
    folder = Path(sys.argv[2])
    script = f"echo $$ > {folder}/new; mv {folder}/new {folder}/pid; exec sleep 600"
    program = start_program(["/bin/sh", "-c", script], folder)
    keep.extend([child, program])

keep = []
starter = threading.Thread(target=start)
starter.start()
starter.join()
print(int(keep[0].stdout.readline()), flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Return True if the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_parent_however_that_ends(
    tmp_path: Path, how: signal.Signals
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-c", PARENT, CHILD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until((folder / "pid").exists, "the program's pid")
        program = int((folder / "pid").read_text())
        assert is_running(child)
        assert is_running(program)
        parent.send_signal(how)
    wait_until(lambda: not is_running(child), "the child's end")
    wait_until(lambda: not is_running(program), "the program's end")
    wait_until(lambda: not folder.exists(), "the end of its folder")


def test_a_program_is_terminated_and_its_folder_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a folder; with 'odd' characters"
    folder.mkdir()
    process = start_program(["sleep", "600"], folder)
    assert process.poll() is None
    end_program(process, PATIENCE_S)
    assert not folder.exists()


def test_a_child_keeps_the_descriptors_that_it_is_given_and_its_own_session() -> None:
    read, write = os.pipe()
    script = f"import os; os.write({write}, str(os.getsid(0) == os.getpid()).encode())"
    for is_own_session in (True, False):
        child = start_child(
            [sys.executable, "-c", script], keeps=[write], is_own_session=is_own_session
        )
        assert child.wait(PATIENCE_S) == 0
        close_input(child)
        assert os.read(read, 9) == str(is_own_session).encode()
    os.close(read)
    os.close(write)
