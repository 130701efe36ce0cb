"""The thread that feeds the demo's events."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Protocol

from broker.connect import Connection
from broker.produce import Producer
from broker.throttle import Throttle
from commands.demo.feed import LAST_ORDERS, last_order, live, send
from commands.demo.orders import Timed
from commands.demo.schedule import Schedule
from schemas.instants import DAY_MS
from schemas.topics import EVENTS

# The embedded broker drops what is too old, and a document is a kilobyte or two: with so many
# messages behind, the slowest writer is still far from the oldest.
MAX_BEHIND = 6_000
LOOK_EVERY = 250  # events
# What is older takes effect before the rest is fed (there is a tick a day). Taken together with it,
# old orders would change at the clock of the newest, and stay hot.
RECENT_MS = 30 * DAY_MS
PAUSE_S = 0.05


class Effect(Protocol):
    """Effect of the messages fed."""

    def behind(self) -> int:
        """Number of messages that the slowest writer has not written yet."""
        ...

    def has_reached(self, at: int) -> bool:
        """Return True once the stream's watermark has come to `at`."""
        ...

    def is_published(self, order_id: str) -> bool:
        """Return True once the dataflow has published an order."""
        ...

    def is_written(self, order_id: str) -> bool:
        """Return True once the tiers have written everything before it, too."""
        ...


class Stopped(Exception):
    """The demo was stopped."""


class Feeder(threading.Thread):
    """Feeder: feeds `records`, waits until all have taken effect, and continues with `live`."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        records: list[Timed],
        schedule: Schedule,
        effect: Effect,
    ) -> None:
        super().__init__(name="feeder", daemon=True)
        self.connection = connection
        self.throttle = Throttle(connection, {EVENTS: [group]})
        self.records = records
        self.schedule = schedule
        self.effect = effect
        self.is_kept: Callable[[Timed], bool] = lambda _: False  # by a carrier, once it is live
        self.failure: Exception | None = None
        self.history_done = threading.Event()
        self.go_live = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Feed until stopped; what goes wrong is left in `failure`."""
        try:
            with Producer(self.connection, self.throttle) as producer:
                self.feed(producer)
                self.await_effect(producer)
                self.history_done.set()
                self.wait(self.go_live.is_set)
                live(producer, self.schedule, self.stopping.is_set, self.is_kept)
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - raised again by the main thread's check
            self.failure = error
        finally:
            self.throttle.close()

    def feed(self, producer: Producer) -> None:
        """Write the records, no faster than the tiers can take what follows from them."""
        recent_at = self.schedule.end_at - RECENT_MS
        recent = bisect_left(self.records, recent_at, key=itemgetter(0))
        for number, timed in enumerate(self.records):
            if number % LOOK_EVERY == 0:
                self.wait(lambda: self.effect.behind() <= MAX_BEHIND)
            if number == recent:
                producer.flush()
                self.wait(partial(self.effect.has_reached, recent_at - DAY_MS))
            send(producer, timed)

    def await_effect(self, producer: Producer) -> None:
        """Wait until everything fed is in the tiers, and expired data has left them.

        Orders prove it: an order's document comes in the epoch in which its tick takes effect
        everywhere, and the next order's when that epoch is complete. So the second proves that all
        is published; when the writers have written that, a third brings the watermark by which they
        expire, and the fourth proves that this was published everywhere.
        """
        for number, order_id in enumerate(LAST_ORDERS, 1):
            for timed in last_order(number, self.schedule.end_at):
                send(producer, timed)
            producer.flush()
            is_there = self.effect.is_written if number % 2 == 0 else self.effect.is_published
            self.wait(partial(is_there, order_id))

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so()`; raises `Stopped` when there is no use in it any more."""
        while not is_so():
            if self.stopping.is_set():
                raise Stopped
            time.sleep(PAUSE_S)
        if self.stopping.is_set():
            raise Stopped

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self.failure:
            raise self.failure

    def stop(self) -> None:
        """End the thread."""
        self.stopping.set()
        if self.ident is not None:
            self.join()
