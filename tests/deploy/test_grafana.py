"""The dashboards: current, placed without overlap, and querying only existing metrics."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.generate import DASHBOARDS, FOLDER, files
from deploy.grafana.panels import GRID_COLUMNS, Dashboard, document
from tests.support.promql import check_expressions, unknown_labels, unknown_names


def title_of(dashboard: Dashboard) -> str:
    return dashboard.uid


def expressions(dashboard: Dashboard) -> list[str]:
    made = document(dashboard)
    queries = [target["expr"] for panel in made["panels"] for target in panel["targets"]]
    return [*queries, *(each["expr"] for each in made["annotations"]["list"])]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }


def test_the_files_are_what_the_code_says() -> None:
    for path, content in files().items():
        assert path.read_bytes() == content, "run 'python -m deploy.grafana.generate'"
    assert {*FOLDER.glob("*.json")} == files().keys(), "no dashboard of former times"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=title_of)
def test_a_dashboard_asks_only_for_metrics_and_labels_that_exist(dashboard: Dashboard) -> None:
    for expr in expressions(dashboard):
        assert not unknown_names(expr), expr
        assert not unknown_labels(expr), expr


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=title_of)
def test_every_query_is_valid(dashboard: Dashboard, tmp_path: Path) -> None:
    check_expressions(expressions(dashboard), tmp_path)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=title_of)
def test_no_panel_covers_another_or_leaves_the_grid(dashboard: Dashboard) -> None:
    panels = document(dashboard)["panels"]
    for one, other in combinations(panels, 2):
        assert not cells(one) & cells(other)
    assert all(x < GRID_COLUMNS for panel in panels for x, _ in cells(panel))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=title_of)
def test_every_panel_says_how_to_read_it_and_names_no_order(dashboard: Dashboard) -> None:
    for panel in document(dashboard)["panels"]:
        assert panel["description"].endswith(".")
    assert "order_id" not in json.dumps(document(dashboard))


def test_every_dashboard_and_panel_can_be_told_apart() -> None:
    assert len({dashboard.uid for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS:
        panels = document(dashboard)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(
            len({target["refId"] for target in p["targets"]}) == len(p["targets"]) for p in panels
        )
