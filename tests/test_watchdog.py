"""A test that hangs in C code ends as that test's failure, within minutes."""

import re
from pathlib import Path

import pytest

from tests.support.inner_run import run_pytest

# PyDLL, unlike CDLL, keeps the interpreter lock during the call, and waiting for a mutex continues
# after a signal: nothing in Python is reached.
HANGS = """
import ctypes

LOCK = ctypes.PyDLL(None).pthread_mutex_lock
MUTEX = ctypes.create_string_buffer(64)

def test_before():
    pass

def test_hangs():
    LOCK(MUTEX)
    LOCK(MUTEX)

def test_after():
    pass
"""
LIMITS = ("-o", "timeout=5", "-o", "hang_grace_s=1")  # the others need far less


def test_a_hang_that_holds_the_interpreter_lock_fails_its_test_and_the_others_run(
    tmp_path: Path,
) -> None:
    ended = run_pytest(tmp_path, HANGS, "-n", "1", "-rfE", *LIMITS)
    assert ended.returncode == 1
    assert re.search(r"worker 'gw0' crashed while running '.*::test_hangs'", ended.stdout)
    assert "1 failed, 2 passed" in ended.stdout
    assert "in test_hangs" in ended.stderr  # where it hung


def test_a_hang_ends_a_run_without_workers_too(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, HANGS, *LIMITS)
    assert ended.returncode == 1
    assert "in test_hangs" in ended.stderr


def test_a_hang_after_the_last_test_ends_the_run(tmp_path: Path) -> None:
    """As a client that is destroyed with the process."""
    script = HANGS.replace("def test_hangs", "import atexit\n@atexit.register\ndef hangs")
    ended = run_pytest(tmp_path, script, "-o", "end_within_s=2")
    assert ended.returncode == 1
    assert "2 passed" in ended.stdout
    assert "in hangs" in ended.stderr


def test_a_worker_without_tests_waits_for_the_others(tmp_path: Path) -> None:
    script = "import time\ndef test_short(): pass\ndef test_long(): time.sleep(13)\n"
    ended = run_pytest(tmp_path, script, "-n", "2", "-o", "end_within_s=10")
    assert ended.returncode == 0
    assert "2 passed" in ended.stdout
    assert "Timeout" not in ended.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_the_name_of_a_failing_test_is_written_at_once_and_again_at_the_end(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    script = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): assert n == 1\n"
    report = tmp_path / "junit.xml"
    ended = run_pytest(tmp_path, script, "-rfE", f"--junitxml={report}", *workers)
    before, _, after = ended.stdout.partition("= FAILURES =")
    said = re.findall(r"^failed: .*test_it\[2\]: assert 2 == 1$", before, re.MULTILINE)
    assert len(said) == 2, "at once, and before the first traceback"
    assert re.search(r"^FAILED .*test_it\[2\]", after, re.MULTILINE)
    assert 'name="test_it[2]"' in report.read_text("utf-8")
