"""`ordertide deliver` as a process: killed, stopped, and probed for its health."""

import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from tests.support.alerts import order, overdue, produce
from tests.support.command import Command, leaving_none
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until


def wait_until_open(process: Command, receiver: Receiver, orders: set[str]) -> None:
    """Until the alerts of these orders are open at the receiver, and no others."""
    wait_until(lambda: open_orders(receiver) == orders, f"alerts of {orders}", shown=process.output)


@pytest.fixture
def process(broker: EmbeddedBroker, receiver: Receiver, tmp_path: Path) -> Iterator[Command]:
    built = Command(
        "deliver",
        tmp_path,
        {
            "broker": {"bootstrap": broker.bootstrap, "embedded": True},
            "delivery": {"channel": "webhook", "url": receiver.url},
        },
    )
    with leaving_none([built]):
        yield built


def open_orders(receiver: Receiver) -> set[str]:
    return {labels["order_id"] for labels in receiver.open_at(0)}


def heard(receiver: Receiver, alerts: int) -> bool:
    return len(receiver.heard) >= alerts


def test_kill_9_at_any_moment_leaves_nothing_missing_and_nothing_doubled(
    process: Command, receiver: Receiver, producer: Producer, rng: random.Random
) -> None:
    wanted: dict[str, bool] = {}
    process.start()
    for version in range(1, 3):
        orders = rng.sample(range(60), 40)
        for number in orders:
            order_id = f"SO-{number}"
            wanted[order_id] = rng.random() < 0.6
            changed = overdue(order_id, version) if wanted[order_id] else order(order_id, version)
            produce(producer, changed)
        enough = len(receiver.heard) + rng.randrange(10)
        wait_until(partial(heard, receiver, enough), f"{enough} alerts", shown=process.output)
        process.end(signal.SIGKILL)
        process.start()
    expected = {order_id for order_id, is_open in wanted.items() if is_open}
    wait_until_open(process, receiver, expected)
    alerts = {labels["alert_id"] for labels in receiver.open_at(0)}
    assert len(alerts) == len(receiver.open_at(0)), "an order's alert is one alert"


def test_a_stopped_process_ends_cleanly_and_ends_no_alert(
    process: Command, receiver: Receiver, producer: Producer
) -> None:
    process.start()
    produce(producer, overdue("SO-1"))
    wait_until_open(process, receiver, {"SO-1"})
    assert process.end(signal.SIGTERM) == 0, process.output()
    assert open_orders(receiver) == {"SO-1"}


def test_it_is_not_ready_while_its_receiver_is_away_and_says_why(
    process: Command, receiver: Receiver, producer: Producer
) -> None:
    process.start()
    produce(producer, overdue("SO-1"))
    wait_until_open(process, receiver, {"SO-1"})
    assert process.get("/readyz")[0] == 200
    receiver.stop()
    produce(producer, overdue("SO-2"))
    wait_until(lambda: process.get("/readyz")[0] == 503, "503", shown=process.output)
    assert "retrying in" in process.get("/readyz")[1]
    pending = 'ordertide_notices_pending{sink="webhook"} 1.0'
    # Measured at the end of the round in which the receiver refused.
    wait_until(lambda: pending in process.get("/metrics")[1], pending, shown=process.output)
    receiver.start()
    wait_until_open(process, receiver, {"SO-1", "SO-2"})
    wait_until(lambda: process.get("/readyz")[0] == 200, "200", shown=process.output)


def test_alerts_that_would_run_out_before_they_are_renewed_are_refused_at_start(
    process: Command,
) -> None:
    path = process.settings
    text = path.read_text("utf-8")
    path.write_text(
        text.replace("[delivery]\n", '[delivery]\nrenew = "1m"\nhold = "2m"\n'), "utf-8"
    )
    process.start()
    assert process.exit_code() == 2
    assert "delivery.hold: 2m is less than 3 times delivery.renew" in process.output()
