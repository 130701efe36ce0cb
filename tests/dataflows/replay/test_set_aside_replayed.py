"""A replay sets aside the order that raises, names it, and judges all others."""

import json
from pathlib import Path

import msgspec
import pytest

from commands.replay import report_faults
from commands.replay_output import summarise, write_all
from dataflows.core.fact import Fact
from dataflows.replay.evaluate import Result, judge_here, judge_shared, rows
from dataflows.replay.recording import Counts
from tests.support.stage import day, fact_of, sent


def facts() -> list[Fact]:
    """Three orders; the second event of o2 has a status that no lifecycle has."""
    paid = [fact_of(sent("PAID", day(0), order_id=order)) for order in ("o1", "o2", "o3")]
    shipped = [fact_of(sent("SHIPPED", day(1), order_id=order)) for order in ("o1", "o2", "o3")]
    shipped[1] = msgspec.structs.replace(shipped[1], status=250)
    return paid + shipped


def judged(workers: int) -> list[Result]:
    steps = iter([(facts(), day(0)), ([], day(5))])
    if workers == 1:
        return judge_here(steps, None, None)
    return judge_shared(steps, None, None, workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replay_sets_an_order_aside_and_judges_all_others(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = judged(workers)
    counts = Counts()
    counts.read = 6
    summary = summarise(results, counts, 0, 1.0)
    assert summary["orders_set_aside"] == 1
    assert (summary["events_applied"], summary["events_waiting"]) == (5, 1)
    assert summary["orders_by_status"] == {"PAID": 1, "SHIPPED": 2}
    write_all(tmp_path, results)
    lines = (tmp_path / "audit.ndjson").read_text("utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry["what"] == "order.set_aside"]
    assert [(entry["order_id"], entry["detail"]["code"]) for entry in entries] == [
        ("o2", "internal_fault")
    ]
    report_faults(rows(results, "set_aside"))
    shown = capsys.readouterr().err
    assert "order 'o2' of 'default': set aside, status 250 is not in the lifecycle" in shown
    assert "Status(250)" in shown, "the trace"


def test_a_replay_without_a_fault_says_nothing_of_it() -> None:
    steps = iter([(facts()[:4], day(5))])
    results = judge_here(steps, None, None)
    assert "orders_set_aside" not in summarise(results, Counts(), 0, 1.0)
