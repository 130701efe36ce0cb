"""From an event to an action to its outcome on the order: `track` and `act` as processes."""

import json
from pathlib import Path
from typing import Any

from broker.consume import Message
from schemas.topics import ORDERS_AUDIT, ORDERS_CHANGES, ORDERS_EVENTS
from tests.dataflows.test_live import now_text
from tests.support.command import Command, leaving_none
from tests.support.engine import Engine


def test_an_action_s_outcome_is_accepted_as_a_note_of_its_order(
    engine: Engine, tmp_path: Path
) -> None:
    engine.track |= {"clock": "broker"}
    act = {"folder": str(tmp_path / "act")}
    process = Command("act", tmp_path / "own", {"broker": engine.tables()["broker"], "act": act})
    order = {
        "event_id": "1",
        "order_id": "A1",
        "status_code": "PAID",
        "timestamp": now_text(),
        "source": "shop",
    }
    found: dict[str, dict[str, Any]] = {}

    def is_noted(message: Message) -> bool:
        value = json.loads(message.value or b"{}")
        if message.topic == ORDERS_EVENTS and value.get("status") == "NOTE":
            found["note"] = value
        if message.topic == ORDERS_AUDIT and value.get("what") == "action.done":
            found["audit"] = value
        if message.topic == ORDERS_CHANGES and value:
            found["order"] = value
        return {"note", "audit"} <= found.keys()

    engine.start()
    with leaving_none([process]):
        process.start()
        engine.feed([order])
        engine.wait_until(is_noted)
        assert process.end() == 0, process.output()
    engine.stop()
    event = found["note"]["event"]
    assert event["text"] == "confirm_order: done by log (logged)"
    assert event["source"] == "action:log"
    assert found["note"]["order_id"] == found["audit"]["order_id"] == "A1"
    assert found["order"]["status"] == "PAID", "a note moves nothing"
