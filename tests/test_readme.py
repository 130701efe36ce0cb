"""The README's commands work when they are pasted, and what it shows of their output comes."""

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
from schemas.event import Event, decode_event
from tests.support import stack

ROOT = Path(__file__).resolve().parent.parent
# The sections in both languages.
DEMO = {"README.md": "## Two commands", "README.zh.md": "## 两条命令"}
OFFLINE = {"README.md": "## One exact, offline mode", "README.zh.md": "## 精确的离线模式"}
FEEDING = {"README.md": "## Feeding it", "README.zh.md": "## 送入事件"}
REAL = {"README.md": "## On real servers", "README.zh.md": "## 在真实服务器上"}
TIMEOUT_S = 540
# What differs from one run of the demo to the next: orders retire in the background, shards'
# clocks end within minutes of each other, and a shell has its own program and folder.
DEMO_VARIES = {
    r"^ +[\d,]+ of them retired": "          N of them retired",
    r"^lanes     normal [\d,]+,": "lanes     normal N,",
    r"fresh up to  2018-12-31 03:0\d ": "fresh up to  2018-12-31 03:0N ",
    r"^  .*?(ordertide|run\.py) (?=lookup|example|replay|list)": "  ordertide ",
    r"--settings \S+$": "--settings FILE",
}
# Downloads and installs; what the tests run with is installed already.
INSTALLS = re.compile(r"^(sudo apt-get|\.venv/bin/pip) ", re.MULTILINE)
ENDS = "kill $(jobs -p); wait"
# Of one computer and moment: how many findings are well.
VARIES = re.compile(r"\d+ ok$|^…$")


def blocks(name: str, headings: dict[str, str], kind: str = "sh") -> list[str]:
    """The blocks of a section that are marked as `kind`."""
    text = (ROOT / name).read_text("utf-8")
    section = text.split(f"{headings[name]}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def printed(name: str, headings: dict[str, str]) -> list[str]:
    """The lines that a section shows as its output."""
    [block] = blocks(name, headings, "text")
    return [line.rstrip() for line in block.splitlines()]


def as_in_any_run(lines: list[str]) -> list[str]:
    """The lines of a demo's end with marks for what differs between runs."""
    for pattern, mark in DEMO_VARIES.items():
        lines = [re.sub(pattern, mark, line) for line in lines]
    return lines


def missing_lines(shown: list[str], output: str) -> list[str]:
    """The lines that are shown and were not printed; what differs between computers apart.

    Blanks count as one: the widths of amtool's columns are those of all rows, of which four are
    shown.
    """
    came = {" ".join(line.split()) for line in output.splitlines()}
    return [
        line for line in shown if " ".join(line.split()) not in came and not VARIES.search(line)
    ]


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
        output, _ = shell.communicate(timeout=TIMEOUT_S)
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
    assert shell.returncode == 0, output[-5_000:]
    return output


def logs_in(folder: Path) -> list[Path]:
    """The logs of the engine's processes."""
    return sorted((folder / ".ordertide").rglob("*.log"))


@pytest.mark.parametrize("headings", [DEMO, OFFLINE, REAL], ids=["demo", "offline", "real"])
def test_both_languages_give_the_same_commands(headings: dict[str, str]) -> None:
    english, chinese = (list(map(without_comments, blocks(name, headings))) for name in headings)
    assert english == chinese
    assert english


@pytest.mark.parametrize("headings", [DEMO, REAL], ids=["demo", "real"])
def test_both_languages_show_the_same_output(headings: dict[str, str]) -> None:
    english, chinese = (printed(name, headings) for name in headings)
    assert english == chinese


@pytest.mark.timeout(300)
def test_the_end_of_a_demo_is_as_shown(checkout: Path) -> None:
    command, ellipsis, *shown = printed("README.md", DEMO)
    assert (command, ellipsis) == ("$ make demo ARGS=--once", "…")
    came = pasted(".venv/bin/ordertide demo --once", checkout)
    end = came[came.index("\norders ") + 1 :]
    assert as_in_any_run(end.splitlines()) == as_in_any_run(shown)


def test_the_offline_section_works_when_pasted(checkout: Path) -> None:
    [commands] = blocks("README.md", OFFLINE)
    came = pasted(commands, checkout)
    alerts = (checkout / "results" / "alerts.ndjson").read_text("utf-8").splitlines()
    assert came.endswith("\n".join(alerts[:2]) + "\n")


@pytest.mark.parametrize("name", FEEDING)
def test_the_example_of_an_event_is_taken(name: str) -> None:
    [example] = blocks(name, FEEDING, "json")
    assert isinstance(decode_event(example.encode()), Event)


def test_a_loop_ends_with_the_logs_when_a_process_has_ended(tmp_path: Path) -> None:
    [block] = [block for block in blocks("README.md", REAL) if "wait_for()" in block]
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
        timeout=100,
    )
    assert "ordertide: it is refused" in done.stdout
    assert done.stdout.endswith("given up\n")


@pytest.mark.stack
@pytest.mark.timeout(TIMEOUT_S + 120)  # its servers are ended then
def test_the_section_on_real_servers_works_when_pasted(checkout: Path) -> None:
    stack.address("kafka")  # tests that need it have started a stack, and with it have the jars
    commands = [block for block in blocks("README.md", REAL) if not INSTALLS.search(block)]
    assert ENDS in commands[-1]
    output = pasted("\n".join(commands), checkout)
    assert not missing_lines(printed("README.md", REAL), output), output[-5_000:]
    # Nothing stays that a second run would find: so it can be run again.
    assert not (checkout / ".ordertide" / "real").exists()
    assert {path.name for path in checkout.glob(".stack/*") if path.is_dir()} <= {"logs"}
    assert "19762 events written" in output
    assert re.search(r"^0 problems", output, re.MULTILINE)
    for tier in ("hot", "warm", "archive"):
        assert f"answered by  {tier} " in output
    assert re.search(r'"total":\{"value":[1-9]', output), "no overdue order in Elasticsearch"
    assert re.search(r"^OrderLate(Shipping|Delivery) .* active", output, re.MULTILINE)
    assert re.search(r"│ PENDING_PAYMENT │ +4998 │", output)
