"""Configuration of every test: one seed for the whole run, and hypothesis bound to it.

The seed is printed at the top of a run. `ORDERTIDE_SEED=<n> make test` repeats it.
"""

import gc
import os
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from broker.clients import STRICT_VARIABLE, close_all, opened

# What tests import: its assertions shall explain themselves like a test's own.
pytest.register_assert_rewrite("tests.support", "tests.field.case", "tests.fuzz.pipeline")

from tests.support.left_behind import unchanged, without_threads  # noqa: E402 - likewise
from tests.support.shares import pytest_collection_modifyitems  # noqa: E402 - likewise
from tests.support.watchdog import (  # noqa: E402 - its own assertions are rewritten as well
    keep_stderr,
    pytest_addoption,
    pytest_runtest_logreport,
    pytest_runtest_protocol,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
)

if TYPE_CHECKING:
    from tests.support.s3 import S3

__all__ = [  # hooks that pytest finds here
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_runtest_logreport",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
]

SEED_VARIABLE = "ORDERTIDE_SEED"
SEED_IN_CI = 20_161_004  # any number that stays: CI tests the change, not its luck

# No deadline: on a shared machine a slow example is noise, and pytest-timeout ends a hung one. The
# same goes for slow generation. The blob under a failure repeats it with @reproduce_failure.
hypothesis.settings.register_profile(
    "ordertide",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ordertide-ci", parent=hypothesis.settings.get_profile("ordertide"), derandomize=True
)


def _chosen_seed() -> int:
    """The requested seed, else CI's, else a new one."""
    asked_for = os.environ.get(SEED_VARIABLE)
    if asked_for is not None:
        return int(asked_for)
    return SEED_IN_CI if "CI" in os.environ else random.SystemRandom().randrange(2**31)


@pytest.hookimpl(tryfirst=True)  # before hypothesis reads its seed from the options
def pytest_configure(config: pytest.Config) -> None:
    keep_stderr(config)
    seed = _chosen_seed()
    os.environ[STRICT_VARIABLE] = "1"  # processes under test end with a code of their own
    os.environ[SEED_VARIABLE] = str(seed)  # xdist's workers and processes under test share it
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = seed
    # A requested seed takes precedence over CI's order of examples.
    is_fixed = "CI" in os.environ and seed == SEED_IN_CI
    hypothesis.settings.load_profile("ordertide-ci" if is_fixed else "ordertide")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without garbage collection, and keep what was collected out of later ones.

    The objects of a collection stay to the end. Looking through them again and again took a fifth
    of its time (1.7 of 7.9 s), in each worker.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # what is frozen at the end is reported by nanobind (DuckDB) as leaked


def pytest_report_header() -> str:
    seed = os.environ[SEED_VARIABLE]
    return f"seed: {seed} ({SEED_VARIABLE}={seed} repeats this run)"


@pytest.fixture(autouse=True)
def no_client_left_open() -> Iterator[None]:
    """Fail a test that leaves a Kafka client open; those of wider fixtures are older than it.

    An autouse fixture is the first of its scope to be set up, and the last to be torn down.
    """
    before = opened()
    yield
    if left := close_all(opened() - before):
        pytest.fail(f"left open: {'; '.join(left)}", pytrace=False)


@pytest.fixture(autouse=True)
def _process_unchanged() -> Iterator[None]:
    """Fail a test that leaves its process changed, by more than what a command takes over."""
    yield from unchanged()


@pytest.fixture(scope="module", autouse=True)
def _process_unchanged_by_a_module() -> Iterator[None]:
    """Fixture of a module: the same of its own fixtures."""
    yield from unchanged()


@pytest.fixture(scope="module", autouse=True)
def _no_thread_left_by_a_module() -> Iterator[None]:
    """Fail the last test of a module that leaves a thread running."""
    yield from without_threads()


@pytest.fixture(scope="session", autouse=True)
def no_client_left_open_at_the_end() -> Iterator[None]:
    """The same of the fixtures of a class, a module or the session."""
    yield
    if left := close_all(opened()):
        pytest.fail(f"left open: {'; '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def seed() -> int:
    """The run's seed; hand it to whatever draws lots."""
    return int(os.environ[SEED_VARIABLE])


@pytest.fixture
def rng(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of one test's own: the same whichever tests run before or beside it."""
    return random.Random(f"{seed}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def s3() -> Iterator["S3"]:
    """An S3 server; every test makes itself a bucket."""
    from tests.support.s3 import S3  # noqa: PLC0415 - most runs need no bucket

    server = S3()
    yield server
    server.stop()
