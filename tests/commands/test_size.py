"""`ordertide size`: arithmetic that can be checked by hand, and a document that agrees with it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from commands.size.figures import FIGURES, Figures, figures
from commands.size.model import Need, size
from commands.size.table import shown
from dataflows.definition_files import read_lifecycle
from dataflows.source import SOURCE_TASKS
from loadgen.lives import LIVES
from loadgen.plan import Waits, events_per_order
from schemas import topics
from schemas.instants import DAY_MS
from schemas.settings.model import Settings
from tests.support.recording import ROOT, ordertide

PAGE = ROOT / "docs" / "scale.md"
LEVERS = ("rest_days=3", "number_days=49", "numbers_per_order=1.1")
LOADS = ("--orders-per-day", 1e6, "--orders-per-day", 10e6, "--orders-per-day", 100e6)
SHOWN = {
    "size": LOADS,
    "levers": (*LOADS, *(part for lever in LEVERS for part in ("--set", lever))),
    "figures": ("--list",),
}


def printed(*options: object) -> str:
    ran = ordertide("size", *options)
    assert ran.code == 0, ran
    return ran.out


def needs(orders_per_day: float, **changed: float) -> dict[tuple[str, str], Need]:
    return {(need.part, need.name): need for need in size(orders_per_day, Figures(changed))}


@pytest.mark.parametrize("block", SHOWN)
def test_the_document_shows_what_the_program_prints(block: str) -> None:
    page = PAGE.read_text("utf-8")
    (held,) = re.findall(rf"<!-- {block}: begin -->\n(.*?)<!-- {block}: end -->", page, re.DOTALL)
    assert held == printed(*SHOWN[block], "--markdown"), (
        f"ordertide size {' '.join(map(str, SHOWN[block]))} --markdown"
    )


def test_a_sizing_by_hand() -> None:
    found = needs(
        1e6, events_per_order=10, copies_per_event=1.2, peak_over_mean=2, life_days=20,
        rest_days=30, live_order_bytes=800, numbers_per_order=2, number_days=200,
        number_bytes=500, worker_memory_gb=60, track_events_per_s=100, busy_share=0.5,
    )  # fmt: skip
    assert found["load", "mean"].value == pytest.approx(1e6 * 12 / 86_400)
    assert found["load", "peak"].value == pytest.approx(277.8, rel=0.001)
    assert found["track", "live orders"].value == 50e6
    assert found["track", "memory"].value == 50e6 * 800 + 400e6 * 500
    assert found["track", "workers by rate"].value == 6  # 277.8 / 50
    assert found["track", "workers by memory"].value == 4  # 240 / 60
    assert found["track", "workers"].value == 6
    assert found["track", "flows"].value == 1
    assert found["track", "partitions"].value == 8


def test_audit_entries_and_actions_count_in_the_warm_tier_and_the_archive() -> None:
    found = needs(
        1e6, events_per_order=10, peak_over_mean=2, changes_per_event=1, audits_per_event=0.5,
        actions_per_event=0.2, warm_days=90, archive_days=365, elastic_copies=2, hdfs_copies=3,
        elastic_order_bytes=7_000, elastic_outcome_bytes=4_000, elastic_disk_tb=1, busy_share=0.5,
        archive_order_bytes=600, archive_outcome_bytes=900,
    )  # fmt: skip
    assert found["tiers", "records at peak"].value == pytest.approx(2 * 1e7 / 86_400 * 2)
    assert found["tiers", "all at peak"].value == pytest.approx(2 * 1e7 / 86_400 * 2.7)
    assert found["elasticsearch", "disk"].value == 1e6 * 90 * 11_000 * 2
    assert found["elasticsearch", "nodes"].value == 4  # 1.98 TB / 0.5
    assert found["hdfs", "disk"].value == 1e6 * 365 * 1_500 * 3


def test_ten_times_the_orders_need_ten_times_the_bytes_and_no_fewer_machines() -> None:
    small, large = needs(1e6), needs(10e6)
    for key, need in small.items():
        if need.unit in {"B", "B/s", "/s"} and key != ("track", "memory a worker"):
            assert large[key].value == pytest.approx(10 * need.value, rel=1e-6), key
        elif need.unit != "%":
            assert large[key].value >= need.value, key


@pytest.mark.parametrize("orders_per_day", [1, 1e3, 1e6, 1e8, 1e10])
def test_every_sizing_can_be_run(orders_per_day: float) -> None:
    found = needs(orders_per_day)
    assert found["track", "partitions"].value % SOURCE_TASKS == 0
    workers, flows = (found["track", name].value for name in ("workers", "flows"))
    assert found["track", "partitions"].value >= workers >= 1
    assert workers <= flows * 16
    assert found["kafka", "brokers"].value >= 3
    assert found["elasticsearch", "nodes"].value >= 3
    assert found["redis", "nodes"].value >= 2


def test_figures_of_the_lives_are_those_that_the_generator_leads() -> None:
    waits = Waits(1.0)
    assert FIGURES["events_per_order"].value == pytest.approx(events_per_order(), abs=0.01)
    assert FIGURES["life_days"].value == pytest.approx(waits.mean_life_ms() / DAY_MS, abs=0.1)
    hot_ms = 0.0
    for life in LIVES:
        stays = [3 * DAY_MS] + [
            sum(min(wait, 3 * DAY_MS) for wait in table) / len(table)
            for table in (waits.table(step.wait) for step in life.steps[1:])
        ]
        hot_ms += life.per_mille / 1000 * sum(stays)
    assert FIGURES["hot_days"].value == pytest.approx(hot_ms / DAY_MS, abs=0.1)


def test_figures_of_the_code_are_those_in_the_code() -> None:
    kept = {topic.name: topic.keep_ms / DAY_MS for topic in topics.TOPICS}
    assert FIGURES["topic_days"].value == kept[topics.EVENTS]
    assert FIGURES["audit_days"].value == kept[topics.ORDERS_AUDIT]
    assert f"{FIGURES['warm_days'].value:.0f}d" == Settings().warm.keep
    assert FIGURES["source_tasks"].value == SOURCE_TASKS
    rests = {row.code: row.retire_after for row in read_lifecycle(None).rows}
    ends = [(life.per_mille, rests[life.steps[-1].order] or "0d") for life in LIVES]
    rest_days = sum(share / 1000 * int(rest.removesuffix("d")) for share, rest in ends)
    assert FIGURES["rest_days"].value == pytest.approx(rest_days, abs=0.1)


def test_json_holds_plain_values_and_what_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text("rest_days = 3\nevent_bytes = 300\n", encoding="utf-8")
    options = ("--orders-per-day", 2e6, "--figures", file, "--set", "event_bytes=400", "--json")
    found: dict[str, Any] = json.loads(printed(*options))
    assert found["changed_figures"] == {"rest_days": 3, "event_bytes": 400}
    (sizing,) = found["sizings"]
    assert sizing["orders_per_day"] == 2e6
    assert sizing["track"]["live orders"] == pytest.approx(2e6 * (19.2 + 3))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("rest_day=3", "did you mean rest_days?"),
        ("nonsense=1", "no such figure"),
        ("rest_days", "no number above 0"),
        ("rest_days=-1", "no number above 0"),
        ("rest_days=many", "no number above 0"),
        ("rest_days=inf", "no number above 0"),
    ],
)
def test_a_figure_that_cannot_be_is_named(setting: str, reason: str) -> None:
    ran = ordertide("size", "--set", setting)
    assert ran.code == 2
    assert reason in ran.err


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ran = ordertide("size", "--figures", tmp_path / "missing.toml")
    assert ran.code == 2
    assert "missing.toml" in ran.err


def test_every_figure_says_where_it_is_from() -> None:
    assert all(figure.source and figure.unit for figure in FIGURES.values())
    assert figures(None, ()).values == {name: figure.value for name, figure in FIGURES.items()}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(4.05e12, "B", "4.05 TB"), (999, "B", "999 B"), (12, "", "12"), (2.04e8, "", "204 M"),
     (8420.3, "USD", "8,420 USD"), (157.2, "/s", "157/s"), (46.8e6, "B/s", "46.8 MB/s")],
)  # fmt: skip
def test_values_are_shown_with_three_digits(value: float, unit: str, text: str) -> None:
    assert shown(Need("part", "name", value, unit, "how")) == text
