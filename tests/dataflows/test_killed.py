"""kill -9 anywhere, again and again: what follows is what would have come anyway."""

import random
import time
from pathlib import Path

import pytest

from tests.support.engine import Engine, Json
from tests.support.outcome import (
    assert_prefix,
    assert_same,
    lines,
    of_replay,
    of_topics,
    transitions,
)
from tests.support.samples import END, some_orders, with_commands, with_parcels

KILLS = 10  # for each number of workers: twenty points in all


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_change_nothing(
    workers: int, engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(150, rng), rng), rng)
    whole = of_replay(lines(events), tmp_path / "replay", END)
    engine.track["workers"] = workers
    size = len(events) // (KILLS + 1)
    for kill in range(KILLS):
        part = events[kill * size : (kill + 1) * size]
        engine.start()
        if kill % 3 == 2:
            feed_and_kill_after_a_while(engine, part, rng)
        else:
            engine.feed_until_killed(part, rng)
        assert_prefix(transitions(engine.connection), whole)
    engine.start()
    engine.feed(events[KILLS * size :])
    engine.finish(END)
    assert_same(of_topics(engine.connection), whole)


def feed_and_kill_after_a_while(engine: Engine, part: list[Json], rng: random.Random) -> None:
    """Kill at any moment, most of them while it starts and resumes."""
    engine.feed(part)
    time.sleep(rng.uniform(0.2, 1.2))
    engine.kill()
