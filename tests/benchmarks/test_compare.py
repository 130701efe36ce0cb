"""The comparison's judge: the same end is the same, another one is named."""

import random

import pytest

from benchmarks.compare.agenda import Agenda
from benchmarks.compare.job import PARTITIONS
from benchmarks.compare.load import Load
from benchmarks.compare.oracle import Oracle
from benchmarks.compare.order import Order
from benchmarks.compare.verdict import FinalResult, differences, final_of
from benchmarks.events import to_json
from schemas.instants import HOUR_MS

SILENCE_MS = 48 * HOUR_MS


def outcome(*, lines: list[bytes], clock_at: int) -> FinalResult:
    oracle = Oracle(SILENCE_MS)
    oracle.take(lines)
    oracle.advance(clock_at)
    return FinalResult(oracle.all_finals(), frozenset(oracle.alerts))


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    load = Load(200, seed=7, duplicates=0.1)
    return [to_json(one) for one in [*load.fill(), *load.chunk(1_000)]]


def test_the_same_messages_come_to_the_same_end_and_some_parcels_are_silent(
    lines: list[bytes],
) -> None:
    end = outcome(lines=lines, clock_at=1 << 50)
    assert differences(end, end) == []
    assert len(end.finals) >= 200
    assert end.alerts


def test_an_order_that_is_missing_or_other_is_named(lines: list[bytes]) -> None:
    end = outcome(lines=lines, clock_at=1 << 50)
    key, *others = sorted(end.finals)
    missing = FinalResult({name: end.finals[name] for name in others}, end.alerts)
    assert differences(missing, end) == [f"1 orders missing, such as {key}"]
    change = {"order_id": key, "status": "LOST", "updated_at": 1, "milestones": {}}
    other = FinalResult({**end.finals, key: final_of(change)}, frozenset())
    said = differences(other, end)
    assert said[0] == f"1 orders different, such as {key}"
    assert said[1].startswith(f"{len(end.alerts):,} alerts missing")


def test_partitions_that_are_read_unevenly_raise_no_alarm_too_many(rng: random.Random) -> None:
    agenda = Agenda(PARTITIONS)
    agenda.arm("o1", 100)
    for partition in range(1, PARTITIONS):
        assert list(agenda.advance(rng.randint(200, 900), partition)) == []
    agenda.arm("o1", 0)
    agenda.arm("o2", 50)
    assert list(agenda.advance(150, 0)) == [("o2", 50)]


def test_a_duplicate_does_nothing_and_an_older_event_changes_no_status() -> None:
    order = Order()
    for status, hour in (("PAID", 1), ("IN_TRANSIT", 9), ("COLLECTED", 5), ("COLLECTED", 5)):
        at = f"2026-03-01T{hour:02d}:00:00Z"
        event = {"event_id": f"{status}{hour}", "status_code": status, "timestamp": at}
        order.apply({**event, "recorded_at": at}, SILENCE_MS)
    assert (order.status, len(order.ids), sorted(order.milestones)) == (
        "SHIPPED",
        3,
        ["COLLECTED", "IN_TRANSIT", "PAID"],
    )
