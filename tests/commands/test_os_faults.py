"""A folder or file that can't be used ends a command with one line that names it, and code 2."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from deploy.installation import ROOT, Tables, write_settings
from schemas.os_faults import REMEDIES, os_fault_text
from tests.support.command import broker_with_topics
from tests.support.small_disk import fill, small_disk

TIMEOUT_S = 100
NOBODY = 65_534  # a user id
# Drop CAP_CHOWN to CAP_FOWNER, with which root may write anywhere, and become the command. A
# program of its own, as a preexec_fn can wait for ever for a lock that another thread held.
COMMON = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24  # prctl(2)
for capability in range(4):
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
EVENT = (
    b'{"event_id":"e1","source":"shop","order_id":"o1","status_code":"PAID",'
    b'"timestamp":"2018-01-31T10:15:00Z"}\n'
)
# Command, with {folder} for a folder that it writes to; its settings put all others there, too.
COMMANDS = {
    "track": "track --settings {settings}",
    "track, workers": "track --workers 2 --settings {settings}",
    "track, begin anew": "track --begin-anew --settings {settings}",
    "write warm": "write warm --settings {settings}",
    "write archive": "write archive --settings {settings}",
    "deliver": "deliver --settings {settings}",
    "replay": "replay {events} --out {folder}",
    "demo": "demo --once --orders 5 --folder {folder}",
    "state fetch": "state fetch --settings {settings} --out {folder}",
}
# What a command only reads.
READERS = {
    "state inspect": "state inspect --store {folder}/shards.sqlite",
    "state verify": "state verify --settings {settings}",
    "state export": "state export --settings {settings} --out {folder}/orders.ndjson",
    "lookup": "lookup o1 --settings {folder}/ordertide.toml",
    "rejected": "rejected list --settings {folder}/ordertide.toml",
}
ONE_OF_EACH = ["track", "write archive", "deliver", "replay", "demo"]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with broker_with_topics() as embedded:
        yield embedded


@pytest.fixture
def refused(broker: EmbeddedBroker, tmp_path: Path) -> Run:
    """Run a command that writes below a folder; the line with which it ends."""

    def run(command: str, folder: Path, *, is_common: bool = False) -> str:
        settings, events = tmp_path / "ordertide.toml", tmp_path / "events.ndjson"
        write_settings(settings, settings_of(broker, folder))
        events.write_bytes(EVENT)
        words = command.format(settings=settings, events=events, folder=folder).split()
        return last_line(words, is_common=is_common)

    return run


def settings_of(broker: EmbeddedBroker, folder: Path) -> Tables:
    return {
        "broker": {"bootstrap": broker.bootstrap, "embedded": True},
        "track": {"folder": str(folder / "track"), "clock": "recorded"},
        "warm": {"folder": str(folder / "warm")},
        "archive": {"folder": str(folder / "archive"), "seal_rows": 1},
        "privacy": {"keys": str(folder / "keys.json")},
        "telemetry": {"port": 0, "targets": str(folder / "targets"), "logs": "text"},
        "state": {"bucket": "any", "endpoint": "http://127.0.0.1:1"},
    }


def last_line(words: Sequence[str], *, is_common: bool) -> str:
    done = subprocess.run(
        [sys.executable, *(["-c", COMMON] if is_common else []), "run.py", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines[-1].startswith("ordertide: "), done.stderr
    return lines[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_the_system_does_not_let_us_make(name: str, refused: Run) -> None:
    line = refused(COMMANDS[name], Path("/proc/ordertide"))
    assert "/proc/ordertide" in line
    assert "; " in line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_where_a_folder_should_be(name: str, refused: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(COMMANDS[name], tmp_path / "file" / "below")
    assert str(tmp_path / "file") in line
    assert "; " in line


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_folder_that_another_user_owns(name: str, refused: Run, tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give a folder to another user")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o755)  # whatever the umask
    os.chown(tmp_path / "theirs", NOBODY, NOBODY)
    line = refused(COMMANDS[name], tmp_path / "theirs", is_common=True)
    assert str(tmp_path / "theirs") in line
    assert "; " in line


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_immutable_folder(name: str, refused: Run, tmp_path: Path) -> None:
    folder = tmp_path / "immutable"
    folder.mkdir()
    done = subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr +i doesn't work here: {done.stderr!r}")
    try:
        line = refused(COMMANDS[name], folder)
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)
    assert str(folder) in line
    assert "; " in line


@pytest.mark.parametrize("name", ["track", "track, workers", "replay", "demo"])
def test_the_last_byte_of_a_disk(name: str, refused: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4_000_000) as disk:
        fill(disk, 0)
        line = refused(COMMANDS[name], disk / "full")
    assert "o space left" in line or "no room left" in line
    assert "free some space" in line


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_not_there_to_be_read(name: str, refused: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(READERS[name], tmp_path / "file" / "below")
    assert str(tmp_path / "file") in line


def test_an_error_that_names_no_file_is_a_fault_of_ours() -> None:
    assert os_fault_text(OSError(errno.EINVAL, "Invalid argument", "name")) is None
    assert os_fault_text(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    assert os_fault_text(PermissionError(errno.EACCES, "Permission denied")) is None
    assert os_fault_text(OSError("no number")) is None


@pytest.mark.parametrize("number", sorted(REMEDIES))
def test_each_fault_names_the_file_the_reason_and_the_remedy(number: int) -> None:
    text = os_fault_text(OSError(number, "as the system says", "/some/where", None, "/else/where"))
    assert text == f"/some/where -> /else/where: {os.strerror(number)}; {REMEDIES[number]}"


def test_a_write_to_a_full_disk_names_no_file() -> None:
    text = os_fault_text(OSError(errno.ENOSPC, "No space left on device"))
    assert text == f"this process: {os.strerror(errno.ENOSPC)}; {REMEDIES[errno.ENOSPC]}"
