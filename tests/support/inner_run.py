"""A pytest run inside a test, with the project's settings and tests/conftest.py."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 100.0


def run_pytest(
    folder: Path, script: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the tests of `script`, written into `folder`; wide enough that no name is cut."""
    inner = folder / "test_inner.py"
    inner.write_text(script, "utf-8")
    quiet = ("-q", "-p", "no:cacheprovider", "--rootdir", folder)
    settings = ("-p", "tests.conftest", "-c", ROOT / "pyproject.toml")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *quiet, *arguments, inner],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
