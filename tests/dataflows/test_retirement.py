"""Finished orders leave memory, and are recalled for a late event."""

from typing import Any

from broker.consume import Message, read_all
from schemas import topics
from schemas.instants import DAY_MS, HOUR_MS, format_instant, parse_instant
from tests.support.engine import Engine, Json

STARTED_AT = parse_instant("2026-01-01T00:00:00Z")


def event(number: int, status: str, at: int, **fields: Any) -> Json:  # noqa: ANN401 - any JSON
    return {
        "event_id": str(number),
        "order_id": "A1",
        "status_code": status,
        "timestamp": format_instant(at),
        "source": "shop",
        **fields,
    }


def changes(engine: Engine) -> list[Message]:
    return [
        message
        for message in read_all(engine.connection, topics.ORDERS_CHANGES)
        if not (message.key or b"").startswith(topics.CLOCK_KEY.encode())
    ]


def test_a_retired_order_has_a_tombstone_and_a_late_event_recalls_it(engine: Engine) -> None:
    delivered_at = STARTED_AT + DAY_MS
    known = [event(1, "PAID", STARTED_AT), event(2, "DELIVERED", delivered_at)]
    engine.start()
    engine.feed(known)
    engine.pass_to(delivered_at + HOUR_MS)
    assert changes(engine)[-1].value is not None
    retired_at = delivered_at + 61 * DAY_MS
    engine.pass_to(retired_at)
    assert changes(engine)[-1].value is None
    assert engine.metrics()["live_orders"] == 0
    engine.stop()

    engine.start()
    said = len(changes(engine))
    again_at = format_instant(retired_at + HOUR_MS)
    engine.feed([{**known[1], "recorded_at": again_at}])
    engine.pass_to(retired_at + 2 * HOUR_MS)
    assert len(changes(engine)) == said, "a duplicate changes nothing"

    late_at = retired_at + 3 * HOUR_MS
    engine.feed([event(3, "RETURN_REQUESTED", late_at)])
    engine.pass_to(late_at + HOUR_MS)
    assert b'"RETURN_REQUESTED"' in (changes(engine)[-1].value or b"")
    assert b'"PAID"' in (changes(engine)[-1].value or b""), "its history came back"
    assert engine.metrics()["live_orders"] == 1
    engine.stop()


def test_an_event_for_an_order_closed_long_ago_is_rejected(engine: Engine) -> None:
    engine.feed([event(1, "PAID", STARTED_AT), event(2, "DELIVERED", STARTED_AT + DAY_MS)])
    engine.start()
    engine.pass_to(STARTED_AT + 100 * DAY_MS)
    engine.feed([event(3, "RETURN_REQUESTED", STARTED_AT + 800 * DAY_MS)])
    engine.tick(STARTED_AT + 801 * DAY_MS)
    engine.wait_until(
        lambda message: (
            message.topic == topics.EVENTS_REJECTED and ("code", b"order_closed") in message.headers
        )
    )
    engine.stop()
