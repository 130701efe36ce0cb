"""Watchdog for tests that hang in C code, and names of failing tests at the time they fail.

pytest-timeout interrupts Python code by a signal. Code that holds the interpreter lock for ever
never gets there: a whole run hung so. faulthandler's timer is a thread of C code that needs no
lock. Some time after a test's own limit it writes the stacks of all threads and ends the process;
xdist then reports the test as failed ("worker crashed while running") and starts another worker.
"""

import faulthandler
import os
from collections.abc import Iterator

import pytest

GRACE = "hang_grace_s"
END = "end_within_s"
STDERR = pytest.StashKey[int]()  # a copy: pytest captures the descriptor, and closes its own copy


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "seconds after a test's timeout until its process is ended, whatever it does"
    parser.addini(GRACE, text, default="60")
    # What waits for ever there is the destruction of a client.
    parser.addini(END, "seconds from the last test to the end of the process", default="120")


def keep_stderr(config: pytest.Config) -> None:
    """To be called while nothing is captured yet."""
    config.stash[STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    limit_s = timeout_s(item)
    if limit_s:
        arm(item.config, limit_s + float(item.config.getini(GRACE)))
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker of xdist waits here for the last test of the others, and is killed by xdist if it
    # doesn't end when told to.
    if not is_worker(session.config):
        arm(session.config, float(session.config.getini(END)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a failing test's name at once: a run that is killed later still shows it."""
    if report.failed and REPORTERS:
        phase = "" if report.when == "call" else f" ({report.when})"
        line = f"failed: {report.nodeid}{phase}{reason_of(report)}"
        FAILED.append(line)
        REPORTERS[0].write(f"\n{line}\n", red=True, flush=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # pytest's own writes the tracebacks in a wrapper
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Write all of them again before the first traceback: a log that is cut still shows them."""
    if FAILED:
        terminalreporter.section("failed")
        terminalreporter.write("\n".join(FAILED) + "\n")
    return (yield)


def reason_of(report: pytest.TestReport) -> str:
    """The first line of the error, where there is one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr or "")
    return f": {text.strip().splitlines()[0][:300]}" if text.strip() else ""


REPORTERS: list[pytest.TerminalReporter] = []
FAILED: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter) and not is_worker(session.config):
        REPORTERS[:] = [reporter]


def is_worker(config: pytest.Config) -> bool:
    """Return True in a worker of xdist; its own terminal reporter is not shown."""
    return hasattr(config, "workerinput")


def timeout_s(item: pytest.Item) -> float:
    """The limit that pytest-timeout holds a test to; 0 for none."""
    marker = item.get_closest_marker("timeout")
    if marker:
        return float(marker.args[0] if marker.args else marker.kwargs["timeout"])
    chosen = item.config.getoption("timeout", None)
    return float(item.config.getini("timeout") or 0 if chosen is None else chosen)


def arm(config: pytest.Config, limit_s: float) -> None:
    """End this process in `limit_s`, unless it is cancelled or armed again."""
    faulthandler.dump_traceback_later(limit_s, file=config.stash[STDERR], exit=True)
