"""Servers of a test's own: skipped where the program is missing, or failed where it is required."""

import os
from typing import NoReturn

import pytest

from deploy.stack.errors import StackError
from deploy.stack.programs import require
from tests.support.stack import REQUIRE_VARIABLE, address


def need(*programs: str) -> None:
    """Skip the test unless these programs are installed."""
    try:
        require(programs)
    except StackError as missing:
        absent(str(missing))


def need_kafka() -> None:
    """Skip the test, which starts a Kafka of its own, unless that of the stack runs.

    Where it runs its jars are there. Without it, tests start no real broker, whatever was installed
    once: those that do take a third of the CPU of all others.
    """
    address("kafka")


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be missing."""
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{reason} ({REQUIRE_VARIABLE}=1)")
    pytest.skip(reason)
