"""A rules file that changed between two runs is applied to every live order, once."""

import json
from pathlib import Path
from typing import Any

from broker.consume import read_all
from schemas import topics
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.support.engine import Engine

STARTED_AT = parse_instant("2026-01-01T00:00:00Z")
OLD = """
version = 1
[[rule]]
id = "slow_payment"
label = {en = "Not paid", zh = "未付"}
statuses = ["PENDING_PAYMENT"]
anchor = "created"
after = "1h"
severity = "warning"
"""
NEW = OLD.replace("slow_payment", "very_slow_payment").replace('"1h"', '"2h"')


def alerts(engine: Engine) -> list[tuple[str, str, str]]:
    """(rule, state, at) in the order of their emission."""
    found: list[dict[str, Any]] = [
        json.loads(message.value or b"")
        for message in read_all(engine.connection, topics.ORDERS_AUDIT)
    ]
    return [
        (entry["alert"]["rule"], entry["alert"]["state"], entry["alert"]["at"])
        for entry in found
        if "alert" in entry
    ]


def run(engine: Engine, rules: Path, until: int) -> None:
    engine.track["rules"] = str(rules)
    engine.start()
    engine.tick(until)
    engine.wait_for_clock(until)
    engine.stop()


def test_live_orders_are_judged_by_the_new_rules_without_a_new_event(
    engine: Engine, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(OLD, "utf-8")
    new.write_text(NEW, "utf-8")
    order = {
        "event_id": "1",
        "order_id": "A1",
        "status_code": "PENDING_PAYMENT",
        "timestamp": format_instant(STARTED_AT),
        "source": "shop",
    }
    engine.feed([order])
    changed_at = STARTED_AT + DAY_MS
    run(engine, old, changed_at)
    opened = ("slow_payment", "opened", format_instant(STARTED_AT + HOUR_MS))
    assert alerts(engine) == [opened]
    engine.track["rules"] = str(new)
    engine.start()  # with nothing to read
    engine.wait_until(
        lambda message: (
            message.topic == topics.ORDERS_AUDIT and b"very_slow_payment" in (message.value or b"")
        )
    )
    engine.stop()
    said = {
        ("slow_payment", "resolved", format_instant(changed_at)),
        ("very_slow_payment", "opened", format_instant(changed_at)),
    }
    assert alerts(engine)[0] == opened
    assert set(alerts(engine)[1:]) == said
    run(engine, new, changed_at + DAY_MS)
    assert len(alerts(engine)) == 3, "the same rules judge nothing twice"
