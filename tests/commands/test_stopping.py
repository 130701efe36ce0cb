"""Ctrl-C and SIGTERM end every command at once, also while a broker is unavailable."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.inner_run import ROOT
from tests.support.waiting import wait_until

# Requests have time-outs of 10 s and more: an end that waits for one is seen on a busy machine too.
TAKEN_WITHIN_S = 15.0  # a second alone; what blocks takes a minute
PATIENCE_S = 60.0
INTERRUPTED = 130  # 128 + SIGINT
SETTLED_S = 2.0  # in which most commands come as far as they get

SERVICES = {
    "track": ("track",),
    "track with workers": ("track", "--workers", "2"),
    "write hot": ("write", "hot"),
    "write warm": ("write", "warm"),
    "write archive": ("write", "archive"),
    "deliver": ("deliver",),
}
QUESTIONS = {
    "load": ("load", "--orders-per-day", "1000", "--duration", "1d"),
    "doctor": ("doctor", "--timeout", "30"),
    "rejected list": ("rejected", "list"),
    "rejected replay": ("rejected", "replay"),
}

EMBEDDED = """
import sys
from broker.embedded import EmbeddedBroker
from schemas.topics import TOPICS
with EmbeddedBroker() as broker:
    for topic in TOPICS:
        broker.create(topic.name)
    print(broker.bootstrap, flush=True)
    sys.stdin.read()
"""


# A program of its own: a preexec_fn can wait for ever for a lock that another thread held.
TAKES_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-X", "faulthandler", *sys.argv[1:]])
"""


@contextmanager
def refusing() -> Iterator[str]:
    """An address without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """An address that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def embedded_broker() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A broker in a process of its own, which can be paused, and its address."""
    with subprocess.Popen(
        [sys.executable, "-c", EMBEDDED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()  # it may be paused, and would be waited for for ever


@contextmanager
def command(
    folder: Path, words: tuple[str, ...], bootstrap: str, *, embedded: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A command on that broker; it takes Ctrl-C although a shell in the background doesn't."""
    environment = {
        **os.environ,
        "ORDERTIDE_BROKER_BOOTSTRAP": bootstrap,
        "ORDERTIDE_BROKER_EMBEDDED": str(embedded).lower(),
        "ORDERTIDE_DELIVERY_URL": "http://127.0.0.1:1",
        "ORDERTIDE_TELEMETRY_LOGS": "text",
    }
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKES_CTRL_C, str(ROOT / "run.py"), *words],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until_connecting(process: subprocess.Popen[str], folder: Path) -> None:
    def is_so() -> bool:
        assert process.poll() is None, (folder / "output").read_text()
        return is_connecting(process)

    wait_until(is_so, "a client's thread", shown=(folder / "output").read_text)


def is_connecting(process: subprocess.Popen[str]) -> bool:
    """Return True if a thread of librdkafka runs, in the process or a worker that it started."""
    own = Path(f"/proc/{process.pid}/task/{process.pid}")
    try:
        processes = [str(process.pid), *(own / "children").read_text().split()]
        threads = [task for each in processes for task in Path(f"/proc/{each}/task").iterdir()]
        return any("rdk:" in (thread / "comm").read_text() for thread in threads)
    except OSError:
        return False  # a thread or a worker that has just ended


def end(process: subprocess.Popen[str], number: signal.Signals, folder: Path) -> int:
    """The exit code of a process that was stopped and ended at once, without a trace."""
    process.send_signal(number)
    try:
        code = process.wait(TAKEN_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.fail(f"not ended within {TAKEN_WITHIN_S} s: {(folder / 'output').read_text()}")
    output = (folder / "output").read_text()
    assert "Traceback" not in output, output
    assert "KafkaError{" not in output, output
    return code


BROKERS = {"refused": refusing, "silent": silent}
NUMBERS = [signal.SIGINT, signal.SIGTERM]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at threads in /proc")


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_waits_for_its_broker_ends_cleanly_at_once(
    broker: str, service: str, tmp_path: Path
) -> None:
    number = NUMBERS[len(service) % 2]  # each command gets one of them, each broker both
    with BROKERS[broker]() as bootstrap, command(tmp_path, SERVICES[service], bootstrap) as process:
        wait_until_connecting(process, tmp_path)
        assert end(process, number, tmp_path) == 0


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_command_that_waits_for_an_answer_is_interrupted_at_once(
    broker: str, question: str, tmp_path: Path
) -> None:
    words = QUESTIONS[question]
    with BROKERS[broker]() as bootstrap, command(tmp_path, words, bootstrap) as process:
        wait_until_connecting(process, tmp_path)
        assert end(process, signal.SIGINT, tmp_path) == INTERRUPTED
    assert (tmp_path / "output").read_text().endswith("stopped\n")


@pytest.mark.parametrize("service", [*SERVICES, "load"])
def test_a_service_whose_broker_stops_answering_ends_at_once(service: str, tmp_path: Path) -> None:
    words = {**SERVICES, **QUESTIONS}[service]
    with (
        embedded_broker() as (broker, bootstrap),
        command(tmp_path, words, bootstrap, embedded=True) as process,
    ):
        wait_until_connecting(process, tmp_path)
        time.sleep(SETTLED_S)
        broker.send_signal(signal.SIGSTOP)
        time.sleep(SETTLED_S)
        assert end(process, signal.SIGINT, tmp_path) == 0


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_client_property_is_one_line(service: str, tmp_path: Path) -> None:
    """As every unexpected error of a client."""
    path = tmp_path / "ordertide.toml"
    path.write_text('[broker.properties]\n"no.such.property" = "1"\n', "utf-8")
    words = (*SERVICES[service], "--settings", str(path))
    with command(tmp_path, words, "127.0.0.1:1") as process:
        assert process.wait(PATIENCE_S) == 2
    (line,) = (tmp_path / "output").read_text().splitlines()
    assert line.startswith("ordertide: broker: a client property is invalid")
    assert "no.such.property" in line
    assert "(_INVALID_ARG)" in line
