"""Changes of the process and threads that a test leaves behind: each makes that test fail."""

from pathlib import Path

from tests.support.inner_run import run_pytest

SCRIPT = """
import os, signal, sys, threading
import pytest
from tests.support import left_behind

left_behind.END_WITHIN_S = 0.1
ENDED = threading.Event()

def test_leaves():
    CHANGE

def test_is_clean(monkeypatch, tmp_path):
    monkeypatch.setenv("LEFT", "x")
    monkeypatch.chdir(tmp_path)
    thread = threading.Thread(target=print)
    thread.start()
"""
CHANGES = {
    "os.environ['LEFT'] = 'y'": "environment: LEFT: None -> y",
    "os.umask(0o077)": "-> 0o77",
    "os.chdir('/')": "working directory: ",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)": "signal handlers: SIGTERM: ",
    "sys.path.append('left')": "sys.path: ",
}


def failures(output: str) -> list[str]:
    """Names of failing tests."""
    lines = [line.partition(" - ")[0] for line in output.splitlines() if line[:6] == "ERROR "]
    return [line.partition("::")[2] for line in lines]


def test_a_test_that_leaves_its_process_changed_fails(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, SCRIPT.replace("CHANGE", "; ".join(CHANGES)))
    assert all(words in ended.stdout for words in CHANGES.values()), ended.stdout
    assert "2 passed" in ended.stdout
    # The module that is over has left it as well.
    assert failures(ended.stdout) == ["test_leaves", "test_is_clean"]


def test_a_module_that_leaves_a_thread_running_fails(tmp_path: Path) -> None:
    thread = "threading.Thread(target=ENDED.wait, name='left', daemon=True).start()"
    ended = run_pytest(tmp_path, SCRIPT.replace("CHANGE", thread))
    assert "left running: left (" in ended.stdout, ended.stdout
    assert failures(ended.stdout) == ["test_is_clean"]
