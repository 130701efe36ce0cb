"""Positions of the consumer group were passed by a barrier: they are never ahead of the state."""

import random
import threading
import time
from contextlib import closing
from pathlib import Path

from confluent_kafka import TopicPartition

from broker.clients import Consumer
from broker.embedded import PARTITIONS, EmbeddedBroker
from schemas import topics
from schemas.settings.model import TrackSettings
from tests.support.engine import Engine
from tests.support.samples import END, some_orders, with_parcels
from tests.support.threaded import Threaded

PATIENCE_S = 60.0
NOT_COORDINATOR = 16  # the code of Kafka's protocol
WATCHED_S = 1.0  # twenty epochs, had they not to wait
PLACES = [TopicPartition(topics.EVENTS, number) for number in range(PARTITIONS)]


class Positions:
    """The group as the usual tools see it."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        config = {**broker.connection.config("consumer"), "group.id": TrackSettings().group}
        self.client = Consumer(config)

    def close(self) -> None:
        self.client.close()

    def reported(self) -> list[int]:
        return [max(at.offset, 0) for at in self.client.committed(PLACES, timeout=10)]

    def ends(self) -> list[int]:
        return [self.client.get_watermark_offsets(place, timeout=10)[1] for place in PLACES]


def test_positions_are_reported_once_the_barrier_of_their_epoch_is_passed(
    engine: Engine, broker: EmbeddedBroker, tmp_path: Path, rng: random.Random
) -> None:
    events = with_parcels(some_orders(60, rng), rng)
    in_the_middle, go_on = threading.Event(), threading.Event()

    def detour() -> None:
        in_the_middle.set()
        go_on.wait(PATIENCE_S)

    settings = TrackSettings(clock="recorded", epoch_ms=50, workers=2)
    with (
        closing(Positions(broker)) as positions,
        Threaded(broker, tmp_path, settings, detour) as flow,
    ):
        engine.feed(events[:-40])
        assert in_the_middle.wait(PATIENCE_S)
        # Epochs before this one may have read all of that; this one, on both workers, isn't done.
        engine.feed(events[-40:])
        held = positions.reported()
        until = time.monotonic() + WATCHED_S
        while time.monotonic() < until:
            assert positions.reported() == held
        assert held != positions.ends()
        go_on.set()
        engine.tick(END)
        flow.wait_for_clock(END)
        flow.wait_until(lambda: positions.reported() == positions.ends())


def test_a_position_that_the_broker_did_not_take_is_reported_again(
    engine: Engine, broker: EmbeddedBroker, tmp_path: Path, rng: random.Random
) -> None:
    """Without any event after it: the lag would stay for ever."""
    broker.refuse_commits(*[NOT_COORDINATOR] * 200)  # far more than there are positions
    settings = TrackSettings(clock="recorded", epoch_ms=50)
    with closing(Positions(broker)) as positions, Threaded(broker, tmp_path, settings) as flow:
        engine.feed(some_orders(10, rng))
        engine.tick(END)
        flow.wait_for_clock(END)
        flow.wait_until(lambda: positions.reported() == positions.ends())
