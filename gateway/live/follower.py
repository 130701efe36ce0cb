"""Follower: the thread that reads orders.changes from its beginning into a live view.

The topic is compacted, so it holds every live order; no group is joined, and no group's position
moves. Where the broker no longer holds the next message the follower begins anew with what there
is. An embedded one keeps 5 MiB a partition: there it begins with the warm tier's live orders
(beginning.py), and follows; the version decides.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from broker.connect import LOGGER, Connection
from broker.errors import OffsetLost
from broker.fetcher import Message
from broker.topic_follower import RETRY_S, Passing, TopicFollower
from gateway.live.hub import Change, Hub
from gateway.live.view import LiveView
from schemas.errors import Rejected
from schemas.keys import order_key
from schemas.order import OrderDocument
from schemas.topics import ORDERS_CHANGES
from storage_tiering.records import clock_of, decode
from storage_tiering.tier import OrderRecord


class Follower(TopicFollower):
    """Keeps a live view up to date between `start` and `close`.

    `changes` counts the messages read, `unreadable` those that are no documents. `watermark` is the
    stream's in ms, None before the first heartbeat.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str = ORDERS_CHANGES,
        hub: Hub | None = None,
        first_orders: Callable[[], Iterable[OrderDocument]] = tuple,
    ) -> None:
        """Create a follower that has read nothing yet; `hub` gets changes once it is loaded.

        The view begins with `first_orders`, which may raise `Busy`.
        """
        super().__init__(connection, topic, "live view")
        self._first_orders = first_orders
        self.hub = hub
        self.watermark: int | None = None
        self.changes = self.unreadable = 0
        self._view = LiveView()
        self._lock = threading.Lock()

    @contextmanager
    def view(self) -> Iterator[LiveView]:
        """The view, which stands still inside the block."""
        with self._lock:
            yield self._view

    def begin(self) -> None:
        view = LiveView()
        for order in self._first_orders():
            view.apply(order_key(order.tenant, order.order_id), order)
        with self._lock:
            self._view = view
        if self.hub:
            self.hub.forget()

    def take(self, messages: list[Message]) -> None:
        with self._lock:
            for message in messages:
                self._apply(message)
        self.changes += len(messages)

    def interrupted(self, passing: Passing) -> None:
        if isinstance(passing, OffsetLost):
            LOGGER.info("live view: begins anew: %s", passing)
            return
        self.waits_for = str(passing)
        self._stop.wait(RETRY_S)

    def _apply(self, message: Message) -> None:
        try:
            record = decode(message)
        except Rejected as rejected:  # the writers make a dead letter of it
            self.unreadable += 1
            LOGGER.info("live view: offset %d: %s", message.offset, rejected)
            return
        self.watermark = max(clock_of(message) or 0, self.watermark or 0) or None
        if not isinstance(record, OrderRecord):
            return
        view, key = self._view, record.key
        was, card = view.facets(key), view.card(key)
        if record.document is None:
            view.remove(key)
        elif not view.apply(key, record.document):
            return
        if self.hub and self.is_loaded:
            alerts = card.alerts if card else ()
            before = {each.alert_id: (each.rule, each.severity) for each in alerts}
            self.hub.publish(Change(key, record.document, was, before, self.watermark))
