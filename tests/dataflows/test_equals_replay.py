"""Outputs of the broker equal those of `ordertide replay` on the same events."""

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from broker.consume import read_all
from schemas import topics
from schemas.instants import DAY_MS, format_instant
from tests.support.engine import PATIENCE_S, Engine, Json
from tests.support.outcome import assert_same, lines, of_replay, of_topics
from tests.support.samples import (
    END,
    arrival_at,
    as_cloudevent,
    binary_cloudevent,
    in_time,
    scans_long_after,
    some_orders,
    unknown_scans,
    with_commands,
    with_parcels,
)

MALFORMED = [b"{bad", b"[]", b'{"event_id": "1", "status_code": "PAID"}', b"\xc3\xa9t\xc3\xa9"]
FATES = ("ticks_total", "applied_total", "duplicates_total", "refused_total", "waiting")


def test_orders_alerts_and_actions_are_those_of_a_replay(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = some_orders(300, rng)
    engine.start()
    engine.feed(events)
    engine.finish(END)
    expected = of_replay(lines(events), tmp_path / "replay", END)
    assert_same(of_topics(engine.connection), expected)
    assert len(expected.orders) == 300
    said = [message.value for message in read_all(engine.connection, topics.ORDERS_AUDIT)]
    assert len(said) == len(set(said)), "without a crash everything is said once"


@pytest.mark.parametrize("workers", [1, 2])
def test_parcels_duplicates_commands_and_bad_messages_are_those_of_a_replay(
    workers: int, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(120, rng), rng), rng)
    events = in_time(events + unknown_scans(3, END - 30 * DAY_MS) + unknown_scans(2, END - DAY_MS))
    messages = [as_cloudevent(event) if rng.random() < 0.1 else event for event in events]
    # Sent again while their parcels' numbers are known: 180 days after the last event they aren't.
    again = rng.sample([m for m in messages if arrival_at(m) > END - 180 * DAY_MS], 50)
    engine.track["workers"] = workers
    engine.start()
    for start in range(0, len(messages), 100):
        engine.feed(messages[start : start + 100])
    engine.feed(again)
    engine.feed_raw(*binary_cloudevent(messages[0]))
    for data in MALFORMED:
        engine.feed_raw(data)
    engine.tick(END)
    engine.wait_for_clock(END)
    engine.wait_for_barrier()
    counted = engine.metrics()
    engine.stop()
    doubled = [*messages, *again, messages[0]]
    replayed = of_replay([*lines(doubled), *MALFORMED], tmp_path / "replay", END)
    assert_same(of_topics(engine.connection), replayed)
    assert_conserved(counted, engine)
    assert counted["messages_read_total"] == len(doubled) + len(MALFORMED) + 4
    summary = json.loads((tmp_path / "replay" / "replayed" / "summary.json").read_text("utf-8"))
    for fate in ("applied", "duplicate", "refused", "rejected", "waiting"):
        assert fate_of(counted, fate) == summary[f"events_{fate}"], fate


