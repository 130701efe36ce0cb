"""Without `--until` a replay ends with the last arrival, unless that is a lone odd time."""

import json
from pathlib import Path
from typing import Any

from commands.replay import replay
from schemas.instants import DAY_MS, format_instant, parse_instant

BEGIN = parse_instant("2018-01-31T12:00:00Z")
ODD = parse_instant("2099-12-30T00:00:00Z")


def order(name: str, at: int, recorded_at: int | None = None) -> str:
    found = {
        "event_id": f"e-{name}",
        "source": "shop",
        "order_id": name,
        "status_code": "PENDING_PAYMENT",
        "timestamp": format_instant(at),
    }
    return json.dumps(found | ({"recorded_at": format_instant(recorded_at)} if recorded_at else {}))


def summary_of(events: list[str], folder: Path) -> dict[str, Any]:
    recording = folder / "events.ndjson"
    recording.write_text("\n".join(events) + "\n", encoding="utf-8")
    return replay((str(recording),), None, None, None, 1, folder / "out")


def test_one_time_of_2099_lets_no_deadline_pass(tmp_path: Path) -> None:
    odd = order("odd", BEGIN, ODD)
    summary = summary_of([order("a", BEGIN), odd, order("b", BEGIN + 1), odd], tmp_path)
    assert summary["alerts_opened_by_rule"] == {}
    assert summary["orders"] == 2
    assert summary["events_after_until"] == 2


def test_a_tick_of_2099_lets_no_deadline_pass(tmp_path: Path) -> None:
    tick = json.dumps({"kind": "tick", "recorded_at": format_instant(ODD)})
    summary = summary_of([tick, order("a", BEGIN), order("b", BEGIN + 1)], tmp_path)
    assert summary["alerts_opened_by_rule"] == {}


def test_a_second_event_confirms_the_time_of_the_first(tmp_path: Path) -> None:
    later = [order("x", ODD), order("y", ODD + 1)]
    assert summary_of([order("a", BEGIN), *later], tmp_path)["orders"] == 3


def test_a_last_event_after_half_a_year_is_judged_like_any(tmp_path: Path) -> None:
    events = [order("a", BEGIN), order("b", BEGIN + 180 * DAY_MS)]
    assert summary_of(events, tmp_path)["orders"] == 2


def test_an_event_alone_is_judged(tmp_path: Path) -> None:
    assert summary_of([order("a", ODD)], tmp_path)["orders"] == 1
