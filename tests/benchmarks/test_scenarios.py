"""The scenarios at the size of a smoke run; what they check of their outcome has to be right."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.due_orders import Due, due_orders, lateness_of
from benchmarks.recording import line_of
from benchmarks.svg_plot import Curve, Panel, plot

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="resident memory is read from /proc"
)


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@needs_linux
def test_after_an_outage_the_audit_equals_that_of_a_replay() -> None:
    printed = run("catchup", "--quick")
    assert "what the load expects: equal." in printed


@needs_linux
def test_every_deadline_of_a_burst_is_seen_once_and_none_too_early() -> None:
    rows = [line.split("|") for line in run("deadlines", "--quick").splitlines()]
    seen = {row[1].strip(): (row[2].strip(), row[7].strip()) for row in rows if len(row) > 8}
    assert seen["orders.changes"] == ("200", "none")
    assert seen["orders.actions"] == ("200", "none")


@needs_linux
def test_a_flash_sale_ends_in_the_states_that_the_load_expects() -> None:
    printed = run("flashsale", "--quick")
    assert "orders by status: as the load expects." in printed


@needs_linux
def test_recalled_orders_come_back_with_their_past_and_the_days_are_plotted(
    tmp_path: Path,
) -> None:
    out = tmp_path / "benchmarks.md"
    out.write_text("<!-- longlives: begin -->\n<!-- longlives: end -->\n", "utf-8")
    printed = run("longlives", "--quick", "--out", str(out))
    assert "before it retired: equal." in printed
    assert " 0 orders recalled." not in printed
    assert (tmp_path / "longlives.svg").read_text("utf-8").startswith("<svg")


@needs_linux
def test_a_restart_holds_the_orders_and_numbers_of_the_run_before() -> None:
    assert "| 1,000 orders, 2,000 numbers |" in run("recovery", "--quick")


def test_the_poller_keeps_its_promise_over_http_with_faults_and_a_restart() -> None:
    """It fails where its own checks do: the age of news, the rate, scans lost or written twice."""
    printed = run("polling-http", "--batched", "120", "--single", "0", "--timeout", "1s")
    assert "| events written, each once |" in printed


def test_deadlines_are_spread_evenly_over_the_second() -> None:
    assert [due.at for due in due_orders("x", 5_000, 4, 1_000)] == [5_000, 5_250, 5_500, 5_750]


def test_what_was_seen_early_twice_or_never_is_counted() -> None:
    orders = [Due("a", 100), Due("b", 200), Due("c", 300)]
    found = lateness_of(orders, {"a": 90.0, "b": 260.0}, [1, 2])
    assert (found.twice, found.early, found.missing) == (1, 1, 1)
    assert found.found_ms == [-10.0, 60.0]
    assert found.problems == "1 twice, 1 too early, 1 never"


def test_ticks_are_left_out_of_a_recording_and_malformed_lines_kept() -> None:
    assert line_of(b'{"kind":"tick","recorded_at":"2026-01-01T00:00:00Z"}') is None
    broken = line_of(b"<html>502</html>")
    assert broken is not None
    assert (broken.at, broken.key) == (None, None)


def test_a_plot_has_a_line_for_each_curve() -> None:
    text = plot([Panel("sizes", [Curve("a", [0, 1, 2]), Curve("b", [2.0, 1.5, 0])])])
    assert text.endswith("</svg>\n")
    assert text.count("<polyline") == 2
