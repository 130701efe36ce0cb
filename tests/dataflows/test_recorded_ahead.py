"""A recorded time of 2099, in an event or in a tick, silences no partition."""

import json
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from broker.produce import Record
from schemas import topics
from schemas.instants import DAY_MS, format_instant, parse_instant
from tests.support.engine import Engine, Json
from tests.support.outcome import assert_same, lines, of_replay, of_topics

BEGIN = parse_instant("2018-01-31T12:00:00Z")
END = BEGIN + 7 * DAY_MS
ODD = "2099-12-30T00:00:00Z"


def order(name: str, at: int, recorded_at: str | None = None) -> Json:
    """An order that waits for its payment."""
    found: Json = {
        "event_id": f"e-{name}",
        "source": "shop",
        "order_id": name,
        "status_code": "PENDING_PAYMENT",
        "timestamp": format_instant(at),
    }
    return found | ({"recorded_at": recorded_at} if recorded_at else {})


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("odd", ["event", "tick"])
def test_orders_after_a_time_of_2099_are_judged_as_in_a_replay(
    odd: str, workers: int, engine: Engine, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine.track |= {"workers": workers}
    engine.start()
    before = [order(f"first-{number}", BEGIN) for number in range(8)]
    engine.feed(before)
    engine.tick(BEGIN)
    engine.wait_for_clock(BEGIN)
    wrong = [order("wrong", BEGIN + 1, ODD)] if odd == "event" else []
    if wrong:
        engine.feed(wrong)
    else:
        tick = json.dumps({"kind": "tick", "recorded_at": ODD}).encode()
        engine.producer.send_many(topics.EVENTS, [Record(None, tick, partition=1)])
        engine.producer.flush()
    engine.wait_for_barrier()
    later = [order(f"late-{number}", BEGIN + 2 * DAY_MS) for number in range(20)]
    engine.feed(later)
    engine.finish(END)
    expected = of_replay(lines([*before, *wrong, *later]), tmp_path / "replay", END)
    found = of_topics(broker.connection)
    found.orders.pop("wrong", None)  # its event shows, as whatever waits for the clock does
    assert_same(found, expected)
    assert len(expected.alerts) >= len(later), "orders unpaid for days"


def test_a_month_without_events_is_crossed_by_all_partitions_together(
    engine: Engine, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    engine.start()
    january = [order(f"january-{number}", BEGIN) for number in range(20)]
    march = [order(f"march-{number}", BEGIN + 35 * DAY_MS) for number in range(20)]
    engine.feed([*january, *march])
    engine.tick(BEGIN + 36 * DAY_MS)
    engine.wait_for_clock(BEGIN + 36 * DAY_MS)
    engine.stop()
    found = of_replay(lines([*january, *march]), tmp_path / "replay", BEGIN + 36 * DAY_MS)
    assert_same(of_topics(broker.connection), found)
