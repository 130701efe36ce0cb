"""The demo as a newcomer runs it: processes, broker, Redis and all."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands.demo.feed import LAST_ORDERS, history, sizes
from commands.demo.settings import lock_folder
from deploy.installation import get
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, str(ROOT / "run.py")]


def ordertide(*arguments: str, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=ROOT,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "run"


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """Output of `demo --once`."""
    ended = ordertide("demo", "--once", "--orders", "200", "--folder", str(folder))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_demo_shows_one_order_from_each_tier(shown: str) -> None:
    for tier in ("hot", "warm", "archive"):
        answer = shown.partition(f"One order from the {tier} tier:")[2].partition("\n\n")[0]
        assert f"answered by  {tier} (" in answer
        assert "timeline" in answer


def test_a_demo_counts_what_it_was_fed(shown: str) -> None:
    records = history(200)
    sampled, generated, _ = sizes(records)
    orders = {timed[3].get("order_id") for timed in records} - {None}
    assert f"{sampled:,} events of Olist orders, and {generated:,} of generated ones" in shown
    assert f"orders    {len(orders) + len(LAST_ORDERS):,}: " in shown


def test_what_a_demo_left_can_be_looked_up_without_redis(shown: str) -> None:
    advised = shown.partition("Try next:")[2].splitlines()[1]
    ended = ordertide("lookup", *advised.partition(" lookup ")[2].split())
    assert ended.returncode == 0, ended.stderr
    assert "hot: unavailable" in ended.stdout
    assert "archive: found" in ended.stdout


@pytest.mark.usefixtures("shown")
def test_an_unknown_order_is_named_with_who_was_asked(folder: Path) -> None:
    ended = ordertide("lookup", "no-such-order", "--settings", str(folder / "settings.toml"))
    assert ended.returncode == 3, "the demo's Redis has ended, so the answer is incomplete"
    assert "'no-such-order'" in ended.stderr
    assert "not in warm, archive" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_demo_does_not_empty_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    ended = ordertide("demo", "--once", "--folder", str(tmp_path))
    assert ended.returncode == 2
    assert "was not made by a demo" in ended.stderr
    assert (tmp_path / "letters.txt").exists()


def test_a_demo_goes_without_its_board(tmp_path: Path) -> None:
    demo = start(tmp_path / "run", "--no-board")
    assert demo.stdout is not None
    assert "events of Olist orders" in demo.stdout.readline()
    assert not [line for line in processes_of(tmp_path / "run").values() if " serve " in line]
    demo.kill()
    demo.communicate()


def test_sigterm_stops_a_live_demo_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    demo = start(folder)
    assert demo.stdout is not None
    first = demo.stdout.readline()
    address = re.fullmatch(r"Board  http://127\.0\.0\.1:(\d+)/sign-in\?code=\S+\n", first)
    assert address, first
    for line in demo.stdout:
        if line.startswith("live, "):
            break
    assert "ordertide key link" in get(int(address[1]), "/").body
    demo.send_signal(signal.SIGTERM)  # Ctrl-C ends the demo of test_demo_live.py
    rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, rest
    assert "Traceback" not in rest
    assert rest.endswith("stopped\n")
    assert not processes_of(folder)


def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    demo = start(folder)
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("the sample: "):
            break
    assert processes_of(folder)
    demo.kill()
    demo.communicate()
    wait_until(
        lambda: not processes_of(folder), "the end of all", shown=lambda: processes_of(folder)
    )
    demo.stdout.close()


def test_a_part_that_dies_ends_the_demo_with_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    demo = start(folder)
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("the sample: "):
            break
    victim = next(pid for pid, line in processes_of(folder).items() if " write warm " in line)
    os.kill(victim, signal.SIGKILL)
    output = demo.communicate(timeout=60)[0]
    assert demo.returncode != 0
    assert "write warm ended with exit code -9; the end of " in output
    assert not processes_of(folder)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a demo that continues until it is stopped."""
    return subprocess.Popen(
        [*RUN, "demo", "--orders", "50", "--folder", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def processes_of(folder: Path) -> dict[int, str]:
    """The parts that run with the settings in `folder`: pid → command line."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 1) for line in listed.splitlines()]
    return {
        int(pid): arguments for pid, arguments in rows if str(folder / "settings.toml") in arguments
    }


def test_a_second_demo_in_one_folder_names_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    lock = lock_folder(folder)
    try:
        ended = ordertide("demo", "--once", "--folder", str(folder))
        assert ended.returncode == 2
        assert re.fullmatch(
            rf"ordertide: {folder}: a demo runs there, process {os.getpid()} since "
            r"[\d: -]{19} UTC; stop it, or name another --folder\n",
            ended.stderr,
        )
        assert not folder.exists()
    finally:
        lock.release()
    lock_folder(folder).release()  # free again
