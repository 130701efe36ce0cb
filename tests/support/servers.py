"""Servers of a test's own: skipped where the program is missing, or failed where it is required."""

import os
from typing import NoReturn

import pytest

from deploy.stack.errors import StackError
from deploy.stack.kafka import RECIPE
from deploy.stack.library import is_installed
from deploy.stack.programs import require
from tests.support.stack import REQUIRE_VARIABLE


def need(*programs: str) -> None:
    """Skip the test unless these programs are installed."""
    try:
        require(programs)
    except StackError as missing:
        absent(str(missing))


def need_kafka() -> None:
    """Skip the test unless a Kafka of its own can be started."""
    need("java")
    if not is_installed("kafka", RECIPE):
        absent("Kafka is not installed; 'ordertide stack up' does it")


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be missing."""
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{reason} ({REQUIRE_VARIABLE}=1)")
    pytest.skip(reason)
