"""`ordertide bench`: the benchmarks' own command line, from any folder."""

import subprocess
import sys
from pathlib import Path

from tests.support.recording import ROOT


def test_it_runs_the_benchmarks_of_the_checkout_and_hands_options_on(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "bench", "deadlines", "--orders", "none"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran
    assert "Usage: python -m benchmarks deadlines" in ran.stderr
    assert "'none' is not a valid integer" in ran.stderr
