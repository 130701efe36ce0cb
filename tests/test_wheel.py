"""The wheel: Apache-2.0 all through, and the demo runs from it."""

import csv
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from examples.olist.adapter import SAMPLE

ROOT = Path(__file__).resolve().parent.parent
OLIST_ID = re.compile(rb"\b[0-9a-f]{32}\b")
TIMEOUT_S = 110
BUILD_TIMEOUT_S = 400  # where the core is not compiled yet; else it takes 3 s

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT_S + 2 * TIMEOUT_S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout as `make wheels` builds it; the core is compiled already."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["bash", "engine/wheels.sh", sys.executable, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_TIMEOUT_S)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command in an environment that has the wheel, and what it needs from the tests' own.

    The checkout is in neither: a path of a .pth file brings no further .pth files with it.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return [str(folder / "bin" / "python"), "-m", "run"]


def test_a_wheel_serves_every_python_and_names_the_oldest_system_that_it_runs_on(
    wheel: Path,
) -> None:
    system = r"manylinux_2_\d+_x86_64" if sys.platform == "linux" else r"\w+"
    assert re.fullmatch(rf"ordertide-[\d.]+-cp311-abi3-{system}\.whl", wheel.name), wheel.name


def test_a_wheel_holds_no_sample_data(wheel: Path) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        orders = {row["order_id"].encode() for row in csv.DictReader(file)}
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        held = {name: orders & set(OLIST_ID.findall(archive.read(name))) for name in names}
        [about] = [archive.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert "examples/olist/adapter.py" in names
    board = [path for path in (ROOT / "gateway" / "board").rglob("*.*") if path.suffix != ".pyc"]
    assert {str(path.relative_to(ROOT)) for path in board} <= set(names)
    templates = [*(ROOT / "sinks" / "actions" / "messages" / "shipped").glob("*.txt")]
    assert len(templates) == 18
    assert {str(path.relative_to(ROOT)) for path in templates} <= set(names)
    assert not {name: found for name, found in held.items() if found}
    assert not [name for name in names if ".csv" in name]
    assert "License-Expression: Apache-2.0\n" in about
    assert "Provides-Extra: elasticsearch\n" in about
    assert "Provides-Extra: hdfs\n" in about


def test_the_demo_runs_from_a_wheel_on_generated_orders(
    installed: list[str], tmp_path: Path
) -> None:
    command = [*installed, "demo", "--once", "--orders", "200"]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "events of generated orders" in ran.stdout
    for tier in ("hot", "warm", "archive"):
        assert f"answered by  {tier} (" in ran.stdout
    assert "answered by  archive (hot: missing, warm: missing, archive: found)" in ran.stdout
    assert "example olist" not in ran.stdout.partition("Try next:")[2]


def test_samples_that_a_wheel_has_not_are_asked_for(installed: list[str], tmp_path: Path) -> None:
    for name in ("olist", "cargo2000"):
        ran = subprocess.run(
            [*installed, "example", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert ran.returncode == 2
        assert "run this in a checkout, or name a CSV file" in ran.stderr
