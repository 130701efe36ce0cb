"""The rules of Prometheus: their metrics exist, and each alert has been seen to fire."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stack.prometheus import RULES
from tests.support.promql import (
    RULE_FILE,
    promtool,
    recorded,
    rules,
    unknown_labels,
    unknown_names,
)

UNIT_TESTS = sorted((RULES / "tests").glob("*.yaml"))
ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def name_of(rule: dict[str, Any]) -> str:
    return str(rule.get("record") or rule["alert"])


def alert_tests() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text("utf-8")) for path in UNIT_TESTS]
    return [
        case for file in files for test in file["tests"] for case in test.get("alert_rule_test", [])
    ]


@pytest.mark.parametrize("rule", rules(), ids=name_of)
def test_a_rule_asks_only_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert not unknown_names(rule["expr"])
    assert not unknown_labels(rule["expr"])


def test_the_check_sees_a_metric_and_a_label_that_do_not_exist() -> None:
    assert unknown_names('sum(ordertide_typo_total{sink="ordertide_other"})') == {
        "ordertide_typo_total"
    }
    assert unknown_names("ordertide_sink_seconds") == {"ordertide_sink_seconds"}, "has no such part"
    assert unknown_labels('sum by (order_id) (up{waybill="1"})') == {"order_id", "waybill"}


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULE_FILE)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_fire_when_they_should_and_only_then(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    fires = {case["alertname"] for case in alert_tests() if case["exp_alerts"]}
    assert fires == ALERTS.keys()


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do(name: str) -> None:
    assert ALERTS[name]["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description"} == ALERTS[name]["annotations"].keys()


def test_a_recorded_name_says_that_it_is_computed() -> None:
    assert recorded()
    assert all(name.startswith("ordertide:") for name in recorded())


def test_the_stack_finds_the_rules_and_leaves_their_tests_alone() -> None:
    assert sorted(RULES.glob("*.rules.yaml")) == [RULE_FILE]
