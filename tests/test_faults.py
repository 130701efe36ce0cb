"""docs/faults.md: each row is complete and names tests, metrics and alerts that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "docs" / "faults.md"
COLUMNS = 6
RULES = ROOT / "deploy" / "prometheus" / "ordertide.rules.yaml"
METRIC = re.compile(r"`(ordertide_\w+)")
ALERT = re.compile(r"\bOrdertide[A-Z]\w+")
TEST = re.compile(r"`(tests/[\w/.-]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of every row, without the heads and rules of the tables."""
    lines = [line for line in FAULTS.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "fault" and set(row[0]) != {"-"}]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_is_complete() -> None:
    complaints = [row for row in rows() if len(row) != COLUMNS or not all(row)]
    assert not complaints, f"each row has {COLUMNS} cells, none empty: {complaints}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:50])
def test_every_fault_names_a_test_that_exists(row: list[str]) -> None:
    named = TEST.findall(row[-1])
    assert named, f"{row[0]}: names no test as `tests/x/test_y.py::test_name`"
    for path, name in named:
        assert (ROOT / path).is_file(), f"{row[0]}: {path} is missing"
        assert name.startswith("test_"), f"{row[0]}: {name} is no test"
        assert name in names_in(path), f"{row[0]}: {path} has no {name}"


def test_every_metric_and_alert_that_notices_a_fault_exists() -> None:
    text = FAULTS.read_text("utf-8")
    metrics = {row.name for row in Metrics().table}
    named = {name.removesuffix("_count") for name in METRIC.findall(text)}
    assert named
    assert not {name for name in named if name.removesuffix("_total") not in metrics} - metrics
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text("utf-8")))
    assert not set(ALERT.findall(text)) - alerts
