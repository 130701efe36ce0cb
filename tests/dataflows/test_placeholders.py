"""A number that stands for none, at thousands of orders, in the running engine and in a replay."""

import json
from pathlib import Path

from broker.consume import read_all
from broker.embedded import EmbeddedBroker
from schemas import topics
from schemas.instants import DAY_MS, format_instant, parse_instant
from tests.support.engine import Engine, Json
from tests.support.outcome import assert_same, lines, of_replay, of_topics

BEGIN = parse_instant("2018-01-31T12:00:00Z")
END = BEGIN + DAY_MS
ORDERS = 3_000


def order(name: str, number: str) -> Json:
    return {
        "event_id": f"e-{name}",
        "source": "shop",
        "order_id": name,
        "status_code": "PENDING_PAYMENT",
        "timestamp": format_instant(BEGIN),
        "references": {"erp": number},
    }


def paid(number: str) -> Json:
    """A payment that names no order."""
    return {
        "event_id": f"paid-{number}",
        "source": "erp",
        "status_code": "PAID",
        "timestamp": format_instant(BEGIN + 60_000),
        "references": {"erp": number},
    }


def run(engine: Engine, events: list[Json], asked: Json) -> dict[str, float]:
    """The metrics once the orders, and then the question, have been judged."""
    engine.start()
    engine.feed(events)
    engine.tick(BEGIN)
    engine.wait_for_clock(BEGIN)
    engine.feed([asked])
    engine.tick(END)
    engine.wait_for_clock(END)
    found = engine.metrics()
    engine.stop()
    return found


def reached(engine: Engine, event_id: str) -> int:
    """Number of orders that an event was applied to."""
    name = json.dumps(event_id).encode()
    return sum(name in (m.value or b"") for m in read_all(engine.connection, topics.ORDERS_EVENTS))


def test_thousands_of_orders_with_one_number_cost_no_more_than_with_many(
    engine: Engine, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    events = [order(f"o-{number}", "CONSTANT") for number in range(ORDERS)]
    metrics = run(engine, events, paid("CONSTANT"))
    assert reached(engine, "paid-CONSTANT") == 0
    assert metrics['rejected_total{code="ambiguous_reference"}'] == 1
    assert metrics['bound_used_ratio{bound="orders_of_a_number"}'] == ORDERS / 50
    expected = of_replay(lines([*events, paid("CONSTANT")]), tmp_path / "replay", END)
    assert_same(of_topics(broker.connection), expected)


def test_an_event_that_names_only_a_placeholder_reaches_no_order(
    engine: Engine, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    events = [order(f"o-{number}", "N/A") for number in range(20)]
    metrics = run(engine, events, paid("n/a "))
    assert reached(engine, "paid-n/a ") == 0
    assert metrics['rejected_total{code="placeholder_reference"}'] == 1
    expected = of_replay(lines([*events, paid("n/a ")]), tmp_path / "replay", END)
    assert_same(of_topics(broker.connection), expected)
