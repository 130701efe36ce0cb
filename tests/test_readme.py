"""The README's section on real servers works when it is pasted into a shell."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.stack.library import PLACE_VARIABLE
from tests.support import stack

ROOT = Path(__file__).resolve().parent.parent
HEADINGS = {"README.md": "## On real servers", "README.zh.md": "## 在真实服务器上"}
TIMEOUT_S = 540
# Downloads and installs; what the tests run with is installed already.
INSTALLS = re.compile(r"^(sudo apt-get|\.venv/bin/pip) ", re.MULTILINE)
ENDS = "kill $(jobs -p); wait"
# Of one computer and moment: how many findings are well.
VARIES = re.compile(r"\d+ ok$|^…$")


def blocks(name: str) -> list[str]:
    """The shell commands of the section, a text for each block."""
    text = (ROOT / name).read_text("utf-8")
    section = text.split(f"{HEADINGS[name]}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def printed(name: str) -> list[str]:
    """The lines that the section shows as its output."""
    text = (ROOT / name).read_text("utf-8")
    section = text.split(f"{HEADINGS[name]}\n")[1].split("\n## ")[0]
    [block] = re.findall(r"^```text\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line.rstrip() for line in block.splitlines()]


def missing_lines(shown: list[str], said: str) -> list[str]:
    """The lines that are shown and were not printed; what differs between computers apart."""
    came = {line.rstrip() for line in said.splitlines()}
    return [line for line in shown if line not in came and not VARIES.search(line)]


def without_comments(text: str) -> str:
    return re.sub(r" +# .*$", "", text, flags=re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder with what the commands take from a checkout; its servers are gone in the end."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, program in {"python": "", "ordertide": f" {ROOT / 'run.py'}"}.items():
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable}{program} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    yield tmp_path
    command = [str(programs / "ordertide"), "stack", "down", "--wipe"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)


def pasted(commands: str, folder: Path) -> str:
    """Output of a shell with the commands; it and all that it starts are gone then."""
    jars = os.environ.get(PLACE_VARIABLE, str(ROOT / ".stack" / "lib"))
    shell = subprocess.Popen(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), PLACE_VARIABLE: jars},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        # Its loops wait for ever for what a process that has ended would have written.
        logs = "\n".join(
            f"{log.name}: {log.read_text('utf-8')[-2_000:]}" for log in logs_in(folder)
        )
        printed = (error.output or b"").decode(errors="replace")[-2_000:]
        pytest.fail(f"waits for something that doesn't come:\n{printed}\n{logs}", pytrace=False)
    finally:
        with suppress(ProcessLookupError):  # all have ended, as they should
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
    assert shell.returncode == 0, said[-5_000:]
    return said


def logs_in(folder: Path) -> list[Path]:
    """The logs of the engine's processes."""
    return sorted((folder / ".ordertide").rglob("*.log"))


def test_both_languages_give_the_same_commands() -> None:
    english, chinese = ([without_comments(block) for block in blocks(name)] for name in HEADINGS)
    assert english == chinese
    assert len(english) > 4
    assert printed("README.md") == printed("README.zh.md")


def test_a_loop_ends_with_the_logs_when_a_process_has_ended(tmp_path: Path) -> None:
    [block] = [block for block in blocks("README.md") if "wait_for()" in block]
    functions = [line for line in block.splitlines() if re.match(r"\w+\(\) ", line)]
    (tmp_path / ".ordertide" / "real").mkdir(parents=True)
    (tmp_path / ".ordertide" / "real" / "track.log").write_text("ordertide: it is refused\n")
    script = [*["sleep 60 &"] * 4, "false &", *functions, "wait_for 'false' || echo given up"]
    script.append("kill $(jobs -p)")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "ordertide: it is refused" in done.stdout
    assert done.stdout.endswith("given up\n")


@pytest.mark.stack
@pytest.mark.timeout(TIMEOUT_S + 120)  # its servers are ended then
def test_the_section_on_real_servers_works_when_pasted(checkout: Path) -> None:
    stack.address("kafka")  # tests that need it have started a stack, and with it have the jars
    commands = [block for block in blocks("README.md") if not INSTALLS.search(block)]
    assert ENDS in commands[-1]
    said = pasted("\n".join([*commands[:-1], ENDS]), checkout)
    assert not missing_lines(printed("README.md"), said), said[-5_000:]
    assert "19762 events written" in said
    assert re.search(r"^0 problems", said, re.MULTILINE)
    for tier in ("hot", "warm", "archive"):
        assert f"answered by  {tier} " in said
    assert re.search(r'"total":\{"value":[1-9]', said), "no overdue order in Elasticsearch"
    assert re.search(r"^OrderLate(Shipping|Delivery) .* active", said, re.MULTILINE)
    assert re.search(r"│ PENDING_PAYMENT │ +4998 │", said)
