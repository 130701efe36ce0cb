"""On a live broker's clock time passes without any message."""

import json
import time
from typing import Any

from broker.consume import Message
from schemas import topics
from schemas.instants import format_instant
from tests.support.engine import Engine


def now_text() -> str:
    return format_instant(time.time_ns() // 1_000_000)


def value_of(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.value or b"{}")
    return found


def test_one_order_alone_is_confirmed_and_published(engine: Engine) -> None:
    engine.track |= {"clock": "broker"}
    engine.start()
    order = {
        "event_id": "1",
        "order_id": "A1",
        "status_code": "PENDING_PAYMENT",
        "timestamp": now_text(),
        "source": "shop",
    }
    engine.feed([order])
    found: dict[str, dict[str, Any]] = {}

    def is_complete(message: Message) -> bool:
        if message.value is not None:
            found[message.topic] = value_of(message)
        return {topics.ORDERS_ACTIONS, topics.ORDERS_CHANGES} <= found.keys()

    engine.wait_until(is_complete)
    action, document = found[topics.ORDERS_ACTIONS], found[topics.ORDERS_CHANGES]
    assert (action["order_id"], action["kind"]) == ("A1", "confirm_order")
    assert (document["order_id"], document["status"]) == ("A1", "PENDING_PAYMENT")
    engine.stop()


def test_a_deadline_of_an_instant_ago_fires_without_another_event(engine: Engine) -> None:
    engine.track |= {"clock": "broker"}
    promised_at = time.time_ns() // 1_000_000 + 1_000
    order = {
        "event_id": "1",
        "order_id": "A1",
        "status_code": "PAID",
        "timestamp": now_text(),
        "source": "shop",
        "ship_by": format_instant(promised_at),
    }
    engine.start()
    engine.feed([order])
    engine.wait_until(
        lambda message: (
            message.topic == topics.ORDERS_AUDIT
            and value_of(message).get("alert", {}).get("rule") == "late_shipping"
            and value_of(message)["alert"]["at"] == format_instant(promised_at)
        )
    )
    engine.stop()
