"""State of the process that every test leaves as it was: what it leaves changes a later test.

Which tests share a process depends on how xdist's workers share them out, so such a change makes
another test fail in each run. A command that runs in the process has that to itself: what it takes
over is given back.
"""

import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import getcontext

import pytest

from schemas.settings.secrets import KNOWN
from telemetry.log import OWN, OwnHandler
from tests.support.waiting import PAUSE_S

# Set by pytest itself, to another value in each phase of a test.
PYTESTS_OWN = "PYTEST_CURRENT_TEST"
# Those that programs handle; SIGALRM is pytest-timeout's, and each test has another handler.
SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
END_WITHIN_S = 20.0  # of a thread that was told to end
# `sinks.actions.channels.deadlines` has one for the whole process; the S3 server is the session's.
LASTING = {"deadlines", "moto"}


def process_state() -> dict[str, object]:
    """State of a process that all its tests share, by name; threads apart."""
    environment = dict(os.environ)
    environment.pop(PYTESTS_OWN, None)
    umask = os.umask(0o077)
    os.umask(umask)
    decimal = getcontext()  # whose flags every calculation sets
    return {
        "environment": environment,
        "working directory": _working_directory(),
        "umask": oct(umask),
        "signal handlers": {each.name: signal.getsignal(each) for each in SIGNALS},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "sys.path": [*sys.path],
        "sys.argv": [*sys.argv],
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "locale": locale.setlocale(locale.LC_ALL),
        "time zone": time.tzname,
        "decimal context": (decimal.prec, decimal.rounding, dict(decimal.traps)),
        "socket timeout": socket.getdefaulttimeout(),
    }


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a third of the time, and it is called twice a test
    except FileNotFoundError:
        return "deleted"


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """Changes of a process, with the values before and after."""
    for name, former in before.items():
        now = after[name]
        if isinstance(former, dict) and isinstance(now, dict):
            changed = {key for key in former | now if former.get(key) != now.get(key)}
            yield from (f"{name}: {key}: {former.get(key)} -> {now.get(key)}" for key in changed)
        elif former != now:
            yield f"{name}: {former} -> {now}"


def threads() -> set[threading.Thread]:
    """Threads that Python has started and that are to end.

    Python keeps a dummy for each thread of a library that called it, even once that has ended.
    """
    known = {each for each in threading.enumerate() if each.name not in LASTING}
    return {each for each in known if not isinstance(each, threading._DummyThread)}  # noqa: SLF001 - no public name


def threads_left(before: set[threading.Thread]) -> list[str]:
    """Threads that began since and run after all patience, by name and what they run."""
    give_up_at_s = time.monotonic() + END_WITHIN_S
    while left := threads() - before:
        if time.monotonic() >= give_up_at_s:
            break
        time.sleep(PAUSE_S)
    return sorted(f"{thread.name} ({_run_by(thread)})" for thread in left)


def _run_by(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - its documented way
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "ended"


@contextmanager
def given_back() -> Iterator[None]:
    """Give back what a command takes over: logs, secrets to mask, collector."""
    levels, hook, handlers = _levels(), threading.excepthook, set(logging.root.handlers)
    secrets, thresholds = set(KNOWN), gc.get_threshold()
    try:
        yield
    finally:
        threading.excepthook = hook
        for name, level in _levels().items():
            if level != (former := levels.get(name, logging.NOTSET)):
                logging.getLogger(name).setLevel(former)
        for handler in set(logging.root.handlers) - handlers:
            if isinstance(handler, OwnHandler):  # pytest's own come and go with its phases
                logging.root.removeHandler(handler)
        KNOWN.intersection_update(secrets)
        gc.set_threshold(*thresholds)


def _levels() -> dict[str, int]:
    """Levels by name, of the root and of every logger of our own packages."""
    loggers = logging.root.manager.loggerDict.items()
    return {logging.root.name: logging.root.level} | {
        name: each.level
        for name, each in loggers
        if isinstance(each, logging.Logger) and name.partition(".")[0] in OWN
    }


def unchanged() -> Iterator[None]:
    """Body of a fixture of any scope: fail where the process is not as it was."""
    before = process_state()
    with given_back():
        yield
    if left := [*differences(before, process_state())]:
        pytest.fail(f"left changed: {'; '.join(left)}", pytrace=False)


def without_threads() -> Iterator[None]:
    """Body of a fixture of a module: fail where a thread is left running.

    Not of a test: pools of a module's fixtures start their threads when they are used.
    """
    before = threads()
    yield
    if left := threads_left(before):
        pytest.fail(f"left running: {'; '.join(left)}", pytrace=False)
