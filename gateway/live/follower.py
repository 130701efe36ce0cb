"""Follower: the thread that reads orders.changes from its beginning into a live view.

The topic is compacted, so it holds every live order; no group is joined, and no group's position
moves. Where the broker no longer holds the next message (an embedded one keeps 5 MiB a partition)
the follower begins anew with what there is.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import TopicPartition

from broker.connect import LOGGER, Connection
from broker.consume import held_offsets
from broker.errors import OffsetLost
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message
from gateway.live.hub import Change, Hub
from gateway.live.view import LiveView
from schemas.errors import Busy, OrdertideError, Rejected
from schemas.topics import ORDERS_CHANGES
from storage_tiering.records import clock_of, decode
from storage_tiering.tier import OrderRecord

READ_TIMEOUT_S = 0.2
RETRY_S = 1.0


class Follower:
    """Keeps a live view up to date between `start` and `close`.

    Of what the topic held at the beginning `done` of `total` offsets were read; `is_loaded` once
    they all were. `changes` counts the messages read, `unreadable` those that are no documents.
    `watermark` is the stream's in ms, None before the first heartbeat. `waits_for` is why it can't
    read just now, `failure` what ended it for good.
    """

    def __init__(
        self, connection: Connection, topic: str = ORDERS_CHANGES, hub: Hub | None = None
    ) -> None:
        """Create a follower that has read nothing yet; `hub` gets changes once it is loaded."""
        self.hub = hub
        self.connection = connection
        self.topic = topic
        self.watermark: int | None = None
        self.changes = self.unreadable = 0
        self.total = 0
        self.waits_for: str | None = None
        self.failure: OrdertideError | None = None
        self._unread: dict[int, tuple[int, int]] | None = None  # partition → next, end at the start
        self._view = LiveView()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live view", daemon=True)

    @property
    def done(self) -> int:
        """Offsets read of those that were there at the beginning."""
        unread = dict(self._unread or {})
        return self.total - sum(end - at for at, end in unread.values())

    @property
    def is_loaded(self) -> bool:
        """Return True once everything that was there at the beginning was read."""
        return self._unread is not None and not self._unread

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the reading and wait for its end."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @contextmanager
    def view(self) -> Iterator[LiveView]:
        """The view, which stands still inside the block."""
        with self._lock:
            yield self._view

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except OffsetLost as lost:
                LOGGER.info("live view: begins anew: %s", lost)
            except Busy as busy:
                self.waits_for = busy.reason
                self._stop.wait(RETRY_S)
            except OrdertideError as failed:
                self.failure = failed
                return

    def _follow(self) -> None:
        """Read from the beginning until stopped.

        Raises:
            OffsetLost, Busy, TopicMissing, BrokerFailed.
        """
        with Fetcher(self.connection, self.connection.client_id, on_end=self._pass) as fetcher:
            held = held_offsets(fetcher.client, self.topic)
            with self._lock:
                self._view = LiveView()
            if self.hub:
                self.hub.forget()
            self.total = sum(end - first for first, end in held.values())
            self._unread = {p: span for p, span in held.items() if span[0] < span[1]}
            self.waits_for = None
            starts = [TopicPartition(self.topic, p, first) for p, (first, _) in held.items()]
            fetcher.client.assign(starts)
            while not self._stop.is_set():
                self._take(fetcher.fetch(BATCH_MESSAGES, READ_TIMEOUT_S))

    def _take(self, messages: list[Message]) -> None:
        with self._lock:
            for message in messages:
                self._apply(message)
        self.changes += len(messages)
        for message in messages:
            self._pass(message.topic, message.partition, message.offset + 1)

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

    def _pass(self, _topic: str, partition: int, offset: int) -> None:
        """Note what was read, or passed over at the end: markers, compacted messages."""
        unread = self._unread or {}
        if partition in unread:
            at, end = unread[partition]
            if offset >= end:
                del unread[partition]
            else:
                unread[partition] = max(at, offset), end
