"""Metrics in an expression of Prometheus, compared with the engine's."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stack.prometheus import RULES
from telemetry.metrics import Metrics
from tests.support.servers import absent

RULE_FILE = RULES / "ordertide.rules.yaml"
# Not in the table: Prometheus' own metrics, and those of every process on Linux.
OTHERS = {"up", "process_resident_memory_bytes", "process_start_time_seconds"}
OTHER_LABELS = {"job", "instance", "le", "alertname", "alertstate", "__name__"}

NAME = re.compile(r"\b(?:ordertide[:_]|process_)[a-z0-9_:]+\b|\bup\b")
SELECTOR = re.compile(r"\{([^{}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")


def rules() -> list[dict[str, Any]]:
    """Every recording and alerting rule."""
    groups = yaml.safe_load(RULE_FILE.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    """The names that rules record under."""
    return {rule["record"] for rule in rules() if "record" in rule}


def exported() -> set[str]:
    """The names under which the engine's metrics are scraped."""
    names = set()
    for row in Metrics().table:
        parts = ("_bucket", "_sum", "_count") if row.kind == "histogram" else ("",)
        names |= {f"{row.name}{part}" for part in parts}
    return names


def unknown_names(expr: str) -> set[str]:
    """Metrics in an expression that don't exist."""
    return set(NAME.findall(without_strings(expr))) - exported() - recorded() - OTHERS


def unknown_labels(expr: str) -> set[str]:
    """Labels in an expression that no metric of the engine has."""
    known = {label for row in Metrics().table for label in row.labels} | OTHER_LABELS
    return {*labels_in(expr)} - known


def labels_in(expr: str) -> Iterator[str]:
    for selector in SELECTOR.findall(expr):
        yield from MATCHER.findall(selector)
    for grouping in GROUPING.findall(expr):
        yield from (label.strip() for label in grouping.split(",") if label.strip())


def without_strings(expr: str) -> str:
    return re.sub(r'"[^"]*"', '""', expr)


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return its output; it has to succeed."""
    path = shutil.which("promtool") or absent(
        "not installed: promtool; run 'apt-get install -y --no-install-recommends prometheus'"
    )
    done = subprocess.run(
        [path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        pytest.fail(said)
    return said


def check_expressions(expressions: Iterable[str], folder: Path) -> None:
    """Let promtool parse them all."""
    made = [
        {"record": f"test:expression:{number}", "expr": expr}
        for number, expr in enumerate(expressions)
    ]
    path = folder / "expressions.yaml"
    path.write_text(json.dumps({"groups": [{"name": "test", "rules": made}]}), "utf-8")
    promtool("check", "rules", path)
