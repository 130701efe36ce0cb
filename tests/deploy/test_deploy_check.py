"""`deploy/check.sh` finds a fault in each kind of deployment file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import absent

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROGRAMS = Path(sys.executable).parent
FAULTS = {
    "Dockerfile": ("WORKDIR /src", "WORKDIR src", "DL3000"),
    "compose.yaml": ("stop_grace_period:", "stop_grace_time:", "stop_grace_time"),
    "k8s/base/track.yaml": ("enableServiceLinks:", "enableServiceLink:", "enableServiceLink"),
}


@pytest.mark.parametrize("file", [None, *FAULTS])
def test_a_fault_in_a_deployment_file_is_found(file: str | None, tmp_path: Path) -> None:
    if not (PROGRAMS / "hadolint").exists():
        absent("hadolint is not installed: it comes with the extra dev")
    ignored = shutil.ignore_patterns("stack", "__pycache__")
    deploy = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=ignored)
    if file:
        right, wrong, _ = FAULTS[file]
        text = (deploy / file).read_text("utf-8")
        assert right in text
        (deploy / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    ran = subprocess.run(
        ["bash", str(deploy / "check.sh"), str(PROGRAMS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if file:
        assert ran.returncode
        assert FAULTS[file][2] in ran.stdout + ran.stderr
    else:
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