@pytest.mark.parametrize("workers", [1, 2])
def test_numbers_forgotten_long_after_their_last_scan_are_those_of_a_replay(
    workers: int, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    assert_forgotten_alike(workers, engine, tmp_path, rng)


def test_alerts_that_open_again_are_shown_in_the_order_of_a_replay(
    engine: Engine, tmp_path: Path
) -> None:
    """Of these orders one has an alert that ended and opened again, behind a later one."""
    name = "test_numbers_forgotten_long_after_their_last_scan_are_those_of_a_replay[2]"
    rng = random.Random(f"832879402:tests/dataflows/test_equals_replay.py::{name}")
    assert_forgotten_alike(2, engine, tmp_path, rng)


def assert_forgotten_alike(
    workers: int, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    """A run that ends half-way forgets the numbers that a replay forgets, and ends alike."""
    scanned = with_parcels(some_orders(40, rng), rng)
    events = in_time(scanned + scans_long_after(scanned, rng))
    end = arrival_at(events[-1]) + 8 * DAY_MS
    engine.track["workers"] = workers
    for half in (events[: len(events) // 2], events[len(events) // 2 :]):
        engine.start()
        for start in range(0, len(half), 50):
            engine.feed(half[start : start + 50])
        if half[-1] is not events[-1]:
            engine.pass_half(half)
            engine.stop()  # what came last waits for the clock
    engine.tick(end)
    engine.wait_for_clock(end)
    engine.wait_for_barrier()
    counted = engine.metrics()
    assert counted["messages_restored_total"] > 0
    assert_accounted(counted)
    engine.stop()
    replayed = of_replay(lines(events), tmp_path / "replay", end)
    assert_same(of_topics(engine.connection), replayed)
    assert {code for code, _ in replayed.rejected} == {"unknown_reference"}
    assert 0 < replayed.rejected.total() < len(events) - len(scanned)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_number_registered_in_a_partition_that_lags_leads_where_a_replay_says(
    workers: int, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    """Scans are read first, then who took their numbers over, at last who had them before."""
    scans, later, earlier = taken_over(40, rng)
    events = [*scans, *later, *earlier]
    end = max(map(arrival_at, events)) + DAY_MS
    engine.track["workers"] = workers
    fed = 0
    for partition, part in enumerate((scans, later, earlier)):
        engine.start()
        engine.feed(part, partition)
        fed += len(part)
        wait_for_waiting(engine, fed)
        engine.wait_for_barrier()
        engine.kill() if partition == 1 else engine.stop()
    engine.start()
    engine.tick(end)
    engine.wait_for_clock(end)
    engine.wait_for_barrier()
    counted = engine.metrics()
    assert_accounted(counted)
    assert counted["waiting"] == 0
    engine.stop()
    replayed = of_replay(lines(events), tmp_path / "replay", end)
    assert_same(of_topics(engine.connection), replayed)
    assert all(order["shipments"] for order in replayed.orders.values()), "each has scans"


def wait_for_waiting(engine: Engine, count: int) -> None:
    """Until so many events wait for the clock."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_waiting(engine, count):
        assert time.monotonic() < give_up_at, engine.output()
        time.sleep(0.05)


def is_waiting(engine: Engine, count: int) -> bool:
    try:
        return engine.metrics()["waiting"] == count
    except OSError:  # it has only just been started
        return False


def taken_over(count: int, rng: random.Random) -> tuple[list[Json], list[Json], list[Json]]:
    """(scans, those who took their numbers over, those who had them), each as it arrived."""
    scans, later, earlier = list[Json](), list[Json](), list[Json]()
    for number in range(count):
        begin = END - 30 * DAY_MS + rng.randint(0, DAY_MS)
        waybill = {"waybill": f"W{number}"}
        taken_at = begin + 9 * DAY_MS
        for into, name, at in ((earlier, "had", begin), (later, "took", taken_at)):
            order = {"order_id": f"{name}{number}", "references": waybill, "source": "shop"}
            into.append(dated(f"{name}{number}", "PAID", at) | order)
        for at in (begin + rng.randint(1, 8) * DAY_MS, taken_at, taken_at + 1, taken_at - 1):
            source = {"source": "carrier:sf"}
            scans.append(dated(f"W{number}@{at}", "IN_TRANSIT", at) | waybill | source)
    return in_time(scans), in_time(later), in_time(earlier)


def dated(event_id: str, status: str, at: int) -> Json:
    return {"event_id": event_id, "status_code": status, "timestamp": format_instant(at)}


def assert_accounted(counted: Mapping[str, float]) -> None:
    fates = sum(counted[fate] for fate in FATES) + fate_of(counted, "rejected")
    assert counted["messages_read_total"] + counted["messages_restored_total"] == fates


def assert_conserved(counted: Mapping[str, float], engine: Engine) -> None:
    assert_accounted(counted)
    applied = {
        (event["partition"], event["offset"])
        for message in read_all(engine.connection, topics.ORDERS_EVENTS)
        for event in [json.loads(message.value or b"")]
    }
    assert counted["applied_total"] == len(applied)


def fate_of(counted: Mapping[str, float], fate: str) -> float:
    if fate == "rejected":
        return sum(v for name, v in counted.items() if name.startswith("rejected_total"))
    return counted[
        {"duplicate": "duplicates_total", "waiting": "waiting"}.get(fate, f"{fate}_total")
    ]
