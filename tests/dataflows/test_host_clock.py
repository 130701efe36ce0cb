"""The host's wall clock has no effect on alerts, however it is set and for how long."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.consume import read_all
from schemas import topics
from schemas.instants import format_instant
from tests.support.engine import Engine, Json
from tests.support.host_clock import HostClock
from tests.support.waiting import wait_until

TWO_DAYS_S = 2 * 86_400
THREE_HOURS_S = 3 * 3_600


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostClock]:
    with HostClock(tmp_path) as clock:
        yield clock


def now_text() -> str:
    return format_instant(time.time_ns() // 1_000_000)


def order(number: int) -> Json:
    """An order that waits for its payment, placed just now."""
    return {
        "event_id": f"e-{number}",
        "order_id": f"o-{number}",
        "status_code": "PENDING_PAYMENT",
        "timestamp": now_text(),
        "source": "shop",
    }


def accepted(engine: Engine) -> int:
    return sum(1 for _ in read_all(engine.connection, topics.ORDERS_EVENTS))


def wait_for_orders(engine: Engine, count: int) -> None:
    wait_until(
        lambda: accepted(engine) >= count,
        f"{count} events",
        shown=engine.output,
        progress=lambda: accepted(engine),
    )
    assert accepted(engine) == count


def alerts(engine: Engine) -> list[dict[str, Any]]:
    found = [json.loads(m.value or b"{}") for m in read_all(engine.connection, topics.ORDERS_AUDIT)]
    return [entry["alert"] for entry in found if "alert" in entry]


def jumps(engine: Engine) -> int:
    """Number of log lines; a worker's last lines are repeated where its end is reported."""
    return len(re.findall(r"^\S+ WARNING .*host clock: it jumped", engine.output(), re.MULTILINE))


def wait_for_jumps(engine: Engine, count: int) -> None:
    wait_until(lambda: jumps(engine) >= count, f"{count} jumps", shown=engine.output)


def carry_through(engine: Engine, host: HostClock, wrong_s: int) -> None:
    """Right, wrong for some seconds, right again: orders of each time are judged at once."""
    engine.track |= {"clock": "broker"}
    engine.environment |= host.environment
    engine.start()
    engine.feed(map(order, range(8)))
    wait_for_orders(engine, 8)
    host.set_wrong(wrong_s)
    wait_for_jumps(engine, 1)
    engine.feed(map(order, range(10, 14)))
    wait_for_orders(engine, 12)
    host.set_wrong(0)
    wait_for_jumps(engine, 2)
    engine.feed(map(order, range(20, 24)))
    wait_for_orders(engine, 16)
    assert not alerts(engine)
    # Each worker reports it, unless another one that was faster has ended it by then.
    assert 2 <= jumps(engine) <= 2 * engine.workers
    assert -60 < engine.metrics()["stream_clock_behind_seconds"] < 60
    engine.stop()


def test_a_host_clock_two_days_ahead_gives_no_alert_and_no_silence(
    engine: Engine, host: HostClock
) -> None:
    carry_through(engine, host, TWO_DAYS_S)


def test_a_host_clock_three_hours_behind_holds_nothing(engine: Engine, host: HostClock) -> None:
    carry_through(engine, host, -THREE_HOURS_S)


def test_workers_whose_host_clock_is_set_back_go_on_together(
    engine: Engine, host: HostClock
) -> None:
    engine.track |= {"workers": 2}
    carry_through(engine, host, -THREE_HOURS_S)


def test_a_run_that_begins_with_a_wrong_host_clock_judges_like_the_one_before(
    engine: Engine, host: HostClock
) -> None:
    engine.track |= {"clock": "broker"}
    engine.environment |= host.environment
    engine.start()
    engine.feed(map(order, range(4)))
    wait_for_orders(engine, 4)
    engine.stop()
    host.set_wrong(TWO_DAYS_S)
    engine.start()
    engine.feed(map(order, range(10, 14)))
    wait_for_orders(engine, 8)
    assert not alerts(engine)
    assert engine.metrics()["host_clock_offset_seconds"] == pytest.approx(TWO_DAYS_S, abs=60)
    engine.stop()
