"""Importing months of history: everything is known afterwards, and nothing is sent to people."""

from collections import Counter
from pathlib import Path

import pytest

from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.support.recording import Json, Results, replay, written

NOW = parse_instant("2026-07-01T12:00:00Z")


def order_of(number: int, paid_at: int, last: int) -> list[Json]:
    """An order imported now that came as far as the `last` of its steps."""
    steps = (
        ("PENDING_PAYMENT", -30 * HOUR_MS),
        ("PAID", 0),
        ("SHIPPED", 4 * DAY_MS),
        ("DELIVERED", 8 * DAY_MS),
    )
    return [
        {
            "event_id": f"{number}:{code}",
            "order_id": f"o{number:03d}",
            "source": "shop",
            "status_code": code,
            "timestamp": format_instant(paid_at + after_ms),
            "recorded_at": format_instant(NOW),
            "promised_at": format_instant(paid_at + 6 * DAY_MS),
        }
        for code, after_ms in steps[: last + 1]
    ]


@pytest.fixture
def imported(tmp_path: Path) -> Results:
    """Half a year up to 45 days ago: an order a day, some of which never got to their end."""
    events = [
        event
        for number in range(135)
        for event in order_of(number, NOW - (45 + number) * DAY_MS, number % 4)
    ]
    path = written(tmp_path / "history.ndjson.zst", events)
    return replay(tmp_path / "out", path, "--until", format_instant(NOW + DAY_MS))


def test_history_asks_for_no_action_and_opens_no_alert(imported: Results) -> None:
    assert imported.rows("actions") == []
    assert imported.rows("alerts") == []
    assert imported.summary["orders"] == 135


def test_its_missed_deadlines_are_recorded(imported: Results) -> None:
    audit = imported.rows("audit")
    missed = Counter(entry["detail"]["rule"] for entry in audit)
    assert {entry["what"] for entry in audit} == {"deadline.missed"}
    assert missed == {
        "confirmation": 34 * 2,  # before they were shipped: too late to confirm,
        "unpaid": 34,  # one in four was never paid,
        "late_shipping": 34,  # one never shipped,
        "carrier_silent": 34,  # one never delivered,
        "late_delivery": 34 * 3,  # and of all these the promise was broken
    }
    assert imported.summary["flags"] == {"missed_deadline": 34 * 3}


def test_what_has_just_become_due_is_acted_on_all_the_same(tmp_path: Path) -> None:
    paid_at = NOW - 4 * DAY_MS
    path = written(tmp_path / "recent.ndjson", order_of(1, paid_at, 1))
    results = replay(tmp_path / "out", path)
    (action,) = results.rows("actions")
    assert (action["kind"], action["at"]) == ("start_compensation", format_instant(NOW))
    assert action["expires_at"] == format_instant(NOW + 7 * DAY_MS)
    assert action["because"]["due_at"] == format_instant(paid_at + 72 * HOUR_MS)
