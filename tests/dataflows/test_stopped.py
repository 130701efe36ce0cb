"""A stopped run ends at a barrier, and resumes there."""

import json
import random
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.instants import DAY_MS, format_instant
from tests.support.engine import Engine
from tests.support.outcome import assert_as_replayed, assert_same, lines, of_replay, of_topics
from tests.support.samples import END, arrival_at, some_orders, with_parcels

pytestmark = pytest.mark.timeout(300)  # several workers take turns on a busy core


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_deadline_fires_at_a_stop_and_the_next_run_goes_on(
    number: signal.Signals, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_parcels(some_orders(100, rng), rng)
    half = len(events) // 2
    engine.start()
    engine.feed(events[:half])
    engine.wait_until(lambda message: message.topic == "orders.events")
    assert engine.end(number) == 0, engine.output()
    fed_until = format_instant(arrival_at(events[half - 1]))
    stopped = of_topics(engine.connection)
    assert all(json.loads(alert)["at"] <= fed_until for alert in stopped.alerts)
    engine.start()
    engine.feed(events[half:])
    engine.tick(END)
    engine.wait_for_clock(END)
    assert engine.end(number) == 0, engine.output()
    assert_as_replayed(engine.connection, events, tmp_path)
    assert not engine.output(), "a clean stop needs no words"


def test_stopped_for_a_day_it_says_what_it_would_have_said(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_parcels(some_orders(150, rng), rng)
    first = next(k for k, event in enumerate(events) if k > len(events) // 3)
    stop_at = arrival_at(events[first])
    missed = [e for e in events[first + 1 :] if arrival_at(e) <= stop_at + DAY_MS]
    engine.start()
    engine.feed(events[: first + 1])
    engine.tick(stop_at)
    engine.wait_for_clock(stop_at)
    engine.stop()
    engine.feed(missed)
    engine.tick(stop_at + DAY_MS)
    engine.start()
    engine.wait_for_clock(stop_at + DAY_MS)
    engine.feed(events[first + 1 + len(missed) :])
    engine.finish(END)
    always_on = of_replay(lines(events), tmp_path / "replay", END)
    assert_same(of_topics(engine.connection), always_on)


def test_another_number_of_workers_between_stops_changes_nothing(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_parcels(some_orders(120, rng), rng)
    third = len(events) // 3
    cuts = [0, third, 2 * third, len(events)]
    for workers, (start, end) in zip((1, 2, 1), pairwise(cuts), strict=True):
        engine.track["workers"] = workers
        engine.start()
        engine.feed(events[start:end])
        at = END if end == len(events) else arrival_at(events[end - 1])
        engine.tick(at)
        engine.wait_for_clock(at)
        engine.stop()
    assert_as_replayed(engine.connection, events, tmp_path)
