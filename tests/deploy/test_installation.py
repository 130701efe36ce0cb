"""An installation: settings are read as they were written, processes are watched and ended."""

import signal
import stat
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.embedded import EmbeddedBroker
from deploy.installation import (
    Installation,
    Process,
    ProcessEnded,
    Tables,
    get,
    metrics_at,
    to_toml,
    write_settings,
)
from deploy.stack.ports import free_port
from schemas.topics import TOPICS

READY_WITHIN_S = 60.0
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = (
    TEXTS
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
NAMES = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_settings_are_read_as_they_were_written(tables: dict[str, dict[str, object]]) -> None:
    assert tomllib.loads(to_toml(tables)) == tables


def test_a_settings_file_is_its_owners(tmp_path: Path) -> None:
    path = write_settings(tmp_path / "a.toml", {"hot": {"url": "redis://any"}}, "Made by a test.")
    assert path.read_text("utf-8").startswith("# Made by a test.\n[hot]\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_process_is_ready_shows_its_metrics_and_ends_cleanly(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        for topic in TOPICS:
            broker.create(topic.name)
        tables: Tables = {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "track": {"folder": str(tmp_path / "track")},
            "privacy": {"keys": str(tmp_path / "keys.json")},
        }
        settings = write_settings(tmp_path / "ordertide.toml", tables)
        installation = Installation(settings, tmp_path)
        track = installation.start("track", port=free_port())
        track.wait_until_ready(READY_WITHIN_S)
        assert "ordertide_epoch_seconds_count" in metrics_at(track.port)
        installation.check()
        assert track.stop() == 0, track.log_text()
        with pytest.raises(OSError, match="refused"):
            metrics_at(track.port)


def test_a_process_that_ended_is_named_with_its_exit_code_and_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    program = (sys.executable, "-c", "print('no disk'); raise SystemExit(3)")
    installation = Installation(tmp_path / "any.toml", tmp_path, program=program)
    process = installation.start("write", "warm", "--once")
    process.wait(READY_WITHIN_S)
    with pytest.raises(ProcessEnded, match=r"(?s)^write warm ended with exit code 3; .*no disk$"):
        installation.check()
    with pytest.raises(ProcessEnded, match="exit code 3"):
        process.wait_until_ready(READY_WITHIN_S)
    assert (tmp_path / "write-warm.log").read_text("utf-8") == "no disk\n"


def test_a_process_that_is_not_ready_in_time_is_named_with_why(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = Process(sleeping, tmp_path / "track.log", port=free_port())
    try:
        with pytest.raises(ProcessEnded, match=r"track is not ready after 0 s: .*refused"):
            process.wait_until_ready(0)
    finally:
        process.stop()


def test_a_process_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    deaf = "from signal import *; signal(15, SIG_IGN); print(1, flush=True); pause()"
    installation = Installation(
        tmp_path / "any.toml", tmp_path, program=(sys.executable, "-c", deaf), is_leashed=True
    )
    process = installation.start("track")
    while not process.log_text():
        process.check()
    installation.stop(timeout_s=0.2)
    assert process.returncode == -signal.SIGKILL
    assert installation.processes == []


def test_a_port_where_nobody_listens_is_an_error_and_not_an_empty_answer() -> None:
    port = free_port()
    with pytest.raises(OSError, match="refused"):
        get(port, "/metrics")
    with pytest.raises(OSError, match="refused"):
        metrics_at(port)
