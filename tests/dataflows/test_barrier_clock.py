"""No tick overtakes an event: a clock counts only when everything before it has been applied."""

import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.embedded import EmbeddedBroker
from dataflows.exchange import OrderPiece
from dataflows.track import share_numbers, share_orders
from dataflows.watermarks import NO_PARTITIONS, Watermarks
from schemas.settings.model import TrackSettings
from tests.fuzz.pipeline import Pipeline
from tests.support.engine import Engine
from tests.support.outcome import assert_as_replayed
from tests.support.samples import END, some_orders, with_parcels
from tests.support.threaded import Threaded

SOURCE_TASKS = 3


class Epoch(NamedTuple):
    """Arrivals that a task read in an epoch, and the watermark of the epochs before."""

    task: int
    watermark: int
    arrivals: list[int]


@st.composite
def recordings(draw: st.DrawFn) -> list[list[Epoch]]:
    """For each task its epochs; arrivals only go forward within a task."""
    return [draw(epochs(task)) for task in range(SOURCE_TASKS)]


@st.composite
def epochs(draw: st.DrawFn, task: int) -> list[Epoch]:
    steps = st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=5)
    found, watermark, at = [], -1, 1
    for gaps in draw(steps):
        arrivals = []
        for gap in gaps:
            at += gap
            arrivals.append(at)
        found.append(Epoch(task, watermark, arrivals))
        watermark = at - 1 if arrivals else watermark
    return found


@given(recordings(), st.randoms(use_true_random=False))
def test_a_shards_clock_stays_before_everything_that_is_still_to_come(
    tasks: list[list[Epoch]], lots: random.Random
) -> None:
    watermarks = Watermarks(SOURCE_TASKS)
    left = [list(epochs) for epochs in tasks]
    before = watermarks.watermark
    while any(left):
        epoch = lots.choice([epochs for epochs in left if epochs]).pop(0)
        watermarks.advance(epoch.task, epoch.watermark)
        assert watermarks.watermark >= before, "a clock never goes back"
        before = watermarks.watermark
        to_come = [at for epochs in left for epoch in epochs for at in epoch.arrivals]
        assert all(watermarks.watermark < at for at in [*epoch.arrivals, *to_come])


@given(st.dictionaries(st.integers(0, SOURCE_TASKS - 1), st.integers(0, 9), max_size=SOURCE_TASKS))
def test_a_clock_waits_for_every_slot_and_for_none_without_partitions(said: dict[int, int]) -> None:
    watermarks = Watermarks(SOURCE_TASKS + 1)
    for task, watermark in said.items():
        watermarks.advance(task, watermark)
    assert watermarks.watermark == 0
    for task in range(SOURCE_TASKS + 1):
        watermarks.advance(task, said.get(task, NO_PARTITIONS))
    assert watermarks.watermark == min(said.values(), default=0)
    assert Watermarks(SOURCE_TASKS + 1, watermarks.by_task).watermark == watermarks.watermark


def test_a_resolvers_piece_says_nothing_about_the_clock() -> None:
    piece = OrderPiece("s00", 0, -1, [], [])
    watermarks = Watermarks(1, {0: 5})
    watermarks.advance(piece.task, piece.watermark)
    assert watermarks.watermark == 5


def test_orders_get_a_clock_when_the_epoch_in_which_resolvers_got_it_has_ended(
    broker: EmbeddedBroker,
) -> None:
    """Several batches may be one epoch; a snapshot is its end."""
    with Pipeline(broker.connection) as pipeline:
        task = pipeline.task
        [first], [second] = task.next_batch(), task.next_batch()
        assert (first.watermark, second.watermark) == (-1, NO_PARTITIONS)
        assert (first.order_watermark, second.order_watermark) == (-1, -1)
        task.snapshot()
        [third] = task.next_batch()
        assert third.order_watermark == NO_PARTITIONS
        assert {piece.watermark for _, piece in share_orders(third)} == {third.order_watermark}
        assert {piece.watermark for _, piece in share_numbers(third)} == {third.watermark}


@pytest.mark.parametrize("workers", [1, 2])
def test_events_on_a_slow_detour_are_not_overtaken(
    workers: int, engine: Engine, broker: EmbeddedBroker, tmp_path: Path, rng: random.Random
) -> None:
    events = with_parcels(some_orders(60, rng), rng)
    settings = TrackSettings(clock="recorded", epoch_ms=10, workers=workers)
    flow = Threaded(broker, tmp_path, settings, lambda: time.sleep(rng.uniform(0, 0.02)))
    with flow:
        for start in range(0, len(events), 10):
            engine.feed(events[start : start + 10])
        engine.tick(END)
        flow.wait_for_clock(END)
        flow.wait_for_barriers(2)
    assert flow.witness.resolved_count > 100, "many took the detour"
    assert not flow.witness.overtaken
    assert_as_replayed(broker.connection, events, tmp_path)
