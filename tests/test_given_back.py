"""State of the process that a command takes over: the next test does not see it."""

from pathlib import Path

from tests.support.inner_run import run_pytest

SCRIPT = """
import gc
import logging
import pytest
from schemas.settings.secrets import masked_text, remember
from telemetry.collector import collect_seldom
from telemetry.log import configure

@pytest.fixture(scope="module", autouse=True)
def quiet():
    logging.getLogger("gateway").setLevel(logging.ERROR)

def test_takes_over():
    configure("debug")
    logging.getLogger("ordertide.gateway").setLevel(logging.ERROR)
    remember("example.com")
    collect_seldom()

def test_sees_nothing_of_it(caplog):
    assert logging.root.level == logging.WARNING
    assert logging.getLogger("gateway").level == logging.ERROR  # its own module's fixture
    assert not [each for each in logging.root.handlers if type(each).__name__ == "OwnHandler"]
    logging.getLogger("ordertide.gateway").warning("seen")
    assert caplog.messages == ["seen"]
    assert masked_text("https://example.com") == "https://example.com"
    assert gc.get_threshold()[0] < 10_000
"""


def test_logs_secrets_and_collector_are_given_back(tmp_path: Path) -> None:
    later, inner = tmp_path / "test_later.py", tmp_path / "test_inner.py"
    later.write_text("import logging\ndef test(): assert logging.getLogger('gateway').level == 0\n")
    ended = run_pytest(tmp_path, SCRIPT, inner, later)  # in this order
    assert "3 passed" in ended.stdout, ended.stdout
