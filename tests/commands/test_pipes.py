"""A command whose output has lost its reader ends quietly, as other programs of a pipe do."""

import subprocess
import sys
from pathlib import Path

import pytest

from commands.main import CLOSED_PIPE
from deploy.installation import ROOT
from tests.support.recording import ordertide

TIMEOUT_S = 60
EVENT = (
    '{"event_id":"e1","source":"shop","order_id":"o1","status_code":"PAID",'
    '"timestamp":"2018-01-31T10:15:00Z"}\n'
)


@pytest.mark.parametrize(
    "words",
    [
        ("load", "--orders-per-day", "1e6", "--duration", "1d", "--out", "-"),
        ("example", "olist"),
        ("example", "cargo2000"),
        ("config", "show"),
        ("replay", "-", "--out", "{folder}/results"),
        ("list",),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_is_no_error(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "run.py", *(word.format(folder=tmp_path) for word in words)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, said = process.communicate(EVENT, TIMEOUT_S)
    assert process.returncode == CLOSED_PIPE, said
    assert not said


def test_a_csv_that_is_not_there_is_named() -> None:
    ran = ordertide("example", "olist", "nowhere.csv")
    assert ran.code == 2
    assert "nowhere.csv: no such file" in ran.err
